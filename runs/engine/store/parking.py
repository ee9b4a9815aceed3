"""Runs that people stop for a while or that wait for an operator, and how they go on."""

from __future__ import annotations

import json

from agentops.sdk.errors import AgentopsError
from runs.engine.store.ending import Hint, Moved
from runs.engine.store.locking import Held, lock_one
from runs.engine.store.sql import NEXT_SEQ, Cursor
from runs.engine.store.stopping import STOPPED
from runs.engine.store.taken import let_go, refuse_others
from runs.models import RunStatus, WaitingFor


class RunIsFinal(AgentopsError):
    """The run has ended. Start a new one, or fork it from one of its steps."""

    code = "run_is_final"


class RunIsBusy(AgentopsError):
    """A worker holds the run at this moment. Try again when it waits."""

    code = "run_is_busy"


class NotParked(AgentopsError):
    """The run does not wait for an operator, so there is nothing to resume."""

    code = "not_parked"


class NeedsOperator(AgentopsError):
    """The run is parked, not paused. To let it go on needs the role operator."""

    code = "permission_denied"


class NothingToRetry(AgentopsError):
    """No attempt of this run waits for its next try."""

    code = "nothing_to_retry"


class IsStopped(AgentopsError):
    """A stop holds this run. Lift the stop; the run then goes on by itself."""

    code = "is_stopped"


class NeedsSettlement(AgentopsError):
    """The run waits for somebody to say what became of a step. Settle that step."""

    code = "needs_settlement"


UNCERTAIN = "uncertain:"
PAUSED = "paused:"
TOOL_CHANGED = "tool_changed:"

_REQUEUE = f"""
WITH woken AS (
    UPDATE run SET status = 'queued', waiting_for = '', waiting_detail = '', epoch = epoch + 1,
           crash_count = 0, ready_at = clock_timestamp(), status_at = clock_timestamp()
     WHERE id = %(run)s AND status = 'waiting'
    RETURNING id, epoch, agent
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
SELECT w.id, '@run.resumed', 4, w.epoch, {NEXT_SEQ.format(run="w.id")}, w.epoch, 'run.resumed',
       w.agent, %(meta)s::jsonb FROM woken w
RETURNING run_id, seq
"""


def requeue(cursor: Cursor, held: Held, *, by: str, why: str) -> list[Hint]:
    """Give a waiting run, locked by the caller, to the next worker that is free.

    The epoch rises, so that the event is told apart from what a worker wrote about this epoch.
    """
    meta = json.dumps({"by": by, "after": why})
    cursor.execute(_REQUEUE, {"run": held.id, "meta": meta})
    return [(run_id, seq) for run_id, seq in cursor.fetchall()]


_PAUSE = f"""
WITH paused AS (
    UPDATE run SET status = 'waiting', waiting_for = 'operator', epoch = epoch + 1,
           waiting_detail = '{PAUSED}' || %(by)s, pause_by = %(by)s, ready_at = NULL,
           status_at = clock_timestamp()
     WHERE id = %(run)s AND status IN ('queued', 'waiting')
    RETURNING id, epoch, agent
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
SELECT p.id, '@run.paused', 4, p.epoch, {NEXT_SEQ.format(run="p.id")}, p.epoch, 'run.paused',
       p.agent, %(meta)s::jsonb FROM paused p
RETURNING run_id, seq
"""

_WISH = "UPDATE run SET pause_by = %(by)s WHERE id = %(run)s"


def pause(cursor: Cursor, run_id: int, *, by: str) -> Moved:
    """Let a run wait until somebody resumes it; one that is paused or final stays as it is.

    What no worker holds waits at once. A worker gives the run back at the next step boundary, and
    a run that is parked for another reason waits once that is settled.
    """
    held = lock_one(cursor, run_id)
    if held.is_final or held.pause_by:
        return Moved()
    if held.is_parked or held.status == RunStatus.RUNNING:
        cursor.execute(_WISH, {"run": run_id, "by": by})
        return Moved()
    told = {"by": by, "waiting_for": "operator", "was": held.waiting_for or held.status}
    cursor.execute(_PAUSE, {"run": run_id, "by": by, "meta": json.dumps(told)})
    return Moved([(run, seq) for run, seq in cursor.fetchall()])


def resume(cursor: Cursor, run_id: int, *, by: str, paused_only: bool = False) -> Moved:
    """Let a paused or parked run go on, or take back a pause that is not in force yet.

    ``paused_only``: not one that is parked for a reason an operator has to look at. Raises
    RunIsFinal, NotParked, NeedsOperator, NeedsSettlement, IsStopped or TakenOver.
    """
    held = lock_one(cursor, run_id)
    if held.is_final:
        raise RunIsFinal
    if not held.is_parked and not held.pause_by:
        raise NotParked
    if refuse_others(cursor, run_id, by):
        let_go(cursor, run_id)
    cursor.execute(_WISH, {"run": run_id, "by": ""})
    if not held.is_parked:
        return Moved()
    if paused_only and not held.waiting_detail.startswith(PAUSED):
        raise NeedsOperator
    if held.waiting_detail.startswith(UNCERTAIN):
        step = held.waiting_detail.removeprefix(UNCERTAIN)
        raise NeedsSettlement(
            f"Nobody knows whether step {step} took effect. Settle it: say that it happened, that "
            "it did not, that it stays unknown, or stop the run."
        )
    if held.waiting_detail.startswith(TOOL_CHANGED):
        tool = held.waiting_detail.removeprefix(TOOL_CHANGED)
        raise NeedsSettlement(
            f"What {tool} is said to do changed. Accept the new description or refuse it; the run "
            "then goes on by itself."
        )
    if held.waiting_detail.startswith(STOPPED):
        raise IsStopped(
            f"Stop {held.waiting_detail.removeprefix(STOPPED)} holds this run. Lift the stop; the "
            "run then goes on by itself."
        )
    hints = requeue(cursor, held, by=by, why=held.waiting_detail)
    return Moved(hints, {held.queue})


_RETRYING = """
SELECT EXISTS (SELECT 1 FROM journal f
                WHERE f.run_id = %(run)s AND f.phase = 3
                  AND NOT EXISTS (SELECT 1 FROM journal o WHERE o.run_id = f.run_id
                                     AND o.key = f.key AND o.phase = 1))
"""


def retry_now(cursor: Cursor, run_id: int, *, by: str) -> Moved:
    """Let a run that waits for its next attempt try at once; a queued one is about to.

    Raises RunIsFinal, RunIsBusy, TakenOver or NothingToRetry.
    """
    held = lock_one(cursor, run_id)
    if held.is_final:
        raise RunIsFinal
    if held.status == RunStatus.RUNNING:
        raise RunIsBusy
    if held.status == RunStatus.QUEUED:
        return Moved()
    refuse_others(cursor, run_id, by)
    if held.is_parked or not _waits_for_retry(cursor, held):
        raise NothingToRetry
    return Moved(requeue(cursor, held, by=by, why=WaitingFor.RETRY), {held.queue})


def _waits_for_retry(cursor: Cursor, held: Held) -> bool:
    if held.waiting_for == WaitingFor.RETRY:
        return True
    cursor.execute(_RETRYING, {"run": held.id})
    row = cursor.fetchone()
    return bool(row and row[0])
