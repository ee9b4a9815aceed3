"""Runs that cannot go on by themselves stand in the inbox, each with what can be done about it.

# Note [Whose fact it is]
That a run waits, and for what, its own row says. A request of the kind *attention* is written by
the sweep for each such run and follows it: it is over when the run no longer waits for that. What
a person chooses is done by the service that owns it (``runs.services``), which asks again whether
it may be done; so nothing here has to be believed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    Max,
    OuterRef,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Cast

from agentops.accounts.access import Action, Actor, authorize
from agentops.sdk.errors import AgentopsError
from approvals import moves
from approvals.models import Kind, Request, Risk, State
from approvals.moves import SWEEP, By
from runs import reading, services, settling
from runs.drawing import RunDrawing
from runs.models import PARKED, Run, RunStatus

MOST = 200
UNCERTAIN, TOOL_CHANGED = "uncertain", "tool_changed"
# What a person did on purpose is no surprise: they lift it where they did it.
_ON_PURPOSE = ("paused:", "stop:")
log = structlog.get_logger(__name__)


class NoSuchChoice(AgentopsError):
    """This cannot be chosen here. Reload the page: what the run waits for may have changed."""

    code = "no_such_choice"


# -- the sweep's part ----------------------------------------------------------------------------


def keep() -> None:
    """Write a request for every run that waits for an operator, and close those that do not."""
    with transaction.atomic():
        for request in _over().select_for_update(of=("self",), no_key=True, skip_locked=True)[
            :MOST
        ]:
            moves.move(request, State.RESOLVED, SWEEP, tells=False)
        for run in _new()[:MOST]:
            _raise(run)


def _parked() -> QuerySet[Any]:
    """Runs that wait for an operator, and for what exactly (``wants``)."""
    found: QuerySet[Any] = Run.objects.filter(status=RunStatus.WAITING, waiting_for__in=PARKED)
    for prefix in _ON_PURPOSE:
        found = found.exclude(waiting_detail__startswith=prefix)
    named = Cast("waiting_for", CharField())
    wants = Case(
        When(waiting_detail="", then=named), default=F("waiting_detail"), output_field=CharField()
    )
    told: QuerySet[Any] = found.annotate(wants=wants)
    return told


def _new() -> QuerySet[Any]:
    known = Request.objects.filter(
        run_id=OuterRef("pk"), kind=Kind.ATTENTION, key=OuterRef("wants"), state=State.PENDING
    )
    rounds = (
        Request.objects.filter(run_id=OuterRef("pk"), kind=Kind.ATTENTION, key=OuterRef("wants"))
        .order_by()
        .values("run_id")
        .annotate(last=Max("round"))
        .values("last")
    )
    found: QuerySet[Any] = _parked().filter(~Exists(known)).annotate(rounds=Subquery(rounds))
    return found.order_by("status_at")


def _over() -> QuerySet[Request]:
    """Those whose run waits for it no more. What ended with its run, its own sweep cancels."""
    waits = _parked().filter(pk=OuterRef("run_id"), wants=OuterRef("key"))
    live = Run.objects.filter(pk=OuterRef("run_id"), finished_at=None)
    rows = Request.objects.filter(kind=Kind.ATTENTION, state=State.PENDING)
    return rows.filter(Exists(live), ~Exists(waits)).order_by("pk")


def _raise(run: Any) -> None:
    detail = str(run.wants)
    reason = detail.partition(":")[0]
    made = Request(
        kind=Kind.ATTENTION, run=run, run_public_id=run.public_id, key=detail,
        round=1 + (run.rounds or 0), owner_id=run.owner_id, team_id=run.team_id,
        agent=run.agent, name=reason, title=_title(reason, detail.partition(":")[2])[:200],
        risk=Risk.HIGH if reason == UNCERTAIN else Risk.MEDIUM,
    )  # fmt: skip
    if Request.objects.bulk_create([made], ignore_conflicts=True):
        found = Request.objects.filter(public_id=made.public_id).first()
        if found is not None:
            moves.record(found, "attention.raised", SWEEP, detail={"why": reason})
            log.info("attention.raised", request=found.public_id, run=run.public_id, why=reason)


_TITLES = {
    "uncertain": "Did {} happen?",
    "tool_changed": "What {} says of itself changed",
    "code_changed": "The agent's code no longer fits what is recorded",
    "crash_loop": "It took its worker down again and again",
    "payload": "A value could not be stored",
    "gate_failed": "The check {} failed, so nothing was let through",
    "budget": "Its budget is used up",
    "credential": "A credential is missing or broken",
}


def _title(reason: str, about: str) -> str:
    known = _TITLES.get(reason, f"It waits for an operator: {reason.replace('_', ' ')}")
    return known.format(
        about.rpartition("/")[2].partition("#")[0] if reason == UNCERTAIN else about
    )


# -- what a person can choose --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be done, and what follows. ``locked`` says why it cannot be done yet."""

    value: str
    label: str
    consequence: str
    locked: str = ""
    # Whether it takes a result and where that was seen.
    takes_result: bool = False


@dataclass(frozen=True, slots=True)
class Matter:
    """What a run waits for, in sentences, with what can be chosen."""

    sentence: str
    choices: list[Choice]
    drawing: RunDrawing
    attempt: int | None = None
    # A page on which it is answered instead.
    elsewhere: str = ""
    why_not: str = ""


def matter(request: Request, viewer: Actor, now: datetime) -> Matter | None:
    """What can be done about it now; None once its run waits for it no more."""
    run = Run.objects.filter(pk=request.run_id).first()
    if run is None or run.status != RunStatus.WAITING or request.state != State.PENDING:
        return None
    drawn = RunDrawing(run, reading.timeline(run), now)
    why_not = _refusal(viewer, run)
    if request.name == UNCERTAIN:
        return _uncertain(drawn, why_not)
    sentence = drawn.why.sentence
    if request.name == TOOL_CHANGED:
        return Matter(sentence, [], drawn, elsewhere="tool-pins", why_not=why_not)
    resume = _RESUMED.get(request.name, "It goes on where it stopped. If nothing changed, it waits "
                          "here again.")  # fmt: skip
    choices = [Choice("resume", "Let it go on", resume), _cancel(drawn)]
    return Matter(sentence, choices, drawn, why_not=why_not)


_RESUMED = {
    "code_changed": "It goes on with the agent's code as it is now. If that still asks for other "
    "steps than those recorded, it waits here again and nothing is done twice.",
    "crash_loop": "A worker takes it up once more, and lost workers are counted anew. If it takes "
    "that one down too, other runs there are moved to another worker.",
    "payload": "The step that could not be stored is tried again.",
    "budget": "It goes on if there is money again; else it waits here again.",
    "credential": "It tries the credential again; while that is broken, it waits here again.",
}


def _cancel(drawn: RunDrawing) -> Choice:
    return Choice("cancel", "Cancel the run", " ".join(settling.consequences(drawn)))


def _uncertain(drawn: RunDrawing, why_not: str) -> Matter | None:
    asked = settling.question(drawn)
    if asked is None:
        return None
    choices = [
        Choice(each.verdict, each.label, each.consequence, each.locked,
               takes_result=each.verdict == services.Verdict.HAPPENED)
        for each in asked.choices
    ]  # fmt: skip
    attempt = asked.step.attempts[-1].n
    return Matter(asked.sentence, choices, drawn, attempt=attempt, why_not=why_not)


def _refusal(viewer: Actor, run: Run) -> str:
    """Why they may not, in the words of the door that would refuse them."""
    try:
        authorize(viewer, Action.OPERATE, run)
    except AgentopsError as refused:
        return str(refused)
    return ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody chose, and what they know of it."""

    value: str
    result: object = None
    reference: str = ""
    attempt: int | None = None


def choose(*, request: Request, actor: Actor, chosen: Chosen) -> Request:
    """Do what they chose, and close the request in their name.

    Raises NotFound, Forbidden, NoSuchChoice, or what the service of the run raises.
    """
    run = Run.objects.filter(pk=request.run_id).first()
    if run is None or request.kind != Kind.ATTENTION:
        raise NoSuchChoice
    authorize(actor, Action.OPERATE, run)
    if request.name == UNCERTAIN and chosen.value in set(services.Verdict):
        _settle(request, run, actor, chosen)
    elif request.name not in {UNCERTAIN, TOOL_CHANGED} and chosen.value in _DOES:
        _DOES[chosen.value](run, actor)
    else:
        raise NoSuchChoice
    return _close(request, actor, chosen)


def _settle(request: Request, run: Run, actor: Actor, chosen: Chosen) -> None:
    services.settle_step(
        run=run, key=request.key.partition(":")[2], verdict=services.Verdict(chosen.value),
        actor=actor.name, result=chosen.result, reference=chosen.reference, attempt=chosen.attempt,
    )  # fmt: skip


def _resume(run: Run, actor: Actor) -> None:
    services.resume_run(run=run, actor=actor.name)


def _end(run: Run, actor: Actor) -> None:
    by_operator = run.owner_id != actor.user.pk
    services.cancel_run(run=run, actor=actor.name, by_operator=by_operator)


_DOES: Mapping[str, Callable[[Run, Actor], None]] = {"resume": _resume, "cancel": _end}


def _close(request: Request, actor: Actor, chosen: Chosen) -> Request:
    """Resolved by them; if a sweep came first, it stays as that one left it."""
    with services.change():
        held = moves.locked(request.pk)
        if held.state == State.PENDING:
            detail = {"chose": chosen.value, "reference": chosen.reference}
            moves.move(
                held, State.RESOLVED, By.actor(actor), tells=False,
                changes={"decided_by": actor.user.pk, "comment": chosen.reference},
                detail={name: value for name, value in detail.items() if value},
            )  # fmt: skip
    return held
