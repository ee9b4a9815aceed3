"""What the tools of the audit hand over: plain values that the journal can keep."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """An environment that was found: where its packages lie and what belongs to it."""

    asked: str
    """What was asked for, in words."""
    paths: tuple[str, ...]
    """Folders that hold packages, in the order Python looks through them."""
    distributions: tuple[str, ...]
    """The metadata folder of every distribution in them, first found first."""
    python: str
    """Version of the Python the packages are for."""
    project: str | None = None
    """The folder whose requirements the environment serves, if there is one."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know about this choice."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What the metadata of one installed distribution say, unjudged."""

    path: str
    name: str = ""
    version: str = ""
    licence_expression: str = ""
    licence_text: str = ""
    licence_classifiers: tuple[str, ...] = ()
    licence_file: str = ""
    """Name of a licence file, read only when no field names a licence."""
    licence_file_text: str = ""
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    installer: str = ""
    origin: str = ""
    """Where it came from when that was not a package index."""
    dated: str = ""
    """Day of the metadata file, YYYY-MM-DD."""
    problems: tuple[str, ...] = ()
    """What is broken about the metadata, in sentences."""

    @property
    def label(self) -> str:
        """The last part of the path, which names it even when nothing can be read."""
        return self.path.replace("\\", "/").rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Declared:
    """One requirement of the project, as its author wrote it."""

    text: str
    file: str
    field: str
    installed_by_default: bool = True
    """False for optional groups: nobody misses them when they are not installed."""


@dataclass(frozen=True, slots=True)
class Project:
    """What the files of a project ask for and lock."""

    folder: str
    files: tuple[str, ...] = ()
    declared: tuple[Declared, ...] = ()
    locked: dict[str, list[str]] = field(default_factory=dict)
    """Canonical name → versions a lock file holds; an empty list is the project's own source."""
    lock_file: str = ""
    notes: tuple[str, ...] = ()
