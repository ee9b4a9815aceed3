"""Bulk actions: one wish for many runs, done by workers one run at a time.

# Note [Nothing is lost in a bulk action]
An item is locked, done and given its outcome in one transaction, so it is done once or not at all:

==========================================  =====================================================
the worker dies in the middle of an item    its transaction is rolled back, the item is free
the worker dies between two items           what is done stays done, any worker goes on
the bell is lost, or the broker is gone     every sweep works on what is left, a second at a time
two workers at once                         each skips what the other has locked
asked for twice with one key                one action, by a unique constraint
stopped in the middle                       what has no outcome gets one: stopped
the asker loses the right meanwhile         each item asks for it anew, and is refused
==========================================  =====================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from agentops.accounts.access import (
    Action,
    Actor,
    NotFound,
    allows,
    authorize,
    authorize_new,
    visible_to,
)
from agentops.accounts.roles import Scope
from agentops.sdk.errors import AgentopsError
from agentops.sdk.ids import new_id
from runs import bell, services
from runs.engine import store
from runs.models import (
    BulkAction,
    BulkItem,
    BulkOutcome,
    BulkVerb,
    Run,
    RunStatus,
    StopReason,
)

__all__ = [
    "Begun",
    "counts",
    "counts_of",
    "forget",
    "get",
    "is_left",
    "items",
    "start",
    "stop",
    "visible",
    "work",
]

log = structlog.get_logger(__name__)

MOST_RUNS = 10_000
_BATCH = 2_000
_LONGEST_NOTE = 200
# Who asked is looked up again after so long, for rights that were taken away.
_RIGHTS_SECONDS = 2.0


class TooManyRuns(AgentopsError):
    """More runs match than one bulk action takes. Narrow the filter, for instance by time."""

    code = "too_many_runs"


class NoRuns(AgentopsError):
    """No run matches, so there is nothing to do. Nothing was stored."""

    code = "no_runs"


@dataclass(frozen=True)
class Begun:
    """A bulk action, and whether this call made it."""

    action: BulkAction
    created: bool


def start(
    *,
    actor: Actor,
    verb: BulkVerb,
    runs: QuerySet[Run],
    said: Mapping[str, object],
    note: str = "",
    idempotency_key: str | None = None,
) -> Begun:
    """Ask that ``verb`` is done to each of ``runs``, as they are found now; workers do it.

    ``runs`` may be any queryset, such as a list's filter: of it only those ``actor`` may see are
    taken. ``said`` is the filter in the asker's words, for people to read. Returns when it is
    recorded; :func:`counts` tells how far it is. Raises Forbidden, InvalidRequest, TooManyRuns,
    NoRuns or IdempotencyMismatch.
    """
    authorize_new(actor)
    services.check_key(idempotency_key)
    known = _known(actor, verb, said, idempotency_key)
    if known is not None:
        return Begun(known, created=False)
    found = list(
        visible_to(actor, runs)
        .order_by("-created_at", "-id")
        .values_list("pk", "public_id")[: MOST_RUNS + 1]
    )
    if not found:
        raise NoRuns
    if len(found) > MOST_RUNS:
        raise TooManyRuns(
            f"More than {MOST_RUNS:,} runs match, which is the most one bulk action takes. Narrow "
            "the filter, for instance by time."
        )
    try:
        action = _record(actor, verb, found, said, note[:_LONGEST_NOTE], idempotency_key)
    except IntegrityError:
        known = _known(actor, verb, said, idempotency_key)
        if known is None:
            raise
        return Begun(known, created=False)
    return Begun(action, created=True)


def _known(
    actor: Actor, verb: BulkVerb, said: Mapping[str, object], key: str | None
) -> BulkAction | None:
    if key is None:
        return None
    known = BulkAction.objects.filter(owner=actor.user, idempotency_key=key).first()
    if known is not None and (known.verb, known.filter) != (verb, dict(said)):
        raise services.IdempotencyMismatch
    return known


def _record(
    actor: Actor,
    verb: BulkVerb,
    found: list[tuple[int, str]],
    said: Mapping[str, object],
    note: str,
    key: str | None,
) -> BulkAction:
    with transaction.atomic(durable=True):
        action = BulkAction.objects.create(
            public_id=new_id("bulk"),
            owner=actor.user,
            service=actor.service,
            by=actor.name,
            scopes=None if actor.scopes is None else sorted(actor.scopes),
            verb=verb,
            note=note,
            filter=dict(said),
            idempotency_key=key,
            total=len(found),
        )
        BulkItem.objects.bulk_create(
            [
                BulkItem(action=action, number=number, run_id=pk, run_public_id=public_id)
                for number, (pk, public_id) in enumerate(found, 1)
            ],
            batch_size=_BATCH,
        )
        bell.ring_bulk()
    action.refresh_from_db()
    return action


# --- reading ----------------------------------------------------------------------------------


def visible(*, viewer: Actor) -> QuerySet[BulkAction]:
    """The bulk actions ``viewer`` may see, newest first."""
    return visible_to(viewer, BulkAction.objects.select_related("owner")).order_by(
        "-created_at", "-id"
    )


def get(*, public_id: str, viewer: Actor) -> BulkAction:
    """The bulk action called ``public_id``. Raises NotFound."""
    action = visible(viewer=viewer).filter(public_id=public_id[:64].replace("\0", "")).first()
    if action is None:
        raise NotFound(f"There is no bulk action {public_id[:40]}, or it is not yours to see.")
    return action


def counts(*, action: BulkAction) -> dict[str, int]:
    """How many runs of the action have which outcome; each outcome is named."""
    return counts_of([action])[action.pk]


def counts_of(actions: Collection[BulkAction]) -> dict[int, dict[str, int]]:
    """The :func:`counts` of several actions, by their number, in one query."""
    found = {action.pk: dict.fromkeys(BulkOutcome.values, 0) for action in actions}
    items = BulkItem.objects.filter(action__in=found).order_by()
    for pk, outcome, number in items.values_list("action", "outcome").annotate(n=Count("id")):
        found[pk][outcome] = int(number)
    return found


def items(*, action: BulkAction, outcome: str = "", after: int = 0) -> QuerySet[BulkItem]:
    """Run by run what became of it, in order, above number ``after``."""
    rows = action.items.filter(number__gt=after).order_by("number")
    return rows.filter(outcome=outcome) if outcome else rows


# --- doing ------------------------------------------------------------------------------------


def stop(*, action: BulkAction, actor: Actor) -> BulkAction:
    """Do no more of it; what is done stays done. One that has ended stays as it is.

    Raises Forbidden for who did not ask for it and does not administer.
    """
    if action.owner_id != actor.user.pk:
        authorize(actor, Action.ADMINISTER)
    authorize_new(actor)
    with transaction.atomic(durable=True):
        held = BulkAction.objects.select_for_update().get(pk=action.pk)
        if held.finished_at is None:
            held.items.filter(outcome=BulkOutcome.PENDING).update(
                outcome=BulkOutcome.STOPPED, done_at=Now()
            )
            BulkAction.objects.filter(pk=held.pk).update(stopped_by=actor.name, finished_at=Now())
    action.refresh_from_db()
    return action


_NEXT = """
SELECT i.id FROM bulk_item i JOIN bulk_action a ON a.id = i.action_id
 WHERE i.outcome = 'pending' AND a.finished_at IS NULL
 ORDER BY i.number, i.id LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED
"""

_FINISH = """
UPDATE bulk_action a SET finished_at = clock_timestamp()
 WHERE a.finished_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM bulk_item i WHERE i.action_id = a.id AND i.outcome = 'pending')
"""


def work(*, seconds: float) -> int:
    """Do items of unfinished bulk actions for a while. Returns how many were done.

    Anybody may call it, also at once: see Note [Nothing is lost in a bulk action].
    """
    border = time.monotonic() + seconds
    rights = _Rights()
    done = 0
    while time.monotonic() < border and _do_one(rights):
        done += 1
    if BulkAction.objects.filter(finished_at__isnull=True).exists():
        with connection.cursor() as cursor:
            cursor.execute(_FINISH)
    return done


def is_left() -> bool:
    """Whether something of a bulk action has still to be done."""
    return BulkItem.objects.filter(
        outcome=BulkOutcome.PENDING, action__finished_at__isnull=True
    ).exists()


class _Rights:
    """Who asked for an action, with their rights of a moment ago."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, Actor]] = {}

    def of(self, action: BulkAction) -> Actor:
        at, actor = self._known.get(action.pk, (0.0, None))
        if actor is None or time.monotonic() - at > _RIGHTS_SECONDS:
            scopes = None if action.scopes is None else frozenset(map(Scope, action.scopes))
            actor = Actor(action.owner, action.service, scopes).ready()
            self._known[action.pk] = (time.monotonic(), actor)
        return actor


def _do_one(rights: _Rights) -> bool:
    """Take the next item, do it and say what became of it, together. False: there is none."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_NEXT)
        row = cursor.fetchone()
        if row is None:
            return False
        item = BulkItem.objects.select_related("action__owner", "action__service").get(pk=row[0])
        result = _result(cursor, item, rights.of(item.action))
        BulkItem.objects.filter(pk=item.pk).update(**result, done_at=Now())
    return True


@dataclass(frozen=True)
class _Case:
    """One run that has its turn, with who wants something of it. All of it is locked or new."""

    cursor: store.Cursor
    run: Run
    action: BulkAction
    actor: Actor


def _result(cursor: store.Cursor, item: BulkItem, actor: Actor) -> dict[str, str]:
    run = Run.objects.select_related("owner", "team").filter(pk=item.run_id).first()
    if run is None or not allows(actor, Action.VIEW, run):
        return _told(BulkOutcome.REFUSED, NotFound.code, NotFound().message)
    if not allows(actor, Action.CONTROL, run):
        gone = f"{actor.name} may no longer do this with it."
        return _told(BulkOutcome.REFUSED, "permission_denied", gone)
    try:
        with transaction.atomic():
            return _VERBS[BulkVerb(item.action.verb)](_Case(cursor, run, item.action, actor))
    except AgentopsError as refused:
        return _told(BulkOutcome.REFUSED, refused.code, refused.message)
    except (OperationalError, InterfaceError):  # the database is away; the item stays for later
        raise
    except Exception:  # one run that breaks us must not hold up the others
        log.exception("bulk.item_failed", action=item.action.public_id, run=run.public_id)
        ours = "Something went wrong on our side. It has been recorded."
        return _told(BulkOutcome.FAILED, "internal_error", ours)


def _told(outcome: BulkOutcome, code: str, message: str) -> dict[str, str]:
    return {"outcome": outcome, "code": code, "message": message}


def _moved(moved: store.Moved, *, changed: bool) -> dict[str, str]:
    services.announce(moved)
    return {"outcome": BulkOutcome.DONE if changed else BulkOutcome.UNCHANGED}


def _cancel(case: _Case) -> dict[str, str]:
    run, by = case.run, case.actor
    mine = run.owner_id == by.user.pk
    reason = StopReason.CANCELLED_BY_USER if mine else StopReason.CANCELLED_BY_OPERATOR
    ending = store.cancellation(reason, by=by.name, note=case.action.note)
    stopped = run.is_final or run.cancel_requested_at is not None
    return _moved(store.cancel(case.cursor, [run.pk], ending), changed=not stopped)


def _pause(case: _Case) -> dict[str, str]:
    stands = case.run.is_final or bool(case.run.pause_by)
    moved = store.pause(case.cursor, case.run.pk, by=case.actor.name)
    return _moved(moved, changed=not stands)


def _resume(case: _Case) -> dict[str, str]:
    paused_only = not allows(case.actor, Action.OPERATE, case.run)
    return _moved(
        store.resume(case.cursor, case.run.pk, by=case.actor.name, paused_only=paused_only),
        changed=True,
    )


def _retry_now(case: _Case) -> dict[str, str]:
    queued = case.run.status == RunStatus.QUEUED
    moved = store.retry_now(case.cursor, case.run.pk, by=case.actor.name)
    return _moved(moved, changed=not queued)


def _retry_failure(case: _Case) -> dict[str, str]:
    moved = services.reopen(case.cursor, run=case.run, actor=case.actor.name)
    return _moved(moved, changed=True)


def _replay(case: _Case) -> dict[str, str]:
    key = f"{case.action.public_id}/{case.run.public_id}"
    owner = case.actor.user
    started = services.begin(
        services.again(run=case.run, actor=case.actor.name, owner=owner, idempotency_key=key)
    )
    return {"outcome": BulkOutcome.DONE, "made": started.run.public_id}


_VERBS: dict[BulkVerb, Callable[[_Case], dict[str, str]]] = {
    BulkVerb.CANCEL: _cancel,
    BulkVerb.PAUSE: _pause,
    BulkVerb.RESUME: _resume,
    BulkVerb.RETRY_NOW: _retry_now,
    BulkVerb.RETRY_FAILURE: _retry_failure,
    BulkVerb.REPLAY: _replay,
}


def forget(*, days: int) -> int:
    """Delete bulk actions that ended more than ``days`` days ago. Returns how many went."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_ITEMS, {"days": days})
        cursor.execute(_FORGET, {"days": days})
        return int(cursor.rowcount)


_FORGET_ITEMS = """
DELETE FROM bulk_item WHERE action_id IN (
    SELECT id FROM bulk_action
     WHERE finished_at < clock_timestamp() - make_interval(days => %(days)s)
     ORDER BY finished_at LIMIT 10)
"""
_FORGET = """
DELETE FROM bulk_action a
 WHERE finished_at < clock_timestamp() - make_interval(days => %(days)s)
   AND NOT EXISTS (SELECT 1 FROM bulk_item i WHERE i.action_id = a.id)
"""
