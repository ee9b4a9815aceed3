"""The report: what to do first, then the findings with what proves them, then everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from agentops.agents.dependency_audit.analysis import PROJECT, Analysis
from agentops.agents.dependency_audit.findings import MEANING, Finding, Kind, Level
from agentops.agents.dependency_audit.licence_names import words
from agentops.agents.dependency_audit.markdown import code, listed, plain, table
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Project, Target
from agentops.agents.dependency_audit.standing import standing

_LIMITS = (
    "Known vulnerabilities and newer releases are not looked up: the audit reads this machine "
    "and nothing else."
)


@dataclass(frozen=True, slots=True)
class Report:
    """All that goes into a report."""

    run_id: str
    made_at: datetime
    target: Target
    project: Project | None
    policy: Policy
    analysis: Analysis

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        fix, decide = self.analysis.count(Level.FIX), self.analysis.count(Level.DECIDE)
        packages = _counted(len(self.analysis.packages), "package", "packages")
        if not fix and not decide:
            return f"{packages}, nothing to do"
        return f"{packages}, {fix or 'nothing'} to fix, {decide or 'nothing'} to decide"

    def data(self) -> dict[str, object]:
        """The report for programs."""
        return {
            "run": self.run_id,
            "made_at": self.made_at.isoformat(),
            "verdict": self.verdict,
            "counts": counts(self.analysis),
            "target": asdict(self.target),
            "project": asdict(self.project) if self.project else None,
            "policy": self.policy.model_dump(mode="json"),
            "findings": [{"level": f.level, **asdict(f)} for f in self.analysis.findings],
            "packages": [asdict(package) for package in self.analysis.packages],
            "ignored": list(self.analysis.ignored),
            "notes": list(self.analysis.notes),
        }


def counts(analysis: Analysis) -> dict[str, int]:
    """How many findings of each level and kind there are, and how many packages."""
    levels = {level.value: analysis.count(level) for level in Level}
    kinds = {kind.value: len(found) for kind, found in analysis.by_kind().items()}
    return {"packages": len(analysis.packages), **levels, **kinds}


def summary(report: Report) -> str:
    """The head of the report: verdict and what to do. It is also the text of the mail."""
    lines = [
        f"# Dependency audit: {plain(report.target.asked)}",
        "",
        f"**{report.verdict}** (Python {report.target.python}, read "
        f"{report.made_at:%Y-%m-%d %H:%M} UTC).",
        "",
        "## What to do",
        "",
        *(_tasks(report.analysis) or ["Nothing. Every rule of the policy holds."]),
    ]
    return "\n".join(lines) + "\n"


def full(report: Report) -> str:
    """The whole report in Markdown."""
    parts = [summary(report).rstrip("\n").split("\n")]
    for kind, found in report.analysis.by_kind().items():
        parts.append(_section(kind, found, report))
    parts += [_licences(report), _packages(report.analysis), _method(report)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _tasks(analysis: Analysis) -> list[str]:
    """One numbered line for every kind of finding that asks for something."""
    asking = [(k, f) for k, f in analysis.by_kind().items() if MEANING[k].level is not Level.KNOW]
    lines = []
    for number, (kind, found) in enumerate(asking, 1):
        meaning = MEANING[kind]
        title = _counted(len(found), meaning.one, meaning.many)
        verb = "Fix" if meaning.level is Level.FIX else "Decide on"
        lines.append(f"{number}. **{verb} {title}**: {_named(kind, found)}. {meaning.advice}")
    return lines


def _named(kind: Kind, found: Sequence[Finding]) -> str:
    """Whom it concerns; for licences by licence, because one decision settles them all."""
    if kind not in {Kind.DENIED, Kind.UNDECIDED}:
        return listed(list(dict.fromkeys(f.package for f in found)))
    by_licence: dict[str, list[str]] = {}
    for finding in found:
        licence = finding.sentence.split(" is ", 1)[0]
        by_licence.setdefault(licence, []).append(finding.package)
    return "; ".join(
        f"{plain(words(licence))} ({listed(names)})" for licence, names in by_licence.items()
    )


def _section(kind: Kind, found: Sequence[Finding], report: Report) -> list[str]:
    meaning = MEANING[kind]
    title = _counted(len(found), meaning.one, meaning.many)
    rows = [
        (
            code(f.package),
            plain(f.version),
            plain(words(f.sentence)),
            _needed(report.analysis.needed_by(f.package)),
            _evidence(f, report.target.paths),
        )
        for f in found
    ]
    head = ("Package", "Version", "What was found", "Needed by", "Evidence")
    return [f"## {title[0].upper()}{title[1:]}", "", meaning.advice, "", *table(head, rows)]


def _needed(names: Sequence[str]) -> str:
    """Who needs a package, the project first."""
    packages = [name for name in names if name != PROJECT]
    parts = [PROJECT] * (PROJECT in names) + [listed(packages, 3)] * bool(packages)
    return ", ".join(parts)


def _evidence(finding: Finding, paths: Sequence[str]) -> str:
    """File, field and value. The file is shown from the package folder on."""
    inside = [path for path in paths if finding.file.startswith(f"{path}/")]
    file = finding.file.removeprefix(f"{max(inside, key=len)}/" if inside else "")
    parts = [code(file), plain(finding.field) + ":" if finding.field else "", code(finding.value)]
    return " ".join(part for part in parts if part)


def _licences(report: Report) -> list[str]:
    rows = [
        (
            plain(words(licence)),
            str(len(names)),
            _standing(licence, report.policy),
            listed(names, 4),
        )
        for licence, names in report.analysis.by_licence()
    ]
    return ["## Licences", "", *table(("Licence", "Packages", "By the policy", "Which"), rows)]


def _standing(licence: str, policy: Policy) -> str:
    return "" if licence == "unknown" else standing(licence, policy).words


def _packages(analysis: Analysis) -> list[str]:
    rows = [
        (
            code(p.name),
            plain(p.version),
            plain(words(p.licence)),
            plain(p.licence_from),
            _needed(p.needed_by),
            p.dated,
        )
        for p in analysis.packages
    ]
    head = ("Package", "Version", "Licence", "Licence from", "Needed by", "Files dated")
    return ["## All packages", "", *table(head, rows)]


def _method(report: Report) -> list[str]:
    """What was read and by which rules, so that the result can be checked."""
    project, policy = report.project, report.policy
    files = listed(project.files, 12) if project and project.files else "none"
    lines = [
        f"- Package folders: {listed(report.target.paths, 12) or 'none'}",
        f"- Files of the project: {files}" + (f" in {code(project.folder)}" if project else ""),
        f"- Allowed licences: {listed(policy.allowed_licences, 40)}",
        f"- Denied licences: {listed(policy.denied_licences, 40)}",
        *(f"- {plain(rule)}" for rule in _other_rules(report)),
        *(f"- {plain(note)}" for note in report.analysis.notes),
        f"- {_LIMITS}",
        f"- Run: {code(report.run_id)}",
    ]
    return ["## What was read, and by which rules", "", *lines]


def _other_rules(report: Report) -> list[str]:
    policy = report.policy
    minimum = ", ".join(f"{name} {version}" for name, version in policy.minimum_versions.items())
    rules = [
        f"Minimum versions: {minimum or 'none given'}",
        f"Oldest files: {f'{policy.max_age_days} days' if policy.max_age_days else 'any age'}",
        f"Requirements must be pinned: {'yes' if policy.pinned else 'no'}",
    ]
    ignored = report.analysis.ignored
    return [*rules, f"Nothing is said about {', '.join(ignored)}"] if ignored else rules


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
