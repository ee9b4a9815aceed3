"""Findings about the packages themselves: conflicts, missing, duplicates, broken, outdated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import PurePath

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from agentops.agents.dependency_audit.findings import Finding, Kind
from agentops.agents.dependency_audit.installed import Installed
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution


def conflicts(installed: Installed) -> Iterator[Finding]:
    """Requirements of packages that the installed versions do not meet, or nothing meets."""
    for need in installed.needs():
        by, requirement = need.by, need.requirement
        about = f"{by.name} {by.version}"
        found = unmet(installed, requirement)
        if found is None:
            continue
        kind, version, state = found
        wanted = _plain(requirement) + (f" (for its extra “{need.extra}”)" if need.extra else "")
        yield Finding(
            kind, requirement.name, version, f"{about} needs {wanted}, but {state}.",
            file=evidence_file(by), field="Requires-Dist", value=str(requirement),
        )  # fmt: skip


def unmet(installed: Installed, requirement: Requirement) -> tuple[Kind, str, str] | None:
    """How the environment fails ``requirement``: kind, installed version and state, or None."""
    found = installed.by_name.get(canonicalize_name(requirement.name))
    if found is None:
        return Kind.MISSING, "", "it is not installed"
    version = installed.version(requirement.name)
    if version is None or requirement.specifier.contains(version, prereleases=True):
        return None
    return Kind.CONFLICT, found.version, f"{found.version} is installed"


def wrong_python(installed: Installed, python: str) -> Iterator[Finding]:
    """Packages that say they do not run on this Python."""
    full = python if python.count(".") > 1 else f"{python}.0"
    for found in installed.by_name.values():
        try:
            supported = SpecifierSet(found.requires_python)
        except InvalidSpecifier:
            continue
        if not supported.contains(full, prereleases=True):
            yield Finding(
                Kind.PYTHON, found.name, found.version,
                f"It needs Python {supported}; this environment has {python}.",
                file=evidence_file(found), field="Requires-Python", value=found.requires_python,
            )  # fmt: skip


def duplicates(distributions: Iterable[Distribution]) -> Iterator[Finding]:
    """Packages with metadata in more than one place."""
    places: dict[str, list[Distribution]] = defaultdict(list)
    for found in distributions:
        if found.name and not found.label.startswith("~"):
            places[canonicalize_name(found.name)].append(found)
    for copies in places.values():
        if len(copies) > 1:
            first = copies[0]
            yield Finding(
                Kind.DUPLICATE, first.name, first.version, _about_copies(*copies),
                file=first.path, field="Version", value=first.version,
            )  # fmt: skip


def _about_copies(first: Distribution, *others: Distribution) -> str:
    """One folder can hold only one copy, whatever its metadata say; of several the first counts."""
    folder = PurePath(first.path).parent
    beside = [o.label for o in others if PurePath(o.path).parent == folder]
    elsewhere = [o for o in others if PurePath(o.path).parent != folder]
    rest = ", ".join(f"{o.version} in {PurePath(o.path).parent}" for o in elsewhere)
    if not beside:
        return f"Python imports {first.version}; also installed: {rest}."
    labels = ", ".join((first.label, *beside))
    more = f" Also installed: {rest}." if rest else ""
    return f"{folder} holds {labels}; only one of them can be true.{more}"


def broken(distributions: Iterable[Distribution]) -> Iterator[Finding]:
    """Packages whose metadata cannot be trusted."""
    for found in distributions:
        for problem in found.problems:
            yield Finding(
                Kind.BROKEN, found.name or found.label, found.version, problem, file=found.path
            )


def outdated(installed: Installed, policy: Policy) -> Iterator[Finding]:
    """Packages below the minimum versions of the policy."""
    for name, minimum in policy.minimum_versions.items():
        found, version = installed.by_name.get(name), installed.version(name)
        if found and version and version < Version(minimum):
            yield Finding(
                Kind.OUTDATED, found.name, found.version,
                f"The policy asks for {minimum} or later.",
                file=evidence_file(found), field="Version", value=found.version,
            )  # fmt: skip


def old(installed: Installed, policy: Policy, today: date) -> Iterator[Finding]:
    """Packages whose files are older than the policy likes."""
    for found in installed.by_name.values():
        if policy.max_age_days is None or not found.dated:
            continue
        age = (today - date.fromisoformat(found.dated)).days
        if age > policy.max_age_days:
            yield Finding(
                Kind.OLD, found.name, found.version,
                f"Its files are {age} days old; the policy allows {policy.max_age_days}.",
                file=evidence_file(found), field="modification time", value=found.dated,
            )  # fmt: skip


def origins(installed: Installed) -> Iterator[Finding]:
    """Packages that did not come from a package index."""
    for found in installed.by_name.values():
        if found.origin:
            yield Finding(
                Kind.ORIGIN, found.name, found.version, f"It came from {found.origin}.",
                file=str(PurePath(found.path) / "direct_url.json"), field="url", value=found.origin,
            )  # fmt: skip


def evidence_file(found: Distribution) -> str:
    """The file that the metadata of ``found`` were read from."""
    name = "METADATA" if found.path.endswith(".dist-info") else "PKG-INFO"
    return str(PurePath(found.path) / name)


def _plain(requirement: Requirement) -> str:
    """Name and range, without the marker, for a sentence."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
