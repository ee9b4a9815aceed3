"""The list of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from agentops.accounts.access import visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.catalog import catalog
from runs import listing
from runs.drawing import run_rows
from runs.listing import VIEWS, Filter
from runs.models import Run, RunStatus, WaitingFor
from runs.views.signing import signed_in

_KNOWN = {*Filter.names(), "before", "after"}
_DONE = {
    "running": ("Nothing is running now", "No run is queued or running."),
    "person": ("Nobody is waited for", "No run needs a person. All done."),
    "failing": ("Nothing failed", "No run that is kept has failed."),
    "stuck": ("Nothing is stuck", "Every running run has made progress in the last five minutes."),
}


@dataclass(frozen=True, slots=True)
class Tab:
    """A link to a view, with how many it holds where that is known."""

    label: str
    href: str
    current: bool
    tally: int | None = None
    name: str = ""
    key: str = ""


@require_safe
@signed_in
def runs(request: HttpRequest) -> HttpResponse:
    """Runs, newest first. The address is the state."""
    wanted = Filter.read(request.GET.dict())
    if request.GET.get("q", "") != wanted.q:
        return redirect(f"{reverse('runs')}?{wanted.query}".rstrip("?"))
    mine = visible_to(actor_of(request), Run.objects.all())
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    page = listing.page(wanted.apply(mine), before=before, after=after)
    now = timezone.localtime()
    tallies = listing.tallies(mine)
    return render(request, "runs/list.html", {
        "now": now,
        "path": reverse("runs"),
        "page": page,
        "rows": run_rows(page.runs, now),
        "filter": wanted,
        "chips": wanted.chips(),
        "tabs": _tabs(wanted, tallies),
        "unknown": [name for name in request.GET if name not in _KNOWN],
        "completions": completions(),
        "newest": _newest(page, first=not (before or after)),
        "nothing_yet": not page.runs and not wanted.query and not (before or after),
        "done": _DONE.get(wanted.view),
        "all_views": replace(wanted, view="").query,
        "retention_days": settings.AGENTOPS_RETENTION_DAYS,
    })  # fmt: skip


def _tabs(wanted: Filter, tallies: dict[str, int]) -> list[Tab]:
    path = reverse("runs")
    every = [Tab("All", path, not wanted.view)]
    return every + [
        Tab(view.label, f"{path}?view={name}", wanted.view == name, tallies.get(name))
        for name, view in VIEWS.items()
    ]


def _newest(page: listing.Page, *, first: bool) -> int | str:
    """The number after which a run is new to this page; older pages have no new runs."""
    if not first:
        return ""
    known = max((run.pk for run in page.runs), default=0)
    return max(known, int(Run.objects.aggregate(last=Max("pk"))["last"] or 0))


def completions() -> list[str]:
    """What the filter field can complete."""
    return [
        *(f"status:{status}" for status in RunStatus.values),
        *(f"waiting_for:{reason}" for reason in WaitingFor.values),
        *(f"agent:{agent.name}" for agent in catalog().agents()),
    ]
