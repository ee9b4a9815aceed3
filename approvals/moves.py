"""How a request comes to stand elsewhere: under a lock, once, with its record, heard by the run.

# Note [One way to move]
Every change of a request's state happens here: the row is locked, the update names the state it
expects, the record of it is written, and the message ``decided:<id>`` is put into the run's inbox,
all in the caller's transaction. Whoever comes second finds the state the first one left. The
database refuses a step that is not in :data:`NEXT` whoever takes it. Locks are taken in one order:
the request, then runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from agentops.accounts.access import Actor
from approvals import notices
from approvals.models import Kind, Record, Request, State
from runs import bell, services

DECIDED = "decided:"
# Where everybody listens who looks at an inbox.
INBOX = "inbox"
NOTHING: Mapping[str, object] = MappingProxyType({})
# What may follow what. All that is not named here is the end.
NEXT: Mapping[State, frozenset[State]] = MappingProxyType({
    State.PENDING: frozenset(State) - {State.PENDING, State.CONSUMED, State.LAPSED, State.REVOKED},
    State.APPROVED: frozenset({
        State.CONSUMED, State.LAPSED, State.REVOKED, State.SUPERSEDED, State.CANCELLED,
        # Taken back within the time to undo.
        State.PENDING,
    }),
})  # fmt: skip

_EVENTS = {
    (Kind.APPROVAL, State.APPROVED): "approval.decided",
    (Kind.APPROVAL, State.REJECTED): "approval.decided",
    (Kind.APPROVAL, State.EXPIRED): "approval.decided",
    (Kind.APPROVAL, State.CONSUMED): "approval.executed",
}
# What the person hears of for whom the run is: somebody, or time, has said no.
_OWNERS_HEAR_OF = frozenset({State.REJECTED, State.EXPIRED, State.REVOKED})


class NotAsExpected(Exception):
    """Somebody moved the request without its lock; nothing is done."""


@dataclass(frozen=True)
class By:
    """Who does it, as records call them, and the person where it is one."""

    name: str
    person_id: int | None = None

    @classmethod
    def actor(cls, actor: Actor) -> By:
        """Somebody at a door."""
        return cls(actor.name, actor.user.pk)


SWEEP = By("sweep")


def locked(pk: int, among: QuerySet[Request] | None = None) -> Request:
    """The request as it stands, locked until the caller's transaction ends.

    ``among``: if it is one of these. Raises Request.DoesNotExist.
    """
    rows = (Request.objects.all() if among is None else among).select_related("owner")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=pk)


def record(
    request: Request,
    event: str,
    by: By,
    *,
    digest: bytes | None = None,
    detail: Mapping[str, object] = NOTHING,
) -> Record:
    """Write a line of evidence about a request; whoever looks at it hears of it."""
    bell.stir_about([INBOX, request.public_id])
    return Record.objects.create(
        request=request, run_public_id=request.run_public_id, event=event, by=by.name,
        person_id=by.person_id, digest=digest, detail=dict(detail),
    )  # fmt: skip


def move(
    request: Request,
    to: State,
    by: By,
    *,
    digest: bytes | None = None,
    event: str = "",
    tells: bool = True,
    changes: Mapping[str, object] = NOTHING,
    detail: Mapping[str, object] = NOTHING,
) -> None:
    """Let a locked request stand at ``to``, write it down, and tell its run.

    ``changes`` are columns besides the state. ``event`` is ``<kind>.<state>`` where it is not said,
    and ``approval.decided`` for what ends the asking about an action.
    ``request`` is read anew. Raises NotAsExpected.
    """
    was = State(request.state)
    if to not in NEXT.get(was, ()):
        raise NotAsExpected(f"{request} cannot become {to}.")
    said: dict[str, object] = {"state": to, "decided_at": None if to is State.PENDING else Now()}
    if was is State.APPROVED and to is not State.PENDING:
        del said["decided_at"]
    said |= changes
    if Request.objects.filter(pk=request.pk, state=was).update(**said) != 1:
        raise NotAsExpected(f"{request} is no longer {was}.")
    what = event or _EVENTS.get((Kind(request.kind), to), f"{request.kind}.{to}")
    record(request, what, by, digest=digest, detail={"from": was, "to": to, **detail})
    request.refresh_from_db(fields=list(said))
    if to in _OWNERS_HEAR_OF:
        notices.decided(request, now=timezone.now(), but=by.person_id)
    if tells:
        tell(request, by)


def tell(request: Request, by: By) -> None:
    """Wake the run with what became of its request. The run reads the row; this is a bell."""
    with connection.cursor() as cursor:
        services.tell(
            cursor, run_id=request.run_id, name=f"{DECIDED}{request.public_id}",
            payload={"request": request.public_id, "state": request.state}, sender=by.name,
        )  # fmt: skip
