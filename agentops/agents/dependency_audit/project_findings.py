"""Findings about the project's own files: unpinned, missing, drifted from the lock file."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from agentops.agents.dependency_audit.findings import Finding, Kind
from agentops.agents.dependency_audit.installed import Installed
from agentops.agents.dependency_audit.packages import evidence_file, unmet
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Project

_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv"})


def unpinned(project: Project, policy: Policy) -> Iterator[Finding]:
    """Requirements for which the next installation may choose another version."""
    if not policy.pinned:
        return
    seen: set[str] = set()
    for declared in project.declared:
        requirement = Requirement(declared.text)
        name = canonicalize_name(requirement.name)
        if name in seen or name in project.locked or _is_pinned(requirement):
            continue
        seen.add(name)
        where = f"{project.lock_file} lacks it" if project.lock_file else "no lock file holds it"
        sentence = f"“{declared.text}” leaves the version open and {where}."
        yield Finding(
            Kind.UNPINNED, requirement.name, "", sentence,
            file=declared.file, field=declared.field, value=declared.text,
        )  # fmt: skip


def unmet_declarations(project: Project, installed: Installed) -> Iterator[Finding]:
    """What the project asks for by default and the environment does not have."""
    if not installed.by_name:
        return
    for declared in project.declared:
        requirement = Requirement(declared.text)
        found = unmet(installed, requirement) if installed.holds(requirement) else None
        if found is None or (found[0] is Kind.MISSING and not declared.installed_by_default):
            continue
        kind, version, state = found
        yield Finding(
            kind, requirement.name, version, f"The project asks for {declared.text}, but {state}.",
            file=declared.file, field=declared.field, value=declared.text,
        )  # fmt: skip


def drift(project: Project, installed: Installed) -> Iterator[Finding]:
    """Installed versions that the lock file does not name, and packages it does not know."""
    if not project.lock_file:
        return
    for name, found in installed.by_name.items():
        locked, version = project.locked.get(name), installed.version(name)
        if locked is None and name not in _TOOLS and not found.origin:
            yield Finding(
                Kind.UNLOCKED, found.name, found.version, f"{project.lock_file} does not name it.",
                file=evidence_file(found), field="Name", value=found.name,
            )  # fmt: skip
        if locked and version is not None and version not in _versions(locked):
            yield Finding(
                Kind.DRIFT, found.name, found.version,
                f"{project.lock_file} says {' or '.join(locked)}; {found.version} is installed.",
                file=evidence_file(found), field="Version", value=found.version,
            )  # fmt: skip


def _is_pinned(requirement: Requirement) -> bool:
    """One exact version, or an address that names a commit or a digest."""
    if requirement.url:
        return "#sha256=" in requirement.url or "@" in requirement.url.rsplit("/", 1)[-1]
    exact = [s for s in requirement.specifier if s.operator in {"==", "==="}]
    return any(not s.version.endswith(".*") for s in exact)


def _versions(texts: list[str]) -> set[Version]:
    found = set()
    for text in texts:
        try:
            found.add(Version(text))
        except InvalidVersion:
            continue
    return found
