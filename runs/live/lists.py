"""Draws what changed in a list of runs: rows in place, and how many are new."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django.utils import timezone

from agentops.accounts.access import Actor, visible_to
from runs import figures, listing, statuses
from runs.drawing import RunRow
from runs.listing import Filter
from runs.live.audience import Frame
from runs.live.pages import draw
from runs.models import Run

_WATCHED = ("status", "status_at", "waiting_for", "steps", "progress", "cancel_requested_at")
Looked = tuple[object, ...]


@dataclass(slots=True)
class Known:
    """How the rows of a list stood when they were last drawn."""

    rows: dict[str, Looked] = field(default_factory=dict)


def row_changes(viewer: Actor, query: Filter, ids: Collection[str], known: Known) -> list[Frame]:
    """Frames for those of some shown runs that differ from what is known of them."""
    mine = visible_to(
        viewer, Run.objects.filter(public_id__in=ids).select_related("owner", "team", "parent")
    )
    changed = []
    for run in mine:
        looked = tuple(getattr(run, name) for name in _WATCHED)
        if known.rows.get(run.public_id, looked) != looked:
            changed.append(run)
        known.rows[run.public_id] = looked
    if not changed:
        return []
    matching = query.apply(Run.objects.filter(pk__in=[run.pk for run in changed]))
    fits = set(matching.values_list("pk", flat=True))
    return [_row(run, query, matches=run.pk in fits) for run in changed]


def remember(viewer: Actor, ids: Collection[str], known: Known) -> None:
    """Take note of how rows stand that a page has just drawn."""
    fresh = [public_id for public_id in ids if public_id not in known.rows]
    mine = visible_to(viewer, Run.objects.filter(public_id__in=fresh))
    for public_id, *looked in mine.values_list("public_id", *_WATCHED):
        known.rows[public_id] = tuple(looked)


def _row(run: Run, query: Filter, *, matches: bool) -> Frame:
    now = timezone.localtime()
    row = RunRow(run, statuses.look(run, now), matches, query.columns, picks=True)
    html = draw("runs/_run_row.html", row=row, now=now)
    return {
        "do": "place", "topic": "runs", "how": "morph", "id": run.public_id, "html": html, "seq": 0,
    }  # fmt: skip


def new_count(viewer: Actor, query: Filter, newest: int) -> int:
    """How many matching runs came after ``newest``; a hundred means that or more."""
    return listing.newer_than(query.apply(visible_to(viewer, Run.objects.all())), newest)


def new_rows(query: str, count: int) -> Frame:
    """The frame that tells of new rows: a page that follows reads the list again, others wait."""
    if count and Filter.read_query(query).follow:
        return {"do": "stale", "ids": ["list"], "topic": "runs"}
    return pill(count)


def pill(count: int) -> Frame:
    """The frame that offers new rows."""
    text = "99+ new runs" if count > 99 else f"{figures.plural(count, 'new run')}"
    return {"do": "count", "id": "new-rows", "text": text if count else "", "topic": "runs"}
