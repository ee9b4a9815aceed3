"""The page of a run: timeline, journal, related runs, and the panel of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from agentops.accounts.access import visible_to
from agentops.accounts.actors import actor_of
from runs import drawing, lens, modelsteps, reading, settling, talks, troubles
from runs.drawing import BLOCK, EventRow, RunDrawing, RunRow, StepRow, run_rows
from runs.lens import Lens
from runs.models import Run, RunStatus
from runs.modelsteps import ModelStep
from runs.reading import StepValues
from runs.timeline import Step
from runs.tools import Tools
from runs.views.lists import Tab
from runs.views.offers import offers
from runs.views.signing import signed_in, the_run

EVENTS_PER_PAGE = 100
RELATED_SHOWN = 50
VIEWS = {
    "timeline": "runs/_timeline.html",
    "conversation": "runs/_conversation.html",
    "journal": "runs/_journal.html",
    "related": "runs/_related.html",
}
_KEYS = {"timeline": "t", "conversation": "c", "journal": "l", "related": "e"}


@require_safe
@signed_in
def run(request: HttpRequest, public_id: str) -> HttpResponse:
    """One run. ``view``, ``step``, ``only``, ``q`` and the journal's cursor are in the address."""
    shown = the_run(request, public_id)
    drawn = _draw(request, shown)
    if request.headers.get("HX-Target") == "panel":
        answer = _panel_only(request, drawn)
    else:
        view = request.GET.get("view", "timeline")
        context = _common(drawn, view if view in VIEWS else "timeline")
        context["offers"] = offers(drawn, actor_of(request))
        answer = render(
            request, "runs/page.html", context | _PARTS[context["view"]](request, drawn)
        )
    patch_vary_headers(answer, ["HX-Target"])
    return answer


@require_safe
@signed_in
def block(request: HttpRequest, public_id: str, number: int) -> HttpResponse:
    """A hundred rows of the timeline."""
    drawn = _draw(request, the_run(request, public_id))
    part = drawing.block(drawn, number)
    if not part.size:
        raise Http404
    context = {"drawing": drawn, "run": drawn.run, "now": drawn.now, "block": part}
    return render(request, "runs/_block.html", context)


def _draw(request: HttpRequest, shown: Run) -> RunDrawing:
    seen = Lens.read(request.GET.dict())
    return RunDrawing(shown, reading.timeline(shown), timezone.now(), seen)


def _common(drawn: RunDrawing, view: str) -> dict[str, Any]:
    shown = drawn.run
    values = reading.run_values(shown) if shown.is_final else reading.RunValues()
    failed = shown.status == RunStatus.FAILED
    return {
        "drawing": drawn,
        "run": shown,
        "now": drawn.now,
        "view": view,
        "view_template": VIEWS[view],
        "watched": f"view={view}&{drawn.lens.query}".rstrip("&"),
        "tabs": _tabs(drawn, view),
        "trouble": troubles.explain(shown.stop_reason, values.error or {}) if failed else None,
        "output": values.output,
        "consequences": settling.consequences(drawn),
        "settling": settling.question(drawn),
    }


def _tabs(drawn: RunDrawing, view: str) -> list[Tab]:
    path = reverse("run", args=[drawn.run.public_id])
    tallies = {
        "timeline": len(drawn.timeline.steps),
        "journal": drawn.timeline.seq,
        "conversation": None,
        "related": None,
    }
    return [
        Tab(
            label=name.capitalize(),
            href=path if name == "timeline" else f"{path}?view={name}",
            current=name == view,
            tally=tallies[name],
            name=name,
            key=_KEYS[name],
        )
        for name in VIEWS
    ]


# -- timeline ------------------------------------------------------------------------------------


def _timeline(request: HttpRequest, drawn: RunDrawing) -> dict[str, Any]:
    selected = _selected(request, drawn)
    here = selected or _here(drawn)
    return {
        "only_choices": lens.ONLY.items(),
        "blocks": drawing.blocks(drawn, _opened(drawn, here)),
        "selected": selected.number if selected else 0,
        "here": here.number if here and not selected else 0,
        "panel": _panel(drawn, selected) if selected else None,
        "tools": Tools(drawn),
    }


def _selected(request: HttpRequest, drawn: RunDrawing) -> Step | None:
    """The step of the address; without one, the step a failed run failed at."""
    if "step" in request.GET:
        return _named(request, drawn)
    looks_elsewhere = drawn.lens.is_filter or drawn.lens.at is not None
    return None if looks_elsewhere else drawn.failing


def _here(drawn: RunDrawing) -> Step | None:
    """The first step that was under way at the place that is looked at."""
    if drawn.lens.at is None:
        return None
    left = drawn.lens.window[0] if drawn.lens.zoom else drawn.lens.at / 10
    whole = drawn.whole
    return next((s for s in drawn.shown.steps if whole.x(s.ended_at or s.started_at) >= left), None)


def _opened(drawn: RunDrawing, here: Step | None) -> int:
    """The block that matters: of the step looked at, else the newest of a live run."""
    place = drawn.shown.place(here) if here else None
    if place is not None:
        return place // BLOCK
    steps = drawn.shown.steps
    return 0 if drawn.run.is_final or not steps else (len(steps) - 1) // BLOCK


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything about one step."""

    row: StepRow
    values: StepValues
    events: list[EventRow]
    model: ModelStep | None = None

    @property
    def policy(self) -> list[str]:
        """What rules said of it, besides what people did."""
        known = [row.line.meta.get("policy") for row in self.events]
        said = next((one for one in reversed(known) if isinstance(one, dict)), {})
        rule = [f"allowed by {said['rule']}"] if said.get("rule") else []
        watched = said.get("watched", [])
        return rule + [
            f"{one['rule']}, which only watches, says {one['effect']}" for one in watched
        ]


def _panel(drawn: RunDrawing, step: Step) -> Panel:
    about = reading.lines_of_step(drawn.run, step.key)
    values = reading.step_values(drawn.run, step.key)
    model = modelsteps.read(step, about, values)
    return Panel(drawn.row(step), values, drawing.events(about), model)


def _panel_only(request: HttpRequest, drawn: RunDrawing) -> HttpResponse:
    step = _named(request, drawn)
    if step is None:
        return HttpResponse()
    context = {"drawing": drawn, "run": drawn.run, "now": drawn.now, "panel": _panel(drawn, step)}
    answer = render(request, "runs/_panel.html", context)
    if "failure" in request.GET:
        answer["HX-Push-Url"] = f"{request.path}?{drawn.lens.keep}step={step.number}"
    return answer


def _named(request: HttpRequest, drawn: RunDrawing) -> Step | None:
    """The step that the address names by number or key, or the failure next to it."""
    number = request.GET.get("step", "")
    step = drawn.step(int(number)) if number.isdecimal() and len(number) < 7 else None
    if step is None and number:
        step = next((one for one in drawn.timeline.steps if one.key == number), None)
    match request.GET.get("failure"):
        case "next":
            return Tools(drawn, step).next_failure or step
        case "before":
            return Tools(drawn, step).earlier_failure or step
    return step


# -- journal -------------------------------------------------------------------------------------


def _journal(request: HttpRequest, drawn: RunDrawing) -> dict[str, Any]:
    total = drawn.timeline.seq
    first = min(_first_shown(request, total), max(total, 1))
    lines = reading.lines(drawn.run, after=first - 1, limit=EVENTS_PER_PAGE)
    last = lines[-1].seq if lines else 0
    return {
        "events": drawing.events(lines),
        "last_seq": last,
        "last_page": last >= total,
        "earlier": max(first - EVENTS_PER_PAGE, 1) if first > 1 else 0,
        "later": last + 1 if last < total else 0,
    }


def _first_shown(request: HttpRequest, total: int) -> int:
    """The first event of the page: the newest hundred, unless the address names a place."""
    for name, back in (("from", 0), ("at", EVENTS_PER_PAGE // 2)):
        number = request.GET.get(name, "")
        if number.isdecimal() and len(number) < 10:
            return max(int(number) - back, 1)
    return max(total - EVENTS_PER_PAGE + 1, 1)


# -- related -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Related:
    """Runs that have to do with this one in one way."""

    title: str
    hint: str
    none: str
    rows: list[RunRow]
    more: bool = False


def _related(request: HttpRequest, drawn: RunDrawing) -> dict[str, Any]:
    shown = drawn.run
    mine = visible_to(actor_of(request), Run.objects.select_related("owner"))
    above = [pk for pk in (shown.parent_id, shown.forked_from_id) if pk]
    groups = (
        ("Came from", "the run that started it, or that it was forked from",
         "It was not started by another run.", mine.filter(pk__in=above)),
        ("Subruns", "runs that it started", "It started no other run.", mine.filter(parent=shown)),
        ("Forks", "runs that begin with its record", "Nobody forked it.",
         mine.filter(forked_from=shown)),
    )  # fmt: skip
    related = []
    for title, hint, none, found in groups:
        rows = list(found.order_by("id")[: RELATED_SHOWN + 1])
        kept = run_rows(rows[:RELATED_SHOWN], drawn.now)
        related.append(Related(title, hint, none, kept, len(rows) > RELATED_SHOWN))
    return {"related": related}


# -- conversation --------------------------------------------------------------------------------


def _conversation(_: HttpRequest, drawn: RunDrawing) -> dict[str, Any]:
    return {"turn": talks.turn_alone(drawn)}


_PARTS = {
    "timeline": _timeline,
    "conversation": _conversation,
    "journal": _journal,
    "related": _related,
}
