"""Tags about the reports a run wrote."""

from __future__ import annotations

from django import template

from agentops import reports

register = template.Library()


@register.filter
def wrote_report(public_id: str) -> bool:
    """Whether the run left files for people to read."""
    return bool(reports.files_of(public_id))
