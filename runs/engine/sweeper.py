"""The sweep: finds what a crash, a lost bell or the passing of time left behind.

Every worker process sweeps, and so do beat and ``manage.py sweep``; it does not matter who, how
often, or how many at once. Nothing depends on an event that could be missed: each duty is a
condition on rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import psycopg
import structlog
from django.conf import settings
from django.db import connection as django_connection
from psycopg.rows import tuple_row

from agentops import reports
from runs import bell
from runs.engine import duties, store
from runs.models import StopReason

log = structlog.get_logger(__name__)
T = TypeVar("T")

# The slow duties need no hurry; each process does them this often.
THOROUGH_EVERY_SECONDS = 30.0
# "agentops" on a telephone's keys.
_LOCK = 24686077
_REASONS = {reason.value: reason for reason in StopReason}


@dataclass
class Swept:
    """What a sweep found. ``skipped`` counts duties that another process was at."""

    dead_workers: int = 0
    reclaimed: int = 0
    parked: int = 0
    cancelled: int = 0
    expired: int = 0
    told: int = 0
    held: int = 0
    freed: int = 0
    forgotten_runs: int = 0
    forgotten_blobs: int = 0
    forgotten_memories: int = 0
    failed_duties: int = 0
    skipped: int = 0
    rings: dict[str, int] = field(default_factory=dict)


def sweep(
    *,
    connection: psycopg.Connection[Any],
    thorough: bool | None = None,
    others: Sequence[str] = (),
) -> Swept:
    """Do every duty, each in a transaction of its own, then ring and hint.

    ``connection`` is in autocommit mode and used by nobody else meanwhile. The slow duties (old
    runs, blobs, expired memory, forgotten parents) are done when ``thorough``, every 30 s by
    default. ``others`` are duties of other apps; what they wake is rung for, too.
    """
    found = _Sweep(connection, others)
    return found.run(thorough=_thorough_now() if thorough is None else thorough)


def sweep_from_django(*, thorough: bool | None = None) -> Swept:
    """Sweep over the calling thread's own database connection."""
    django_connection.ensure_connection()
    return sweep(
        connection=django_connection.connection,
        thorough=thorough,
        others=settings.AGENTOPS_DUTIES,
    )


class _Sweep:
    def __init__(self, connection: psycopg.Connection[Any], others: Sequence[str]) -> None:
        self._connection = connection
        self._others = others
        self._moved = store.Moved()
        self._found = Swept()

    def run(self, *, thorough: bool) -> Swept:
        self._leases()
        self._expiry()
        self._orphans()
        self._stops(thorough=thorough)
        self._moved.add(self._duty(store.hand_back_overdue) or store.Moved())
        if thorough:
            self._untold()
            self._decided()
            self._forget()
        self._duties_of_others()
        self._ring()
        log.debug("sweep.done", **asdict(self._found))
        return self._found

    def _leases(self) -> None:
        lease, limit = settings.AGENTOPS_LEASE_SECONDS, settings.AGENTOPS_CRASH_LIMIT
        dead = self._duty(lambda cursor: store.mark_dead(cursor, lease_seconds=lease))
        self._found.dead_workers = dead or 0
        reclaimed = self._duty(
            lambda cursor: store.reclaim(
                cursor, grace_seconds=store.GRACE_SECONDS, crash_limit=limit
            )
        )
        if reclaimed is None:
            return
        self._moved.add(reclaimed)
        self._found.reclaimed, self._found.parked = reclaimed.count, reclaimed.parked
        for reason, ids in reclaimed.cancelled.items():
            self._cancel(ids, _REASONS[reason])

    def _expiry(self) -> None:
        moved = self._duty(lambda cursor: store.expire(cursor, store.expired(cursor)))
        if moved is not None:
            self._moved.add(moved)
            self._found.expired = len(moved.hints)

    def _orphans(self) -> None:
        ids = self._duty(store.orphans)
        if ids:
            self._cancel(ids, StopReason.CANCELLED_BY_USER)

    def _stops(self, *, thorough: bool) -> None:
        held = self._duty(store.hold_stopped)
        if held is not None:
            self._moved.add(held)
            self._found.held = len(held.hints)
        if thorough or self._duty(store.was_lifted_lately):
            freed = self._duty(lambda cursor: store.free_unstopped(cursor, by="sweep"))
            if freed is not None:
                self._moved.add(freed)
                self._found.freed = len(freed.hints)

    def _cancel(self, ids: list[int], reason: StopReason) -> None:
        ending = store.cancellation(reason, by="sweep")
        moved = self._duty(lambda cursor: store.cancel(cursor, ids, ending))
        if moved is not None:
            self._moved.add(moved)
            self._found.cancelled += len(ids)

    def _untold(self) -> None:
        children = self._duty(_tell_forgotten)
        if children is not None:
            self._found.told, queues = children
            self._moved.queues |= queues

    def _decided(self) -> None:
        moved = self._duty(store.wake_decided)
        if moved is not None:
            self._moved.add(moved)

    def _duties_of_others(self) -> None:
        done = duties.run(self._others)
        self._found.failed_duties = len(done.failed)
        self._found.skipped += done.skipped

    def _forget(self) -> None:
        days = settings.AGENTOPS_RETENTION_DAYS
        runs = self._duty(lambda cursor: store.forget_runs(cursor, days=days)) or []
        self._duty(lambda cursor: store.forget_conversations(cursor, days=days))
        runs += self._duty(_forget_abandoned) or []
        reports.forget(runs)
        blobs = self._duty(store.collect_blobs)
        self._duty(lambda cursor: store.forget_workers(cursor, days=days))
        self._found.forgotten_memories = self._duty(store.forget_memories) or 0
        self._found.forgotten_runs, self._found.forgotten_blobs = len(runs), blobs or 0

    def _ring(self) -> None:
        late = self._duty(store.due) or {}
        self._found.rings = dict.fromkeys(self._moved.queues, 1) | late
        for queue, times in self._found.rings.items():
            for _ in range(times):
                bell.ring_now(queue=queue)
        if self._moved.hints:
            bell.hint_now([list(pair) for pair in self._moved.hints])

    def _duty(self, act: Callable[[store.Cursor], T]) -> T | None:
        """Act in a transaction, unless another process is at a duty; then return None."""
        with self._connection.transaction(), self._connection.cursor(row_factory=tuple_row) as own:
            own.execute("SELECT pg_try_advisory_xact_lock(%(key)s)", {"key": _LOCK})
            row = own.fetchone()
            if row and row[0]:
                return act(own)
        self._found.skipped += 1
        return None


def _tell_forgotten(cursor: store.Cursor) -> tuple[int, set[str]]:
    children = store.untold(cursor)
    store.lock(cursor, store.parents_of(cursor, children))
    return len(children), store.tell_parents(cursor, children)


def _forget_abandoned(cursor: store.Cursor) -> list[str]:
    days = settings.AGENTOPS_CONVERSATION_DAYS
    left = store.abandoned(cursor, days=days) if days > 0 else []
    return store.erase_conversations(cursor, left) if left else []


class Cadence:
    """Says yes once per period, to one caller."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def __call__(self) -> bool:
        with self._lock:
            due = self._clock() >= self._next
            if due:
                self._next = self._clock() + self._seconds
            return due


_thorough_now = Cadence(THOROUGH_EVERY_SECONDS)
