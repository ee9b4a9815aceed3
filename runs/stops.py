"""The kill switch: people throw stops and lift them; see Note [Stops] for what they do.

# Note [Who stops, who lifts]
To stop is the safe direction: one operator is enough, by a token as well as in person, for
everything as for one run. To lift is the dangerous one: only somebody who signed in, and of a stop
of everything two people, each with their reason, within an hour of each other. Who threw it may be
one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from agentops.accounts.access import Action, Actor, authorize, authorize_person
from agentops.accounts.models import User
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs import halted, queries
from runs.engine import store
from runs.halted import LONGEST_REASON, LONGEST_TARGET, NoSuchStop
from runs.labels import InvalidRequest
from runs.models import Run, Stop, StopScope
from runs.services.changes import announce, change

log = structlog.get_logger(__name__)

# Batches of runs that the door which lifts lets go on itself; sweeps do the rest.
BATCHES = 10


class NotHolding(AgentopsError):
    """This stop was lifted before; nothing is held by it any more."""

    code = "not_holding"


class SecondPersonNeeded(AgentopsError):
    """Another person has to agree before everything goes on. Your word is kept for an hour."""

    code = "second_person_needed"


@dataclass(frozen=True, slots=True)
class Thrown:
    """A stop that holds now, and whether this call threw it."""

    stop: Stop
    created: bool


def throw(*, actor: Actor, scope: str, target: str, reason: str) -> Thrown:
    """Stop everything, or what ``target`` names; thrown again, it holds already.

    Durable when this returns: from then on no worker claims a run it is about, and no attempt
    begins a second later. Raises Forbidden, NotFound or InvalidRequest.
    """
    authorize(actor, Action.OPERATE)
    kind, named, why = _scope(scope), target.strip(), _reason(reason)
    _check_target(actor, kind, named)
    try:
        with transaction.atomic(durable=True):
            stop = Stop.objects.create(
                scope=kind, target=named, reason=why, by=actor.name, thrown_by=actor.user
            )
    except IntegrityError:
        found = halted.holding().filter(scope=kind, target=named).first()
        # Lifted between the two looks: then it is not thrown yet.
        return Thrown(found, created=False) if found else throw(
            actor=actor, scope=scope, target=target, reason=reason
        )  # fmt: skip
    log.warning("stop.thrown", stop=stop.public_id, scope=kind, target=named, by=actor.name)
    hold()
    return Thrown(halted.get(public_id=stop.public_id), created=True)


def lift(*, actor: Actor, public_id: str, reason: str) -> Stop:
    """Lift a stop and let the runs go on that it holds, unless another one holds them.

    A stop of everything is lifted by the second person who says so; the answer then tells by
    ``lifted_at``. Raises NoSuchStop, Forbidden, PersonRequired, InvalidRequest, NotHolding or
    SecondPersonNeeded for somebody who says it twice.
    """
    authorize(actor, Action.OPERATE)
    authorize_person(actor)
    why, named = _reason(reason), halted.known(public_id)
    with transaction.atomic(durable=True):
        stop = Stop.objects.select_for_update().filter(public_id=named).first()
        if stop is None:
            raise NoSuchStop
        if stop.lifted_at is not None:
            raise NotHolding
        is_lifted = _agreed(stop, actor, why)
    if is_lifted:
        log.warning("stop.lifted", stop=public_id, by=actor.name)
        free(by=actor.name)
    return halted.get(public_id=public_id)


def _agreed(stop: Stop, actor: Actor, why: str) -> bool:
    """Write down what somebody says of a stop, locked by the caller; whether it is lifted."""
    row = Stop.objects.filter(pk=stop.pk, lifted_at__isnull=True)
    if stop.scope == StopScope.EVERYTHING and not halted.has_first_word(stop):
        row.update(first_by=actor.user, first_reason=why, first_at=Now())
        log.warning("stop.lift_asked", stop=stop.public_id, by=actor.name)
        return False
    if stop.scope == StopScope.EVERYTHING and stop.first_by_id == actor.user.pk:
        raise SecondPersonNeeded
    return bool(row.update(lifted_by=actor.user, lifted_reason=why, lifted_at=Now()))


def hold() -> int:
    """Park some of the runs that stops keep from being claimed; how many. Sweeps do so too."""
    with change() as cursor:
        moved = store.hold_stopped(cursor)
    announce(moved)
    return len(moved.hints)


def free(*, by: str) -> int:
    """Let runs go on whose stop is lifted, up to a few thousand; how many."""
    count = 0
    for _ in range(BATCHES):
        with change() as cursor:
            moved = store.free_unstopped(cursor, by=by)
        announce(moved)
        count += len(moved.hints)
        if not moved.hints:
            break
    return count


# -- what people say -------------------------------------------------------------------------


def _scope(scope: str) -> StopScope:
    if scope not in StopScope.values:
        raise InvalidRequest(f"scope is one of {', '.join(StopScope.values)}, not “{scope[:40]}”.")
    return StopScope(scope)


def _reason(reason: str) -> str:
    why = reason.strip()
    if not 1 <= len(why) <= LONGEST_REASON or "\0" in why:
        raise InvalidRequest(
            f"reason: say why in 1 to {LONGEST_REASON} characters, for those who find it so."
        )
    return why


def _check_target(actor: Actor, scope: StopScope, target: str) -> None:
    """Raises InvalidRequest for what is not there: a stop of nothing would calm for nothing."""
    if scope is StopScope.EVERYTHING:
        if target:
            raise InvalidRequest("target: a stop of everything names no target. Leave it out.")
        return
    if not 1 <= len(target) <= LONGEST_TARGET or "\0" in target:
        raise InvalidRequest(f"target: name the {_words(scope)} to stop.")
    if scope is StopScope.RUN:
        _check_run(actor, target)
    elif not _is_known(scope, target):
        raise InvalidRequest(f"target: {_UNKNOWN[scope].format(target[:80])}")


_UNKNOWN = {
    StopScope.AGENT: "no agent is called “{}”, nor any run's. GET /api/v1/agents lists them.",
    StopScope.AGENT_VERSION: "no run has the agent and version “{}”. Write them as name@version.",
    StopScope.PERSON: "nobody has the user name “{}”.",
    StopScope.CREDENTIAL: "there is no credential “{}”.",
}


def _is_known(scope: StopScope, target: str) -> bool:
    agent, _, version = target.rpartition("@")
    agents = {it.name: it.version for it in catalog().agents()}
    if scope is StopScope.AGENT:
        return target in agents or Run.objects.filter(agent=target).exists()
    if scope is StopScope.AGENT_VERSION:
        ran = Run.objects.filter(agent=agent, agent_version=version)
        return bool(version) and (agents.get(agent) == version or ran.exists())
    if scope is StopScope.PERSON:
        return User.objects.filter(username=target).exists()
    # A tool may be called without being declared anywhere; no credential is known of yet.
    return scope is StopScope.TOOL


def _check_run(actor: Actor, target: str) -> None:
    run = queries.get_run(public_id=target, viewer=actor, action=Action.OPERATE)
    if run.is_final:
        raise InvalidRequest(f"target: {target} has ended; there is nothing to stop.")


def _words(scope: StopScope) -> str:
    return scope.value.replace("_", " ")
