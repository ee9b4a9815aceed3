"""Bulk actions: how far each is, what became of every run, and stopping it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Forbidden, NotFound
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from runs import acting, bulk
from runs.models import BulkAction, BulkOutcome
from runs.views.lists import Tab
from runs.views.signing import refusal, signed_in

SHOWN = 50
ITEMS_SHOWN = 100
LOOKS = {
    BulkOutcome.PENDING: ("to do", "grey", "circle-dashed"),
    BulkOutcome.DONE: ("done", "green", "circle-check"),
    BulkOutcome.UNCHANGED: ("was so already", "stone", "circle-slash"),
    BulkOutcome.REFUSED: ("refused", "amber", "hand"),
    BulkOutcome.FAILED: ("failed", "crimson", "circle-x"),
    BulkOutcome.STOPPED: ("not reached", "stone", "square-x"),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk action is."""

    action: BulkAction
    counts: dict[str, int]
    now: datetime

    @property
    def title(self) -> str:
        """What it does to how many: ``Cancel 1,204 runs``."""
        return acting.ACTS[self.action.verb].on(self.action.total)

    @property
    def over(self) -> int:
        """How many runs have their outcome."""
        return self.action.total - self.counts[BulkOutcome.PENDING]

    @property
    def others(self) -> int:
        """How many have an outcome other than done."""
        return self.over - self.counts[BulkOutcome.DONE]

    @property
    def parts(self) -> list[tuple[str, int]]:
        """How many have which outcome, in words; none that nothing has."""
        return [
            (LOOKS[BulkOutcome(name)][0], count) for name, count in self.counts.items()
            if count and name != BulkOutcome.PENDING
        ]  # fmt: skip

    @property
    def width(self) -> float:
        """The same in percent."""
        return round(100 * self.over / self.action.total, 2)

    @property
    def look(self) -> tuple[str, str, str]:
        """Word, family and icon of how it stands."""
        if self.action.stopped_by:
            return f"stopped by {self.action.stopped_by}", "stone", "square-x"
        if self.action.finished_at:
            return "finished", "green", "circle-check"
        return ("working", "blue", "circle-play") if self.over else ("begins", *_BEGINS)


_BEGINS = ("grey", "circle-dashed")


@require_safe
@signed_in
def actions(request: HttpRequest) -> HttpResponse:
    """The bulk actions somebody asked for, or sees, newest first."""
    found = list(bulk.visible(viewer=actor_of(request))[:SHOWN])
    now = timezone.localtime()
    counts = bulk.counts_of(found)
    rows = [Progress(action, counts[action.pk], now) for action in found]
    return render(request, "bulk/list.html", {"rows": rows, "now": now, "shown": SHOWN})


@require_safe
@signed_in
def action(request: HttpRequest, public_id: str) -> HttpResponse:
    """One bulk action, run by run. Asked for as a region, only how far it is."""
    progress = _progress(request, public_id)
    context: dict[str, Any] = {"progress": progress, "now": progress.now}
    if request.headers.get("HX-Request"):
        return render(request, "bulk/_progress.html", context)
    outcome = request.GET.get("outcome", "")
    outcome = outcome if outcome in BulkOutcome.values else ""
    after = request.GET.get("after", "")
    first = int(after) if after.isdecimal() and len(after) < 7 else 0
    found = bulk.items(action=progress.action, outcome=outcome, after=first)
    items = list(found.select_related("run")[: ITEMS_SHOWN + 1])
    context |= {
        "tabs": _tabs(progress, outcome),
        "items": [(item, LOOKS[BulkOutcome(item.outcome)]) for item in items[:ITEMS_SHOWN]],
        "outcome": outcome,
        "later": items[ITEMS_SHOWN - 1].number if len(items) > ITEMS_SHOWN else 0,
        "first": first,
    }
    return render(request, "bulk/action.html", context)


@require_POST
@signed_in
def stop(request: HttpRequest, public_id: str) -> HttpResponse:
    """Do no more of it."""
    found = _progress(request, public_id).action
    try:
        bulk.stop(action=found, actor=actor_of(request))
    except Forbidden as refused:
        raise refusal(refused) from refused
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
    return redirect("bulk", public_id)


def _progress(request: HttpRequest, public_id: str) -> Progress:
    try:
        found = bulk.get(public_id=public_id, viewer=actor_of(request))
    except NotFound as missing:
        raise refusal(missing) from missing
    return Progress(found, bulk.counts(action=found), timezone.localtime())


def _tabs(progress: Progress, outcome: str) -> list[Tab]:
    path = reverse("bulk", args=[progress.action.public_id])
    every = [Tab("All", path, not outcome, progress.action.total, "all")]
    return every + [
        Tab(LOOKS[BulkOutcome(name)][0].capitalize(), f"{path}?outcome={name}", outcome == name,
            count, name)
        for name, count in progress.counts.items() if count or name == outcome
    ]  # fmt: skip
