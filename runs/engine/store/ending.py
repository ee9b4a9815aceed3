"""Runs that no worker holds come to an end: cancelled, expired or given up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentops.sdk.codec import encode
from runs.engine.store.arrivals import tell_parents
from runs.engine.store.locking import lock
from runs.engine.store.sql import LIVE, NEXT_SEQ, OPEN_INTENT, Cursor
from runs.models import RunStatus, StopReason, WaitingFor

Hint = tuple[int, int]


@dataclass(frozen=True)
class Ending:
    """How a run ends, and what is told about it."""

    status: RunStatus
    reason: StopReason
    message: str
    by: str = ""
    note: str = ""
    step: str = ""

    @property
    def meta(self) -> str:
        told = {"stop_reason": self.reason, "by": self.by, "note": self.note, "step": self.step}
        return json.dumps({name: value for name, value in told.items() if value})

    @property
    def error(self) -> tuple[int, bytes]:
        detail = {"code": self.reason, "message": self.message, "detail": self.note}
        return encode({**detail, "step": self.step})


def cancellation(reason: StopReason, *, by: str = "", note: str = "") -> Ending:
    """The ending of a run that somebody stopped."""
    return Ending(RunStatus.CANCELLED, reason, reason.label, by=by, note=note)


@dataclass
class Moved:
    """What to do after commit: runs whose journal grew, and queues that have work."""

    hints: list[Hint] = field(default_factory=list)
    queues: set[str] = field(default_factory=set)

    def add(self, other: Moved) -> None:
        self.hints += other.hints
        self.queues |= other.queues


_END = f"""
WITH ended AS (
    UPDATE run SET status = %(status)s, stop_reason = %(reason)s, waiting_for = '',
           waiting_detail = '', ready_at = NULL, finished_at = clock_timestamp(),
           status_at = clock_timestamp()
     WHERE id = ANY(%(ids)s::bigint[]) AND status IN ('queued', 'waiting')
    RETURNING id, epoch, agent
), explained AS (
    UPDATE run_payload p SET error_codec = %(codec)s::smallint, error = %(error)s::bytea
      FROM ended WHERE p.run_id = ended.id
), doubtful AS (
    SELECT i.run_id, json_agg(i.key ORDER BY i.seq) AS keys
      FROM journal i JOIN ended ON ended.id = i.run_id WHERE {OPEN_INTENT} GROUP BY i.run_id
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, codec, data, meta)
SELECT e.id, '@run.' || %(status)s, 4, e.epoch, {NEXT_SEQ.format(run="e.id")}, e.epoch,
       'run.' || %(status)s, e.agent, %(codec)s::smallint, %(error)s::bytea,
       %(meta)s::jsonb || jsonb_strip_nulls(jsonb_build_object('uncertain', d.keys))
  FROM ended e LEFT JOIN doubtful d ON d.run_id = e.id
RETURNING run_id, seq
"""


def end(cursor: Cursor, ids: Iterable[int], ending: Ending) -> Moved:
    """End those of the runs that are queued or waiting, and tell their parents.

    The runs and their parents must be locked. An effect that was promised and never answered is
    named in the event as uncertain.
    """
    codec, error = ending.error
    parameters = {
        "ids": list(ids),
        "status": ending.status,
        "reason": ending.reason,
        "codec": codec,
        "error": error,
        "meta": ending.meta,
    }
    cursor.execute(_END, parameters)
    hints = [(run_id, seq) for run_id, seq in cursor.fetchall()]
    return Moved(hints, tell_parents(cursor, [run_id for run_id, _ in hints]))


_FAMILY = f"""
WITH RECURSIVE family AS (
    SELECT id, parent_id FROM run WHERE id = ANY(%(ids)s::bigint[]) AND status IN {LIVE}
    UNION
    SELECT c.id, c.parent_id FROM run c JOIN family f ON c.parent_id = f.id
     WHERE c.status IN {LIVE}
)
SELECT id, parent_id FROM family
"""

_REQUEST = """
UPDATE run SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
               cancel_reason = CASE WHEN cancel_reason = '' THEN %(reason)s ELSE cancel_reason END
 WHERE id = ANY(%(ids)s::bigint[]) AND status = 'running'
"""


def cancel(cursor: Cursor, ids: Iterable[int], ending: Ending) -> Moved:
    """End the runs and all live runs below them; those a worker holds are asked to stop.

    Asking again changes nothing. A final run stays as it is, with all below it.
    """
    asked = set(ids)
    cursor.execute(_FAMILY, {"ids": sorted(asked)})
    family = cursor.fetchall()
    members = {run_id for run_id, _ in family}
    held = lock(cursor, members | {parent for _, parent in family if parent is not None})
    if all(held[run_id].is_final for run_id in asked & members):
        return Moved()
    moved = end(cursor, members, ending)
    cursor.execute(_REQUEST, {"ids": sorted(members), "reason": ending.reason})
    return moved


def expire(cursor: Cursor, ids: Iterable[int]) -> Moved:
    """End runs whose time to start or to be answered ran out. A running one goes on."""
    wanted = set(ids)
    held = lock(cursor, wanted | parents_of(cursor, wanted))
    moved = Moved()
    for for_approval in (True, False):
        chosen = [
            run.id
            for run in held.values()
            if run.id in wanted and (run.waiting_for == WaitingFor.APPROVAL) is for_approval
        ]
        moved.add(end(cursor, chosen, _expiry(for_approval=for_approval)))
    return moved


def _expiry(*, for_approval: bool) -> Ending:
    if for_approval:
        return Ending(RunStatus.EXPIRED, StopReason.APPROVAL_EXPIRED, "Nobody decided in time.")
    return Ending(
        RunStatus.EXPIRED,
        StopReason.TIMEOUT,
        "The time this run had to start or to be answered ran out. Start it again if it is "
        "still wanted.",
    )


def parents_of(cursor: Cursor, ids: Iterable[int]) -> set[int]:
    """The runs that started these runs."""
    cursor.execute(
        "SELECT parent_id FROM run WHERE id = ANY(%(ids)s::bigint[]) AND parent_id IS NOT NULL",
        {"ids": sorted(ids)},
    )
    return {parent for (parent,) in cursor.fetchall()}
