"""The pages of the kill switch: what holds, what held, and the two doors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts.access import Action, Forbidden, NotFound, allows, authorize
from agentops.accounts.actors import actor_of
from agentops.accounts.stepup import step_up
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs import halted, stops
from runs.halted import Extent, NoSuchStop
from runs.models import Stop, StopScope
from runs.models.stop import about
from runs.views.signing import refusal, signed_in

LIFTED_SHOWN = 50
EVERYTHING = "everything"
# What can be chosen on the page; runs and credentials have pages of their own.
CHOICES = {
    StopScope.EVERYTHING: "Everything",
    StopScope.AGENT: "An agent",
    StopScope.AGENT_VERSION: "A version of an agent",
    StopScope.TOOL: "A tool",
    StopScope.PERSON: "Runs for a person",
    StopScope.RUN: "A run",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A stop as it is drawn. ``half``: the first of two people agreed to lift it."""

    stop: Stop
    held: int
    half: bool


@require_safe
@signed_in
def overview(request: HttpRequest) -> HttpResponse:
    """The stops that hold, and those that did."""
    actor = actor_of(request)
    operates = allows(actor, Action.OPERATE)
    return render(request, "stops/list.html", {
        "holding": [_row(stop) for stop in halted.shown_to(actor)],
        "lifted": [_row(stop) for stop in halted.lifted()[:LIFTED_SHOWN]] if operates else [],
        "operates": operates,
        "choices": CHOICES.items(),
        "agents": [agent.name for agent in catalog().agents()],
        "tools": halted.known_tools(),
        "now": timezone.localtime(),
    })  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponse:
    """Say what a stop would do; a POST throws it, without delay: no second person, no password."""
    _only_operators(request)
    asked = request.POST if request.method == "POST" else request.GET
    scope, target = asked.get("scope", EVERYTHING), asked.get("target", "").strip()
    if scope not in CHOICES:
        raise Http404("There is no such stop.")
    target = "" if scope == EVERYTHING else target
    if request.method != "POST":
        return _asking(request, scope, target)
    if asked.get("typed", "").strip() != _typed(scope, target):
        told = f"Type {_typed(scope, target)} to stop it. Nothing was changed."
        return _asking(request, scope, target, problem=told)
    try:
        thrown = stops.throw(
            actor=actor_of(request), scope=scope, target=target, reason=asked.get("reason", "")
        )
    except NotFound as refused:
        raise refusal(refused) from refused
    except AgentopsError as refused:
        return _asking(request, scope, target, problem=str(refused))
    said = "is stopped" if thrown.created else "was stopped already"
    messages.warning(request, f"{about(scope, target).capitalize()} {said}.", extra_tags="bad")
    return redirect("stop", thrown.stop.public_id)


def _asking(request: HttpRequest, scope: str, target: str, *, problem: str = "") -> HttpResponse:
    """What it would mean, in numbers, and the form."""
    context: dict[str, Any] = {
        "scope": scope, "target": target, "words": about(scope, target),
        "typed": _typed(scope, target), "problem": problem,
        "reason": request.POST.get("reason", ""), "extent": _extent(scope, target),
        "unknown_tool": scope == StopScope.TOOL and target not in halted.known_tools(),
    }  # fmt: skip
    return render(request, "stops/new.html", context, status=422 if problem else 200)


def _extent(scope: str, target: str) -> Extent | None:
    """How much it is about; of what is not named, nothing is known."""
    if (scope != EVERYTHING and not target) or "\0" in target:
        return None
    return halted.extent(scope, target)


def _typed(scope: str, target: str) -> str:
    """What has to be typed, so that nobody stops what they did not mean."""
    return "everything" if scope == EVERYTHING else target[:255]


@require_safe
@signed_in
def stop(request: HttpRequest, public_id: str) -> HttpResponse:
    """One stop: what, why, who; how many runs it holds; and the form to lift it."""
    return _shown(request, _the_stop(request, public_id))


@require_POST
@signed_in
def lift(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let it go on. People say once more who they are; of everything, two of them."""
    _only_operators(request)
    return _lift(request, public_id)


@step_up
def _lift(request: HttpRequest, public_id: str) -> HttpResponse:
    found = _the_stop(request, public_id)
    typed = _typed(found.scope, found.target)
    if request.POST.get("typed", "").strip() != typed:
        return _shown(request, found, problem=f"Type {typed} to lift it. Nothing was changed.")
    reason = request.POST.get("reason", "")
    try:
        after = stops.lift(actor=actor_of(request), public_id=public_id, reason=reason)
    except AgentopsError as refused:
        return _shown(request, found, problem=str(refused))
    if after.lifted_at is None:
        messages.info(request, "Your word is kept. It is lifted when another operator agrees.")
    else:
        told = f"{found.about.capitalize()} goes on."
        messages.success(request, told, extra_tags="good")
    return redirect("stop", public_id)


def _shown(request: HttpRequest, found: Stop, *, problem: str = "") -> HttpResponse:
    actor = actor_of(request)
    context: dict[str, Any] = {
        "row": _row(found), "stop": found, "now": timezone.localtime(),
        "operates": allows(actor, Action.OPERATE),
        "mine": found.first_by_id == actor.user.pk and halted.has_first_word(found),
        "typed": _typed(found.scope, found.target), "problem": problem,
        "reason": request.POST.get("reason", ""),
        "is_everything": found.scope == EVERYTHING,
        "href": _about(found),
    }  # fmt: skip
    return render(request, "stops/stop.html", context, status=422 if problem else 200)


def _about(found: Stop) -> str:
    """The page of what is stopped, if it has one."""
    if found.scope == StopScope.RUN:
        return reverse("run", args=[found.target])
    if found.scope in {StopScope.AGENT, StopScope.AGENT_VERSION}:
        return reverse("agent", args=[found.target.partition("@")[0]])
    return ""


def _row(found: Stop) -> Row:
    half = found.lifted_at is None and halted.has_first_word(found)
    return Row(found, 0 if found.lifted_at else halted.held_by(found), half)


def _the_stop(request: HttpRequest, public_id: str) -> Stop:
    """The stop of an address, as far as somebody may be told of it."""
    actor = actor_of(request)
    try:
        found = halted.get(public_id=public_id)
    except NoSuchStop as unknown:
        raise Http404(str(unknown)) from unknown
    if not allows(actor, Action.OPERATE) and found not in halted.shown_to(actor):
        raise Http404(str(NoSuchStop()))
    return found


def _only_operators(request: HttpRequest) -> None:
    try:
        authorize(actor_of(request), Action.OPERATE)
    except Forbidden as refused:
        raise PermissionDenied(str(refused)) from refused
