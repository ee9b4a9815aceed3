"""People say that they look after a request: it is theirs, and nobody else is told.

Whoever takes a request up stops its notices, not its time: what is to be decided by a moment
still is.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from agentops.accounts.access import Actor, authorize_person
from agentops.sdk.errors import AgentopsError
from approvals import escalation, receivers
from approvals.models import Record, Request, State
from approvals.refusals import AlreadyDecided, MayNotDecide

log = structlog.get_logger(__name__)


class AllTold(AgentopsError):
    """Everybody of its chain has been told. Decide it, or ask somebody yourself."""

    code = "all_told"


def acknowledge(*, request: Request, actor: Actor, now: datetime) -> Request:
    """Take it up: nobody else is told from now on. Repeating it, or after another, takes it over.

    Raises PersonRequired, MayNotDecide or AlreadyDecided.
    """
    authorize_person(actor)
    with transaction.atomic():
        held = _pending(request)
        why_not = receivers.barred(held, actor.user)
        if why_not:
            raise MayNotDecide(why_not)
        _update(held, actor, "acknowledged", acknowledged_by=actor.user,
                acknowledged_at=now, next_step_at=None)  # fmt: skip
    return held


def give_back(*, request: Request, actor: Actor, now: datetime) -> Request:
    """Not theirs any more: escalation goes on at once with the next step.

    Whoever took it up may, and whoever could decide it. Raises as :func:`acknowledge` does.
    """
    authorize_person(actor)
    with transaction.atomic():
        held = _pending(request)
        why_not = receivers.barred(held, actor.user)
        if why_not and held.acknowledged_by_id != actor.user.pk:
            raise MayNotDecide(why_not)
        _update(held, actor, "given_back", acknowledged_by=None, acknowledged_at=None,
                next_step_at=now)  # fmt: skip
    return held


def hurry(*, request: Request, actor: Actor, now: datetime) -> Request:
    """Escalate now: the next step of its chain is due, also if somebody took it up.

    It tells people and decides nothing: what comes when nobody decided keeps its time. Raises
    PersonRequired, AlreadyDecided or AllTold.
    """
    authorize_person(actor)
    with transaction.atomic():
        held = _pending(request)
        following = escalation.upcoming(held)
        if following is None or following.telling.then:
            raise AllTold
        _update(held, actor, "hurried", acknowledged_by=None, acknowledged_at=None,
                next_step_at=now)  # fmt: skip
    return held


def _pending(request: Request) -> Request:
    rows = Request.objects.select_for_update(of=("self",), no_key=True)
    held = rows.get(pk=request.pk)
    if held.state != State.PENDING:
        raise AlreadyDecided(f"It is {held.state} by now. Nothing was done.")
    return held


def _update(held: Request, actor: Actor, event: str, **fields: object) -> None:
    Request.objects.filter(pk=held.pk, state=State.PENDING).update(**fields)
    Record.objects.create(
        request=held, run_public_id=held.run_public_id, event=f"{held.kind}.{event}", by=actor.name,
        person=actor.user,
    )  # fmt: skip
    held.refresh_from_db()
    log.info("request.taken_up", what=event, request=held.public_id, by=actor.name)
