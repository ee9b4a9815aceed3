"""The agent: find the environment, read every package, judge, write, mail."""

from __future__ import annotations

from dataclasses import dataclass

from agentops import Missing, RunContext, agent
from agentops.agents.dependency_audit import report
from agentops.agents.dependency_audit.analysis import Analysis, analyse
from agentops.agents.dependency_audit.declarations import read_project
from agentops.agents.dependency_audit.files import write_report
from agentops.agents.dependency_audit.folders import find_environment
from agentops.agents.dependency_audit.mailing import mail_report
from agentops.agents.dependency_audit.markdown import unmarked
from agentops.agents.dependency_audit.policy import AuditInput
from agentops.agents.dependency_audit.reading import read_distribution
from agentops.agents.dependency_audit.records import Distribution, Project, Target
from agentops.mail.sending import Mailed
from agentops.reports import Written

# How many packages are read at once.
FAN_OUT = 16


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the audit returns."""

    verdict: str
    counts: dict[str, int]
    report: Written
    mailed: Mailed | None
    not_mailed_because: str = ""


def title(audit: AuditInput) -> str:
    """What a run is about, for lists."""
    return f"Audit of {audit.folder or 'the running environment'}"


@agent(
    tools=[find_environment, read_project, read_distribution, write_report, mail_report],
    timeout=900,
    title=title,
)
async def dependency_audit(ctx: RunContext, audit: AuditInput) -> Result:
    """Audit the Python packages of a folder or of the running environment.

    Reads the metadata of every installed distribution and the project's own files, and reports
    licences, conflicts, missing, unpinned, outdated, duplicate and broken packages: as Markdown
    and JSON in the data folder, and by mail.
    """
    ctx.progress("Looking for packages", 0.0)
    target = await ctx.call(find_environment, audit.folder)
    distributions = await _read_all(ctx, target)
    project = await ctx.call(read_project, target.project) if target.project else None
    ctx.progress(f"Judging {len(distributions)} packages", 0.85)
    analysis = await ctx.step(
        analyse, target, distributions, project, audit.policy, ctx.now().date(), timeout=120
    )
    return await _deliver(ctx, audit, _report(ctx, audit, target, project, analysis))


async def _read_all(ctx: RunContext, target: Target) -> list[Distribution]:
    """One call per distribution, some at a time. What cannot be read is listed as broken."""
    paths, found = target.distributions, list[Distribution]()
    for start in range(0, len(paths), FAN_OUT):
        batch = paths[start : start + FAN_OUT]
        ctx.progress(f"Read {start} of {len(paths)} packages", 0.8 * start / len(paths))
        answers = await ctx.gather(*(ctx.call(read_distribution, path) for path in batch))
        found += [_read(path, answer) for path, answer in zip(batch, answers, strict=True)]
    return found


def _read(path: str, answer: object) -> Distribution:
    if isinstance(answer, Distribution):
        return answer
    reason = answer.reason if isinstance(answer, Missing) else "no answer"
    return Distribution(path, problems=(f"It could not be read: {reason}",))


def _report(
    ctx: RunContext,
    audit: AuditInput,
    target: Target,
    project: Project | None,
    analysis: Analysis,
) -> report.Report:
    return report.Report(ctx.run_id, ctx.now(), target, project, audit.policy, analysis)


async def _deliver(ctx: RunContext, audit: AuditInput, made: report.Report) -> Result:
    """Write the report, then tell those who asked for it."""
    markdown, counts = report.full(made), report.counts(made.analysis)
    ctx.progress("Writing the report", 0.9)
    written = await ctx.call(write_report, markdown, made.data())
    if audit.mail_to == ():
        return Result(made.verdict, counts, written, None, "The input says that nobody gets mail.")
    ctx.progress("Mailing the report", 0.95)
    subject = f"Dependency audit: {made.verdict}"
    text = unmarked(report.summary(made)) + "\nThe whole report is attached.\n"
    mailed = await ctx.call(mail_report, audit.mail_to, subject, text, markdown)
    ctx.progress(made.verdict, 1.0)
    if isinstance(mailed, Missing):
        return Result(made.verdict, counts, written, None, mailed.reason)
    return Result(made.verdict, counts, written, mailed)
