"""The page on which a person takes a run over, works in its place, and hands it back."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from agentops.accounts.access import Action
from agentops.accounts.actors import actor_of
from runs import takeovers
from runs.models import Run
from runs.views.actions import telling_refusals, typed
from runs.views.signing import signed_in, the_run

CHOICES = ((15, "15 minutes"), (60, "an hour"), (480, "8 hours"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def take_over(request: HttpRequest, public_id: str) -> HttpResponse:
    """What it means, and who has it; a POST takes the run over, or prolongs it."""
    run = the_run(request, public_id, Action.OPERATE)
    if request.method != "POST":
        return _shown(request, run)
    minutes = request.POST.get("minutes", "")
    known = {str(value): value for value, _ in CHOICES}
    with telling_refusals(request):
        takeovers.take(run=run, actor=actor_of(request), minutes=known.get(minutes, 60))
    return redirect("run-take-over", public_id)


@require_POST
@signed_in
def supply(request: HttpRequest, public_id: str) -> HttpResponse:
    """Keep the result of a step for when the run goes on."""
    run = the_run(request, public_id, Action.OPERATE)
    key = request.POST.get("key", "")
    with telling_refusals(request):
        result = typed(request.POST.get("result", ""))
        takeovers.supply(run=run, actor=actor_of(request), key=key, result=result)
        told = f"The result of {key} is kept. The run goes on with it when you hand it back."
        messages.success(request, told, extra_tags="good")
    return redirect("run-take-over", public_id)


@require_POST
@signed_in
def hand_back(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let the run go on."""
    run = the_run(request, public_id, Action.OPERATE)
    then = "run-take-over"
    with telling_refusals(request):
        takeovers.hand_back(run=run, actor=actor_of(request))
        messages.success(request, "Handed back; it goes on by itself.", extra_tags="good")
        then = "run"
    return redirect(then, public_id)


def _shown(request: HttpRequest, run: Run) -> HttpResponse:
    taken = takeovers.of(run)
    mine = taken is not None and taken.person_id == request.user.pk
    steps = takeovers.open_steps(run) if mine else []
    context: dict[str, Any] = {
        "run": run, "title": run.title or run.agent, "taken": taken, "mine": mine,
        "steps": [(step, _plain(step.arguments)) for step in steps], "choices": CHOICES,
        "now": timezone.localtime(), "waits": run.status != "running",
    }  # fmt: skip
    return render(request, "runs/takeover.html", context)


def _plain(arguments: object) -> str:
    """What a step was called with, to be read and copied."""
    return "" if arguments is None else json.dumps(arguments, indent=2, ensure_ascii=False)
