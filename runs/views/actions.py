"""What people do to a run from its page. Each is a POST that may be repeated without harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from runs import services
from runs.models import Run
from runs.services import Verdict
from runs.views.signing import signed_in, the_run


@contextmanager
def telling_refusals(request: HttpRequest) -> Iterator[None]:
    """Say on the next page why something was not done."""
    try:
        yield
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")


@require_POST
@signed_in
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    """Stop a run and everything it started."""
    run = the_run(request, public_id, Action.CONTROL)
    by_operator = run.owner_id != request.user.pk
    note = request.POST.get("note", "")
    services.cancel_run(run=run, actor=actor_of(request).name, by_operator=by_operator, note=note)
    return redirect("run", public_id)


@require_POST
@signed_in
def pause(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let a run wait before its next step."""
    run = the_run(request, public_id, Action.CONTROL)
    services.pause_run(run=run, actor=actor_of(request).name)
    return redirect("run", public_id)


@require_POST
@signed_in
def resume(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let a paused or parked run go on, or take a pause back."""
    run = the_run(request, public_id, Action.CONTROL)
    actor = actor_of(request)
    paused_only = not allows(actor, Action.OPERATE, run)
    with telling_refusals(request):
        services.resume_run(run=run, actor=actor.name, paused_only=paused_only)
    return redirect("run", public_id)


@require_POST
@signed_in
def retry(request: HttpRequest, public_id: str) -> HttpResponse:
    """Try at once what waits for its next attempt; let a failed run go on from its failure."""
    run = the_run(request, public_id, Action.CONTROL)
    again = services.retry_failure if run.is_final else services.retry_now
    with telling_refusals(request):
        again(run=run, actor=actor_of(request).name)
    return redirect("run", public_id)


@require_POST
@signed_in
def settle(request: HttpRequest, public_id: str) -> HttpResponse:
    """Say what became of an uncertain step."""
    run = the_run(request, public_id, Action.OPERATE)
    verdict = request.POST.get("verdict", "")
    if verdict not in set(Verdict):
        messages.error(request, "Choose what is true, then settle.", extra_tags="bad")
        return redirect("run", public_id)
    with telling_refusals(request):
        _settle(request, run, Verdict(verdict))
    return redirect("run", public_id)


def _settle(request: HttpRequest, run: Run, verdict: Verdict) -> None:
    happened = verdict is Verdict.HAPPENED
    services.settle_step(
        run=run,
        key=request.POST.get("key", ""),
        verdict=verdict,
        actor=actor_of(request).name,
        result=typed(request.POST.get("result", "")) if happened else None,
        reference=request.POST.get("reference", "")[:200],
    )


def typed(text: str) -> object:
    """What somebody typed: JSON where it is JSON, else the text; nothing for nothing."""
    if not text.strip():
        return None
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value
