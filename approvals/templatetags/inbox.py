"""Tags of the inbox: texts of others, with what they would hide made visible."""

from __future__ import annotations

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from approvals import revealing

register = template.Library()

_TOLD, _PLAIN = '<mark class="unseen" title="{1}">{0}</mark>', "{0}"


@register.filter
def revealed(text: object) -> SafeString:
    """A text that somebody else wrote, with marks where something would not be seen."""
    found = revealing.pieces(str(text))
    return SafeString(
        "".join(format_html_join("", _TOLD if it.told else _PLAIN, [(it.text, it.told)])
                for it in found)
    )  # fmt: skip


register.filter("plainly", revealing.plain)
