"""The list of runs: its page, completion of its filter, a peek at a row, views people keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Forbidden, NotFound, visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from runs import acting, columns, completing, listing, saved
from runs.drawing import RunDrawing, events, run_rows
from runs.listing import VIEWS, Filter
from runs.models import Run, RunStatus, SavedView
from runs.reading import last_seq, lines, run_values
from runs.timeline import Timeline
from runs.troubles import explain
from runs.views.signing import refusal, signed_in, the_run

_KNOWN = {*Filter.names(), "before", "after", "edit"}
_DONE = {
    "running": ("Nothing is running now", "No run is queued or running."),
    "person": ("Nobody is waited for", "No run needs a person. All done."),
    "failing": ("Nothing failed", "No run that is kept has failed."),
    "stopped": ("Nothing is stopped", "No stop holds a run."),
    "stuck": ("Nothing is stuck", "Every running run has made progress in the last five minutes."),
    "asleep": ("Nothing is asleep", "No run waits for a time, an event or another run."),
}
PEEKED_EVENTS, PEEKED_LINES = 6, 500


@dataclass(frozen=True, slots=True)
class Tab:
    """A link to a view, with how many it holds where that is known."""

    label: str
    href: str
    current: bool
    tally: int | None = None
    name: str = ""
    key: str = ""
    hint: str = ""


@require_safe
@signed_in
def runs(request: HttpRequest) -> HttpResponse:
    """Runs, newest first. The address is the state."""
    if request.GET.get("panel") == "none":
        return HttpResponse()
    wanted = Filter.read(request.GET.dict())
    if request.GET.get("q", "") != wanted.q:
        return redirect(f"{reverse('runs')}?{wanted.query}".rstrip("?"))
    actor = actor_of(request)
    mine = visible_to(actor, Run.objects.all())
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    matching = wanted.apply(mine.select_related("parent") if _shows(wanted, "parent") else mine)
    page = listing.page(matching, among=mine, sort=wanted.sort, before=before, after=after)
    now = timezone.localtime()
    tallies = listing.tallies(mine)
    kept = saved.views_of(actor)
    first = not (before or after)
    return render(request, "runs/list.html", {
        "now": now,
        "path": reverse("runs"),
        "page": page,
        "rows": run_rows(page.runs, now, shown=wanted.columns, picks=True),
        "heads": [(head, wanted.but(sort=head.sort)) for head in
                  columns.heads(wanted.columns, wanted.sort)],
        "filter": wanted,
        "chips": wanted.chips(),
        "tabs": _tabs(wanted, tallies, kept, actor.user.get_username()),
        "view": _view(wanted, kept),
        "can_save": _can_save(wanted, kept),
        "unknown": [name for name in request.GET if name not in _KNOWN],
        "newest": page.newest if first else "",
        "running": tallies["working"],
        "acts": acting.ACTS.values(),
        "total": _total(page, matching, alone=first and not page.older),
        "may_follow": bool(wanted.follow) or (first and not wanted.sort),
        "follow": wanted.but(follow="" if wanted.follow else "1"),
        "nothing_yet": not page.runs and not wanted.chooses and first,
        "done": _DONE.get(wanted.view),
        "all_views": wanted.but(view=""),
        "cleared": Filter(
            view=wanted.view, sort=wanted.sort, cols=wanted.cols, follow=wanted.follow
        ).query,
        "retention_days": settings.AGENTOPS_RETENTION_DAYS,
        **_editor(request, wanted),
    })  # fmt: skip


def _shows(wanted: Filter, name: str) -> bool:
    return any(column.name == name for column in wanted.columns)


def _total(page: listing.Page, matching: Any, *, alone: bool) -> int:
    """How many match; not asked for when they are all on the page."""
    return len(page.runs) if alone else listing.total(matching)


def _editor(request: HttpRequest, wanted: Filter) -> dict[str, Any]:
    """What the column editor offers, if it is open."""
    if request.GET.get("edit") != "columns":
        return {}
    used = [
        (edit.column, *(None if to is None else wanted.but(cols=to) for to in
                        (edit.earlier, edit.later, edit.without)))
        for edit in columns.edits(wanted.columns)
    ]  # fmt: skip
    unused = [(column, wanted.but(cols=to)) for column, to in columns.more(wanted.columns)]
    return {"editing": True, "used": used, "unused": unused, "usual": wanted.but(cols="")}


# -- views ---------------------------------------------------------------------------------------


def _tabs(wanted: Filter, tallies: dict[str, int], kept: list[SavedView], name: str) -> list[Tab]:
    path, query = reverse("runs"), wanted.query
    mine = urlencode({"owner": name})
    built_in = [(view.label, f"view={name}", tallies.get(name)) for name, view in VIEWS.items()]
    tabs = [
        Tab(label, f"{path}?{own}".rstrip("?"), _is_at(wanted, own), tally)
        for label, own, tally in [("All", "", None), *built_in, ("Mine", mine, None)]
    ]
    return tabs + [
        Tab(view.name, f"{path}?{view.query}", view.query == query,
            hint="shared" if view.is_shared else "yours")
        for view in kept
    ]  # fmt: skip


def _is_at(wanted: Filter, query: str) -> bool:
    """Whether the list stands at a built-in view, whatever its order and columns."""
    return wanted.bare == query


def _view(wanted: Filter, kept: list[SavedView]) -> SavedView | None:
    return next((view for view in kept if view.query == wanted.query), None)


def _can_save(wanted: Filter, kept: list[SavedView]) -> bool:
    """A view is worth a name when it is not one that has a name."""
    bare = replace(wanted, view="")
    return bool(wanted.query and bare.query) and _view(wanted, kept) is None


@require_POST
@signed_in
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the list as it stands under a name."""
    given = {**request.GET.dict(), **request.POST.dict()}
    query = given.get("query", "")
    try:
        view = saved.save_view(
            actor=actor_of(request), name=given.get("name", ""), query=query,
            is_shared=given.get("shared") == "on",
        )  # fmt: skip
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
        return redirect(f"{reverse('runs')}?{Filter.read_query(query).query}")
    undo = reverse("run-view-remove", args=[view.pk])
    messages.success(request, f"View “{view.name}” is kept.", extra_tags=f"good undo={undo}")
    return redirect(f"{reverse('runs')}?{view.query}")


@require_POST
@signed_in
def remove_view(request: HttpRequest, number: int) -> HttpResponse:
    """Forget a view; it can be brought back at once."""
    try:
        kept = saved.remove_view(actor=actor_of(request), view_id=number)
    except (NotFound, Forbidden) as refused:
        raise refusal(refused) from refused
    back = {"name": kept.name, "query": kept.query, "shared": "on" if kept.is_shared else ""}
    undo = f"{reverse('run-view-save')}?{urlencode(back)}"
    messages.success(request, f"View “{kept.name}” is removed.", extra_tags=f"good undo={undo}")
    return redirect("runs")


# -- parts ---------------------------------------------------------------------------------------


@require_safe
@signed_in
def complete(request: HttpRequest) -> HttpResponse:
    """Options for what was typed into the filter so far."""
    mine = visible_to(actor_of(request), Run.objects.all())
    typed = request.GET.get("q", "")[:200]
    context = {"completions": completing.completions(mine, typed)}
    return render(request, "runs/_completions.html", context)


@require_safe
@signed_in
def peek(request: HttpRequest, public_id: str) -> HttpResponse:
    """The most important of one run, beside the list."""
    run = the_run(request, public_id)
    recent = lines(run, after=max(last_seq(run.pk) - PEEKED_LINES, 0))
    drawn = RunDrawing(run, Timeline(recent), timezone.now())
    values = run_values(run)
    failed = run.status == RunStatus.FAILED
    return render(request, "runs/_peek.html", {
        "run": run,
        "drawing": drawn,
        "now": drawn.now,
        "values": values,
        "trouble": explain(run.stop_reason, values.error or {}) if failed else None,
        "events": events(recent[-PEEKED_EVENTS:]),
    })  # fmt: skip
