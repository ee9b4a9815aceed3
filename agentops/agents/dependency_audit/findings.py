"""What an audit can find, how grave each kind is, and what helps against it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """What a finding asks of its reader."""

    FIX = "fix"
    DECIDE = "decide"
    KNOW = "know"


class Kind(enum.StrEnum):
    """The kinds of findings, gravest first."""

    BROKEN = "broken"
    CONFLICT = "conflict"
    MISSING = "missing"
    PYTHON = "python"
    DUPLICATE = "duplicate"
    DRIFT = "drift"
    DENIED = "licence_denied"
    OUTDATED = "outdated"
    UNPINNED = "unpinned"
    UNKNOWN = "licence_unknown"
    UNDECIDED = "licence_undecided"
    OLD = "old"
    UNLOCKED = "unlocked"
    DISAGREE = "licence_fields_disagree"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a kind of finding is presented."""

    level: Level
    one: str
    many: str
    advice: str


MEANING: dict[Kind, Meaning] = {
    Kind.BROKEN: Meaning(
        Level.FIX, "package with broken metadata", "packages with broken metadata",
        "Install it again (`pip install --force-reinstall`), or delete what an interrupted "
        "installation left behind. Until then nothing can be said about it."),
    Kind.CONFLICT: Meaning(
        Level.FIX, "version conflict", "version conflicts",
        "Install a version that every package accepts, or update the one that asks for another."),
    Kind.MISSING: Meaning(
        Level.FIX, "missing requirement", "missing requirements",
        "Install it, or remove the package that needs it."),
    Kind.PYTHON: Meaning(
        Level.FIX, "package for another Python", "packages for another Python",
        "Install a version of the package that supports this Python, or use a Python it supports."),
    Kind.DUPLICATE: Meaning(
        Level.FIX, "package installed more than once", "packages installed more than once",
        "Uninstall all copies (`pip uninstall`, once per copy) and install the one you want."),
    Kind.DRIFT: Meaning(
        Level.FIX, "package that differs from the lock file",
        "packages that differ from the lock file",
        "Bring the environment in line with the lock file (`uv sync --frozen` or its like), or "
        "lock anew."),
    Kind.DENIED: Meaning(
        Level.FIX, "package with a denied licence", "packages with denied licences",
        "Replace it. If the metadata are wrong or you have other terms, say so under "
        "`known_licences` of the policy."),
    Kind.OUTDATED: Meaning(
        Level.FIX, "package below the minimum version", "packages below the minimum version",
        "Update to the minimum version of the policy or later."),
    Kind.UNPINNED: Meaning(
        Level.DECIDE, "unpinned requirement", "unpinned requirements",
        "Lock it (`uv lock`, `pip-compile`) or give the version with `==`; otherwise the next "
        "installation may bring other code."),
    Kind.UNKNOWN: Meaning(
        Level.DECIDE, "package of unknown licence", "packages of unknown licence",
        "Read its licence and write it down under `known_licences` of the policy."),
    Kind.UNDECIDED: Meaning(
        Level.DECIDE, "package whose licence the policy does not mention",
        "packages whose licences the policy does not mention",
        "Decide once per licence: add it to `allowed_licences` or `denied_licences`."),
    Kind.OLD: Meaning(
        Level.DECIDE, "package older than the policy likes", "packages older than the policy likes",
        "See whether a newer release exists. The age is that of the installed file, not of the "
        "release."),
    Kind.UNLOCKED: Meaning(
        Level.KNOW, "package the lock file does not know", "packages the lock file does not know",
        "Somebody installed it by hand, or the lock file is stale."),
    Kind.DISAGREE: Meaning(
        Level.KNOW, "package whose licence fields disagree",
        "packages whose licence fields disagree",
        "The audit used the field named first. Look it up where it matters."),
    Kind.ORIGIN: Meaning(
        Level.KNOW, "package not from an index", "packages not from an index",
        "Installed from a folder, a repository or an address; only that place can bring it again."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing, with what proves it."""

    kind: Kind
    package: str
    version: str
    sentence: str
    file: str = ""
    field: str = ""
    value: str = ""

    @property
    def level(self) -> Level:
        return MEANING[self.kind].level
