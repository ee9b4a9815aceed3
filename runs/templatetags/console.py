"""Tags of the console's templates: icons, and numbers and times as people read them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django import template
from django.conf import settings
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from runs import figures
from runs.drawing import STEP_ICONS
from runs.lens import Lens
from runs.modelsteps import Asked
from runs.statuses import LOOKS

register = template.Library()

SPRITE = Path(settings.BASE_DIR) / "static/vendor/lucide-1.62.0/sprite.svg"
# What a live update or a fragment may bring to a page that did not have it at first.
_ALWAYS = {
    *(look.icon for look in LOOKS.values()), *STEP_ICONS.values(),
    "triangle-alert", "x", "copy", "flag", "chevron-right",
}  # fmt: skip


@cache
def symbols() -> dict[str, str]:
    """Every icon's symbol, by name."""
    found = re.findall(r'<symbol id="i-([a-z-]+)".*?</symbol>', SPRITE.read_text())
    lines = SPRITE.read_text().splitlines()
    return dict(zip(found, (line for line in lines if line.startswith("<symbol")), strict=True))


@register.simple_tag(takes_context=True)
def icon(context: Context, name: str) -> SafeString:
    """An icon that words beside it explain; the page's sprite holds its drawing."""
    used = _used(context)
    if used is not None:
        used.add(name)
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag(takes_context=True)
def sprite(context: Context) -> SafeString:
    """The drawings of the icons used above, and of those that may still come."""
    names = sorted((_used(context) or set()) | _ALWAYS)
    known = symbols()
    inner = "".join(known[name] for name in names)
    return mark_safe(f'<svg class="sprite" aria-hidden="true">{inner}</svg>')  # noqa: S308 - ours


def _used(context: Context) -> set[str] | None:
    request = context.get("request")
    if request is None:
        return None
    if not hasattr(request, "icons"):
        request.icons = set()
    used: set[str] = request.icons
    return used


@register.simple_tag(takes_context=True)
def when(context: Context, moment: datetime | None) -> SafeString | str:
    """A moment in the reader's zone; the exact one, in UTC, for copying."""
    if moment is None:
        return figures.UNKNOWN
    exact = figures.iso(moment)
    now = timezone.localtime(context.get("now") or timezone.now())
    shown = figures.clock(moment, now)
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, shown)


@register.simple_tag
def ticking(since: datetime, until: datetime | None, now: datetime) -> SafeString:
    """A duration that goes on while ``until`` is not known; the page keeps it fresh."""
    shown = figures.span((until or now) - since)
    if until is not None:
        return format_html("<span>{}</span>", shown)
    return format_html('<span data-since="{}">{}</span>', figures.iso(since), shown)


register.filter("count", figures.count)
register.filter("total", figures.total)
register.filter("axis", figures.axis)
register.filter("money", figures.money)
register.filter("short_id", figures.short_id)
register.filter("file_size", figures.file_size)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A length of time, from a difference or seconds."""
    return figures.span(value) if isinstance(value, timedelta) else figures.duration(value)


@register.filter
def words(value: str) -> str:
    """A code word as people read it: ``max_steps`` becomes ``max steps``."""
    return value.replace("_", " ")


@register.filter
def plural(number: int, one: str) -> str:
    """``1 step``, ``4 steps``."""
    return figures.plural(number, one)


@register.filter
def target(attempts: dict[int, Asked], n: int) -> str:
    """Whom attempt ``n`` of a model step asked."""
    asked = attempts.get(n)
    return asked.target if asked else figures.UNKNOWN


@register.filter
def undo(tags: str) -> str:
    """The address that takes back what a message tells of, from the tags it came with."""
    return next((tag[5:] for tag in tags.split() if tag.startswith("undo=")), "")


@register.simple_tag
def lens_turned(seen: Lens, number: int) -> str:
    """The address with the branch of a step opened or closed."""
    return seen.turned(number).query


@register.simple_tag
def lens_only(seen: Lens, only: str) -> str:
    """The address with a filter on, or off if it is on."""
    return replace(seen, only="" if seen.only == only else only).query
