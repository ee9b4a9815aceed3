"""Writing the report so that it is there whole or not at all, and can be proven to be there."""

from __future__ import annotations

from agentops import ToolContext, Verified, reports, tool
from agentops.reports import Written

NAME = "dependency-audit"
MARKDOWN, JSON = f"{NAME}.md", f"{NAME}.json"


def report_is_written(ctx: ToolContext, *_: object) -> Verified:
    """Read the files back."""
    return reports.was_written(ctx, NAME)


@tool(effect="once", retries=3, timeout=30, verify=report_is_written)
def write_report(ctx: ToolContext, markdown: str, data: dict[str, object]) -> Written:
    """Write the report as Markdown and JSON into the data folder; see :func:`reports.write`."""
    return reports.write(ctx, NAME, markdown, data)
