"""Reading the metadata of one installed distribution."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from agentops import tool
from agentops.agents.dependency_audit.records import Distribution

_KEPT_CHARACTERS = 4000
_FILE_HEAD_BYTES = 8000
_MAX_BYTES = 32 * 1024 * 1024
_LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|unlicense)", re.IGNORECASE)
_LICENCE_CLASSIFIER = "License :: "


@tool(effect="read", timeout=20, retries=2, optional=True)
def read_distribution(path: str) -> Distribution:
    """What the metadata at ``path`` say.

    Metadata that cannot be understood are described in ``problems``, never raised: one broken
    package must not hide the others.
    """
    place = Path(path)
    label = place.name
    if label.startswith("~"):
        return Distribution(path, problems=(f"{label} was left by an interrupted installation.",))
    if odd := _odd_file(place):
        return _nameless(place, odd)
    found = importlib.metadata.Distribution.at(place)
    try:
        metadata, requires = _fields(found), found.requires or []
    except (UnicodeDecodeError, ValueError, LookupError) as error:
        return _nameless(place, f"Its metadata cannot be read: {type(error).__name__}: {error}.")
    if metadata is None:
        return _nameless(place, _why_nothing(place))
    return _record(place, found, metadata, requires)


def _odd_file(place: Path) -> str:
    """What forbids to open the metadata: a pipe would block for ever, a giant fill the memory."""
    for file in (place / "METADATA", place / "PKG-INFO", place):
        if file.is_dir() or not file.exists():
            continue
        if not file.is_file():
            return f"{file.name} is not a file."
        if file.stat().st_size > _MAX_BYTES:
            return f"{file.name} is larger than 32 MB."
    return ""


def _fields(found: importlib.metadata.Distribution) -> Message | None:
    """The parsed metadata, or None where there is no text to parse."""
    names = ("METADATA", "PKG-INFO", "")
    if not any(_text(found, name) for name in names):
        return None
    metadata: object = found.metadata
    return metadata if isinstance(metadata, Message) else None


def _text(found: importlib.metadata.Distribution, name: str) -> str:
    return (found.read_text(name) or "").strip()


def _why_nothing(place: Path) -> str:
    for name in ("METADATA", "PKG-INFO"):
        file = place / name
        if file.exists():
            reason = "is empty" if os.access(file, os.R_OK) else "may not be read by the worker"
            return f"{place.name}/{name} {reason}."
    return f"{place.name} has no METADATA file."


def _nameless(place: Path, problem: str) -> Distribution:
    name, version = _from_label(place)
    return Distribution(str(place), name=name, version=version, problems=(problem,))


def _from_label(place: Path) -> tuple[str, str]:
    """Name and version as the folder's name has them: the last resort."""
    label = place.parent.name if place.name == "EGG-INFO" else place.name
    name, _, rest = re.sub(r"\.(dist-info|egg-info|egg)$", "", label).partition("-")
    return name, rest.split("-")[0]


def _record(
    place: Path, found: importlib.metadata.Distribution, metadata: Message, requires: list[str]
) -> Distribution:
    classifiers = _all(metadata, "Classifier")
    licences = tuple(c for c in classifiers if c.startswith(_LICENCE_CLASSIFIER))
    expression, text = _one(metadata, "License-Expression"), _one(metadata, "License")
    file, file_text = ("", "") if expression or text or licences else _licence_file(place)
    fallback_name, fallback_version = _from_label(place)
    return Distribution(
        path=str(place),
        name=_one(metadata, "Name") or fallback_name,
        version=_one(metadata, "Version") or fallback_version,
        licence_expression=expression,
        licence_text=text[:_KEPT_CHARACTERS],
        licence_classifiers=licences,
        licence_file=file,
        licence_file_text=file_text,
        requires=tuple(requires),
        requires_python=_one(metadata, "Requires-Python"),
        installer=_text(found, "INSTALLER"),
        origin=_origin(_text(found, "direct_url.json")),
        dated=_dated(place),
        problems=tuple(_problems(place, metadata, requires)),
    )


def _one(metadata: Message, field: str) -> str:
    value = metadata.get(field)
    text = "" if value is None else str(value).strip()
    return "" if text.upper() == "UNKNOWN" else text


def _all(metadata: Message, field: str) -> list[str]:
    return [str(value).strip() for value in metadata.get_all(field) or []]


def _problems(place: Path, metadata: Message, requires: list[str]) -> list[str]:
    name, version = _one(metadata, "Name"), _one(metadata, "Version")
    needed = (("Name", name), ("Version", version))
    problems = [f"Its metadata lack the field {field}." for field, value in needed if not value]
    if version and not _parses(Version, version):
        problems.append(f"Version “{version}” is not a version.")
    labelled = _from_label(place)[0]
    if name and place.suffix == ".dist-info" and not _same(name, labelled):
        problems.append(f"The folder is called {place.name}, the metadata say {name}.")
    python = _one(metadata, "Requires-Python")
    if python and not _parses(SpecifierSet, python):
        problems.append(f"Requires-Python “{python}” is not a version range.")
    unread = [text for text in requires if not _parses(Requirement, text)]
    return problems + [f"Requirement “{text[:120]}” cannot be understood." for text in unread]


def _parses(form: type[Version] | type[SpecifierSet] | type[Requirement], text: str) -> bool:
    try:
        form(text)
    except (InvalidVersion, InvalidSpecifier, InvalidRequirement):
        return False
    return True


def _same(one: str, other: str) -> bool:
    return canonicalize_name(one) == canonicalize_name(other)


def _licence_file(place: Path) -> tuple[str, str]:
    """Name and head of the licence file that came with the metadata."""
    if not place.is_dir():
        return "", ""
    for folder in (place / "licenses", place):
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _LICENCE_FILE.match(file.name) and file.is_file() and os.access(file, os.R_OK):
                head = file.read_bytes()[:_FILE_HEAD_BYTES].decode(errors="replace")
                return str(file.relative_to(place)), head[:_KEPT_CHARACTERS]
    return "", ""


def _origin(direct_url: str) -> str:
    """Where ``direct_url.json`` (PEP 610) says it came from, without user and password."""
    try:
        said = json.loads(direct_url) if direct_url else {}
    except ValueError:
        return "direct_url.json cannot be read"
    if not isinstance(said, dict) or "url" not in said:
        return ""
    url = re.sub(r"//[^/@]*@", "//", str(said["url"]))
    commit = (
        said.get("vcs_info", {}).get("commit_id", "")
        if isinstance(said.get("vcs_info"), dict)
        else ""
    )
    editable = isinstance(said.get("dir_info"), dict) and said["dir_info"].get("editable")
    return url + (f" at {commit}" if commit else "") + (" (editable)" if editable else "")


def _dated(place: Path) -> str:
    for file in (place / "METADATA", place / "PKG-INFO", place):
        try:
            return datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()
        except OSError:
            continue
    return ""
