"""Forking a run: a new run that begins with what this one had recorded up to a step."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from agentops.accounts.access import Action, authorize_new
from agentops.accounts.actors import Actor, actor_of
from agentops.sdk.errors import AgentopsError
from runs import queries, reading, services
from runs.drawing import RunDrawing
from runs.models import Run
from runs.timeline import Step
from runs.views.signing import person, signed_in, the_run

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a fork begins: before ``step``, after the last event that is taken over."""

    step: Step | None
    at_seq: int
    kept: int
    again: int
    effects: list[Step] = field(default_factory=list)
    took: timedelta = timedelta()

    @property
    def more_effects(self) -> int:
        return max(len(self.effects) - _MOST_NAMED, 0)

    @property
    def named(self) -> list[Step]:
        return self.effects[:_MOST_NAMED]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def fork(request: HttpRequest, public_id: str) -> HttpResponse:
    """Say what a fork before a step would keep and do again; a POST forks."""
    run = the_run(request, public_id, Action.CONTROL)
    actor = actor_of(request)
    authorize_new(actor)
    drawn = RunDrawing(run, reading.timeline(run), timezone.now())
    asked = request.POST if request.method == "POST" else request.GET
    number = asked.get("step", "")
    step = drawn.step(int(number)) if number.isdecimal() and len(number) < 7 else drawn.failing
    cut = _cut(drawn, step)
    if request.method != "POST":
        given = json.dumps(queries.payload(run=run).input, indent=2, ensure_ascii=False)
        return _asking(request, drawn, cut, text=given)
    return _forked(request, drawn, cut, actor)


def _forked(request: HttpRequest, drawn: RunDrawing, cut: Cut, actor: Actor) -> HttpResponse:
    try:
        made = services.fork_run(
            run=drawn.run,
            at_seq=cut.at_seq,
            actor=actor.name,
            owner=person(request),
            input=_changed(drawn.run, request.POST.get("input", "")),
            idempotency_key=request.POST.get("key") or None,
        )
    except AgentopsError as refused:
        text = request.POST.get("input", "")
        return _asking(request, drawn, cut, text=text, wrong=str(refused), status=422)
    return redirect("run", made.run.public_id)


def _changed(run: Run, text: str) -> object | None:
    """The input that was typed, if it is another one. Raises InvalidRequest if it is not JSON."""
    if not text.strip():
        return None
    try:
        given: object = json.loads(text)
    except ValueError as error:
        raise services.InvalidRequest(f"This is not JSON: {error}.") from error
    return None if given == queries.payload(run=run).input else given


def _asking(
    request: HttpRequest,
    drawn: RunDrawing,
    cut: Cut,
    *,
    text: str,
    wrong: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "drawing": drawn, "run": drawn.run, "now": drawn.now, "cut": cut, "input": text,
        "wrong": wrong, "key": request.POST.get("key") or secrets.token_hex(8),
    }  # fmt: skip
    return render(request, "runs/fork.html", context, status=status)


def _cut(drawn: RunDrawing, step: Step | None) -> Cut:
    """What is taken over and what is done again. Without a step everything is taken over."""
    steps = drawn.timeline.steps
    if step is None:
        return Cut(None, drawn.timeline.seq, len(steps), 0)
    later = [one for one in steps if one.last_seq >= step.first_seq]
    effects = [one for one in later if one.effect == "once"]
    took = sum(((s.ended_at - s.started_at) for s in later if s.ended_at), timedelta())
    return Cut(step, step.first_seq - 1, len(steps) - len(later), len(later), effects, took)
