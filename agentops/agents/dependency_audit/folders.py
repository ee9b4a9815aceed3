"""Finding the environment somebody means by a folder. Refusals are plain sentences."""

from __future__ import annotations

import getpass
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentops import ToolError, tool
from agentops.agents.dependency_audit import declarations
from agentops.agents.dependency_audit.records import Target

METADATA_ENDINGS = (".dist-info", ".egg-info", ".egg")
_USUAL_NAMES = (".venv", "venv", "env")
_LAYOUTS = (
    "lib/python3*/site-packages",
    "lib64/python3*/site-packages",
    "lib/python3*/dist-packages",
    "Lib/site-packages",
)
_PYTHON = re.compile(r"python(3\.\d+)")


@tool(effect="read", timeout=30)
def find_environment(folder: str | None) -> Target:
    """The environment in ``folder``, or the running one, with all its distributions.

    Raises ToolError for a folder that is not there, may not be read, or holds no packages.
    """
    if folder is None:
        return _running()
    root = _readable(folder)
    return _in_folder(root)


def _running() -> Target:
    paths = [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    return _target(
        asked=f"the running environment ({sys.prefix})",
        paths=paths,
        python=platform.python_version(),
        project=declarations.project_of(Path(sys.prefix)),
    )


def _readable(folder: str) -> Path:
    root = Path(folder)
    if "\0" in folder or not root.is_absolute():
        raise ToolError(f"“{folder}” is not an absolute path. Give the folder from / on.")
    try:
        root = root.resolve(strict=True)
        if not root.is_dir():
            raise ToolError(f"{folder} is a file. Give the folder of a project or environment.")
        next(root.iterdir(), None)
    except FileNotFoundError:
        raise ToolError(f"{folder} does not exist on the machine of the worker.") from None
    except PermissionError:
        raise ToolError(
            f"{folder} may not be read by the worker, which runs as {_me()}. "
            "Give that user the right to read it, or audit a copy."
        ) from None
    except (OSError, RuntimeError) as error:
        raise ToolError(f"{folder} cannot be opened: {error}.") from None
    _refuse_outside(root)
    return root


def _refuse_outside(root: Path) -> None:
    allowed = [Path(a).resolve() for a in _allowed_folders()]
    if allowed and not any(root == a or a in root.parents for a in allowed):
        shown = ", ".join(map(str, allowed))
        raise ToolError(
            f"{root} is outside the folders this system may audit ({shown}). "
            "An administrator can add it to AGENTOPS_AUDIT_FOLDERS."
        )


def _allowed_folders() -> list[str]:
    return [part for part in os.environ.get("AGENTOPS_AUDIT_FOLDERS", "").split(os.pathsep) if part]


def _in_folder(root: Path) -> Target:
    home, notes = _environment_home(root)
    paths = [root] if _holds_metadata(root) else _package_folders(home)
    project = declarations.project_of(root)
    if not paths and project is None:
        raise ToolError(
            f"Nothing to audit in {root}: no *.dist-info, no virtual environment, no lib/python3*/"
            "site-packages, and none of the files of a project (pyproject.toml, requirements.txt). "
            "Give the folder of a project, a virtual environment or a site-packages folder."
        )
    if not paths:
        notes.append("No environment was found in the folder: only the project's files were read.")
    python = _python_of(home, paths)
    if python is None:
        python = platform.python_version()
        notes.append(f"The folder does not say for which Python it is; {python} was assumed.")
    return _target(asked=str(root), paths=paths, python=python, project=project, notes=notes)


def _environment_home(root: Path) -> tuple[Path, list[str]]:
    """The prefix in ``root``: itself, or the environment of the project it is."""
    if (root / "pyvenv.cfg").is_file():
        return root, []
    inside = [child for child in _children(root) if (child / "pyvenv.cfg").is_file()]
    inside.sort(
        key=lambda child: _USUAL_NAMES.index(child.name) if child.name in _USUAL_NAMES else 9
    )
    if not inside:
        return root, []
    others = ", ".join(child.name for child in inside[1:])
    notes = [f"The environment {inside[0].name} was audited, not {others}."] if others else []
    return inside[0], notes


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except PermissionError:
        return []


def _holds_metadata(folder: Path) -> bool:
    return next(_metadata_in(folder), None) is not None


def _package_folders(prefix: Path) -> list[Path]:
    return [
        folder for layout in _LAYOUTS for folder in sorted(prefix.glob(layout)) if folder.is_dir()
    ]


def _metadata_in(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(METADATA_ENDINGS):
            yield entry / "EGG-INFO" if entry.suffix == ".egg" and entry.is_dir() else entry


def _python_of(home: Path, paths: Iterable[Path]) -> str | None:
    """What ``pyvenv.cfg`` says, otherwise what the folder's name says."""
    for line in _lines(home / "pyvenv.cfg"):
        key, _, value = line.partition("=")
        if key.strip() in {"version", "version_info"}:
            return ".".join(value.strip().split(".")[:3])
    for path in paths:
        found = _PYTHON.search(str(path))
        if found:
            return found.group(1)
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _target(
    *,
    asked: str,
    paths: Iterable[Path],
    python: str,
    project: Path | None,
    notes: Iterable[str] = (),
) -> Target:
    unique = list(dict.fromkeys(path.resolve() for path in paths))
    return Target(
        asked=asked,
        paths=tuple(map(str, unique)),
        distributions=tuple(str(found) for path in unique for found in _metadata_in(path)),
        python=python,
        project=str(project) if project else None,
        notes=tuple(notes),
    )


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
