"""Mailing the report once, and finding out whether a lost attempt did."""

from __future__ import annotations

from django.conf import settings

from agentops import ToolContext, Verified, tool
from agentops.mail import sending
from agentops.mail.sending import Mailed


def report_is_mailed(ctx: ToolContext, to: tuple[str, ...] | None, *_: object) -> Verified:
    """As far as anybody here can know."""
    return Verified(sending.was_sent(ctx), sending.mailed(ctx, _receivers(to)))


@tool(effect="once", retries=4, timeout=60, optional=True, verify=report_is_mailed)
def mail_report(
    ctx: ToolContext, to: tuple[str, ...] | None, subject: str, text: str, attachment: str
) -> Mailed:
    """Send the report: ``text`` and a link as the body, ``attachment`` as a Markdown file.

    Raises what :func:`agentops.mail.sending.send` does.
    """
    return sending.send(
        ctx, _receivers(to), subject, text + _link(ctx.run_id), ("dependency-audit.md", attachment)
    )


def _link(run_id: str) -> str:
    """Where to read it in the console, if this system knows its own address."""
    base = settings.AGENTOPS_PUBLIC_URL
    return f"Read it in the console: {base}/reports/{run_id}/\n" if base else f"Run {run_id}.\n"


def _receivers(to: tuple[str, ...] | None) -> tuple[str, ...]:
    """Those who were named, otherwise the address this system sends from."""
    return tuple(to) if to else (str(settings.DEFAULT_FROM_EMAIL),)
