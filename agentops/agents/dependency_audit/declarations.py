"""What a project asks for and locks: pyproject.toml, requirements files, lock files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from agentops import tool
from agentops.agents.dependency_audit.records import Declared, Project

LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
_REQUIREMENT_FILES = ("*requirements*.txt", "requirements/*.txt")
_CODE_FILES = ("setup.py", "setup.cfg")
_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTIONS = re.compile(r"\s--\S+.*$")
_MAX_BYTES = 32 * 1024 * 1024


@dataclass
class _Reading:
    """What was gathered so far."""

    root: Path
    files: list[str] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    locked: dict[str, list[str]] = field(default_factory=dict)
    lock_file: str = ""
    notes: list[str] = field(default_factory=list)


def project_of(folder: Path) -> Path | None:
    """The project in ``folder``, or around it when it is a virtual environment."""
    candidates = [folder]
    if (folder / "pyvenv.cfg").is_file():
        candidates.append(folder.parent)
    return next((each for each in candidates if _project_files(each)), None)


@tool(effect="read", timeout=30)
def read_project(folder: str) -> Project:
    """The requirements and locked versions of the project in ``folder``.

    A file that cannot be understood becomes a note; the others are read all the same.
    """
    reading = _Reading(Path(folder))
    _read_pyproject(reading)
    seen: set[Path] = set()
    for file in _requirement_files(reading.root):
        _read_requirements(reading, file, seen)
    _read_lock(reading)
    _mention_code(reading)
    return Project(
        folder=folder,
        files=tuple(reading.files),
        declared=tuple(reading.declared),
        locked=reading.locked,
        lock_file=reading.lock_file,
        notes=tuple(reading.notes),
    )


def _project_files(folder: Path) -> list[Path]:
    named = [folder / name for name in ("pyproject.toml", *LOCK_FILES, *_CODE_FILES)]
    return [file for file in named if file.is_file()] + _requirement_files(folder)


def _requirement_files(folder: Path) -> list[Path]:
    found = [file for pattern in _REQUIREMENT_FILES for file in sorted(folder.glob(pattern))]
    return [file for file in dict.fromkeys(found) if file.is_file()]


def _read_pyproject(reading: _Reading) -> None:
    document = _toml(reading, reading.root / "pyproject.toml")
    project = _table(document, "project")
    for text in _texts(project.get("dependencies")):
        _declare(reading, text, "pyproject.toml", "project.dependencies")
    for extra, texts in _table(project, "optional-dependencies").items():
        for text in _texts(texts):
            where = f"project.optional-dependencies.{extra}"
            _declare(reading, text, "pyproject.toml", where, default=False)
    _read_groups(reading, _table(document, "dependency-groups"))
    if "dependencies" in _texts(project.get("dynamic")):
        reading.notes.append(
            "pyproject.toml leaves its dependencies to the build; they were not read."
        )
    if "poetry" in _table(document, "tool") and "dependencies" not in project:
        reading.notes.append("Requirements in Poetry's own table were not read; its lock file was.")


def _read_groups(reading: _Reading, table: dict[str, object]) -> None:
    for name in table:
        try:
            resolved = resolve_dependency_groups(table, name)  # type: ignore[arg-type]  # it checks
        except (ExceptionGroup, ValueError, TypeError, LookupError) as error:
            reading.notes.append(
                f"dependency-groups.{name} in pyproject.toml cannot be read: {error}."
            )
            continue
        for text in resolved:
            _declare(reading, text, "pyproject.toml", f"dependency-groups.{name}", default=False)


def _declare(reading: _Reading, text: str, file: str, where: str, *, default: bool = True) -> None:
    try:
        Requirement(text)
    except InvalidRequirement:
        reading.notes.append(f"{file}, {where}: “{text[:100]}” was not understood.")
        return
    if not any(d.text == text and d.file == file for d in reading.declared):
        reading.declared.append(Declared(text, file, where, default))


def _read_requirements(reading: _Reading, file: Path, seen: set[Path]) -> None:
    """One requirements file and those it includes, as long as they lie in the project."""
    if file in seen:
        return
    seen.add(file)
    text = _text(reading, file)
    name = str(file.relative_to(reading.root))
    for number, line in _logical_lines(text or ""):
        if line.startswith("-"):
            _follow(reading, file, line, seen)
            continue
        requirement = _OPTIONS.sub("", line).strip()
        default = file.stem == "requirements"
        _declare(reading, requirement, name, f"line {number}", default=default)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued lines joined, with the number of their first line."""
    kept, start = "", 1
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).strip()
        start = start if kept else number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if (kept + line).strip():
            yield start, (kept + line).strip()
        kept = ""


def _follow(reading: _Reading, file: Path, line: str, seen: set[Path]) -> None:
    option, _, value = line.replace("=", " ", 1).partition(" ")
    target = (file.parent / value.strip()).resolve()
    inside = reading.root.resolve() in target.parents
    if option in {"-r", "--requirement"} and inside and target.is_file():
        _read_requirements(reading, reading.root / target.relative_to(reading.root.resolve()), seen)
    elif option in {"-c", "--constraint"} and inside and target.is_file():
        _read_constraints(reading, target)
    elif option in {"-r", "--requirement", "-c", "--constraint", "-e", "--editable"}:
        reading.notes.append(f"{file.name}: “{line[:100]}” was not followed.")


def _read_constraints(reading: _Reading, file: Path) -> None:
    """Versions given with == in a constraints file count as locked."""
    for _, line in _logical_lines(_text(reading, file) or ""):
        try:
            requirement = Requirement(_OPTIONS.sub("", line).strip())
        except InvalidRequirement:
            continue
        versions = [s.version for s in requirement.specifier if s.operator in {"==", "==="}]
        if versions:
            reading.locked.setdefault(canonicalize_name(requirement.name), []).extend(versions)


def _read_lock(reading: _Reading) -> None:
    """The first lock file there is; several would contradict each other."""
    for name in LOCK_FILES:
        file = reading.root / name
        if not file.is_file():
            continue
        document = _toml(reading, file)
        packages = document.get("packages" if name == "pylock.toml" else "package")
        for package in packages if isinstance(packages, list) else []:
            _lock(reading, package)
        reading.lock_file = name
        return


def _lock(reading: _Reading, package: object) -> None:
    if not isinstance(package, dict) or not isinstance(package.get("name"), str):
        return
    versions = reading.locked.setdefault(canonicalize_name(package["name"]), [])
    source = package.get("source")
    own = isinstance(source, dict) and bool({"virtual", "editable", "directory"} & source.keys())
    if isinstance(package.get("version"), str) and not own:
        versions.append(package["version"])


def _mention_code(reading: _Reading) -> None:
    for name in _CODE_FILES:
        if (reading.root / name).is_file():
            reading.notes.append(
                f"{name} was not run: requirements it computes are not in this report."
            )


def _toml(reading: _Reading, file: Path) -> dict[str, object]:
    text = _text(reading, file)
    if text is None:
        return {}
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reading.notes.append(f"{file.name} is not valid TOML: {error}.")
        return {}


def _text(reading: _Reading, file: Path) -> str | None:
    """The text of a file of the project, noting that it was read or why it was not."""
    if not file.is_file():
        return None
    try:
        if not file.resolve().is_relative_to(reading.root.resolve()):
            reading.notes.append(f"{file.name} leads outside the project and was not read.")
            return None
        if file.stat().st_size > _MAX_BYTES:
            reading.notes.append(f"{file.name} is larger than 32 MB and was not read.")
            return None
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reading.notes.append(f"{file.name} cannot be read: {error}.")
        return None
    reading.files.append(file.name)
    return text


def _table(document: dict[str, object], key: str) -> dict[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
