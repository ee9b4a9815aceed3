"""Everything that was read, judged at once. Pure: the same records give the same findings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from packaging.utils import canonicalize_name

from agentops.agents.dependency_audit import licence_findings, packages, project_findings
from agentops.agents.dependency_audit.findings import Finding, Kind, Level
from agentops.agents.dependency_audit.installed import Installed, parsed, picture
from agentops.agents.dependency_audit.licences import Licence
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution, Project, Target

PROJECT = "the project"
_ORDER = list(Kind)


@dataclass(frozen=True, slots=True)
class Package:
    """One line of the report's table."""

    name: str
    version: str
    licence: str
    licence_from: str
    dated: str
    installer: str
    path: str
    needed_by: tuple[str, ...]
    """Installed packages that require it, and PROJECT when its own files name it."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the audit found."""

    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]
    """Names the policy told to say nothing about, of those that are installed."""
    notes: tuple[str, ...]

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)

    def by_kind(self) -> dict[Kind, list[Finding]]:
        """Findings by kind, gravest first; kinds without findings are left out."""
        return {k: found for k in _ORDER if (found := [f for f in self.findings if f.kind is k])}

    def by_licence(self) -> list[tuple[str, list[str]]]:
        """Names of the packages of each licence, the most frequent licence first."""
        names: dict[str, list[str]] = {}
        for package in self.packages:
            names.setdefault(package.licence, []).append(package.name)
        return sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))

    def needed_by(self, name: str) -> tuple[str, ...]:
        """Who requires the installed package called ``name``."""
        wanted = canonicalize_name(name)
        return next((p.needed_by for p in self.packages if canonicalize_name(p.name) == wanted), ())


def analyse(
    target: Target,
    distributions: list[Distribution],
    project: Project | None,
    policy: Policy,
    today: date,
) -> Analysis:
    """Find what is wrong. ``today`` is what ages are counted from."""
    project = project or Project(folder="")
    installed = picture(distributions, target.python, project.declared)
    known = licence_findings.licences(distributions, policy)
    needed = needed_by(installed, project)
    found = [
        *packages.broken(distributions),
        *packages.conflicts(installed),
        *project_findings.unmet_declarations(project, installed),
        *packages.wrong_python(installed, target.python),
        *packages.duplicates(distributions),
        *project_findings.drift(project, installed),
        *licence_findings.judged(distributions, known, policy),
        *packages.outdated(installed, policy),
        *project_findings.unpinned(project, policy),
        *packages.old(installed, policy, today),
        *packages.origins(installed),
    ]
    kept = [f for f in found if canonicalize_name(f.package) not in policy.ignore]
    return Analysis(
        packages=tuple(_package(d, known[d.path], needed) for d in _by_name(distributions)),
        findings=tuple(sorted(kept, key=lambda f: (_ORDER.index(f.kind), f.package.lower()))),
        ignored=tuple(name for name in sorted(policy.ignore) if name in installed.by_name),
        notes=(*target.notes, *project.notes, *_unused(policy, installed)),
    )


def _by_name(distributions: list[Distribution]) -> list[Distribution]:
    return sorted(distributions, key=lambda d: (canonicalize_name(d.name or d.label), d.path))


def needed_by(installed: Installed, project: Project) -> dict[str, list[str]]:
    """Who requires each package, by canonical name."""
    needed: dict[str, list[str]] = {}
    for requirement in parsed(declared.text for declared in project.declared):
        if installed.holds(requirement):
            _add(needed, requirement.name, PROJECT)
    for need in installed.needs():
        _add(needed, need.requirement.name, need.by.name)
    return needed


def _add(needed: dict[str, list[str]], name: str, by: str) -> None:
    names = needed.setdefault(canonicalize_name(name), [])
    if by not in names and canonicalize_name(by) != canonicalize_name(name):
        names.append(by)


def _package(found: Distribution, licence: Licence, needed: dict[str, list[str]]) -> Package:
    return Package(
        name=found.name or found.label,
        version=found.version,
        licence=licence.expression or "unknown",
        licence_from=licence.field if licence.expression else "",
        dated=found.dated,
        installer=found.installer,
        path=found.path,
        needed_by=tuple(needed.get(canonicalize_name(found.name), ())),
    )


def _unused(policy: Policy, installed: Installed) -> list[str]:
    """Names in the policy that match nothing: most likely typing errors."""
    named = {*policy.ignore, *policy.minimum_versions, *policy.known_licences}
    absent = sorted(name for name in named if name not in installed.by_name)
    return [f"The policy names {', '.join(absent)}, which is not installed."] if absent else []
