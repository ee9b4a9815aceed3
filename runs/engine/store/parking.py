"""Runs that wait for an operator, and how they go on."""

from __future__ import annotations

import json

from agentops.sdk.errors import AgentopsError
from runs.engine.store.ending import Hint, Moved
from runs.engine.store.locking import Held, lock
from runs.engine.store.sql import NEXT_SEQ, Cursor


class RunIsFinal(AgentopsError):
    """The run has ended. Start a new one, or fork it from one of its steps."""

    code = "run_is_final"


class RunIsBusy(AgentopsError):
    """A worker holds the run at this moment. Try again when it waits."""

    code = "run_is_busy"


class NotParked(AgentopsError):
    """The run does not wait for an operator, so there is nothing to resume."""

    code = "not_parked"


class NeedsSettlement(AgentopsError):
    """The run waits for somebody to say what became of a step. Settle that step."""

    code = "needs_settlement"


UNCERTAIN = "uncertain:"

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


def resume(cursor: Cursor, run_id: int, *, by: str) -> Moved:
    """Let a parked run go on. Raises RunIsFinal, NotParked or NeedsSettlement."""
    held = lock(cursor, [run_id])[run_id]
    if held.is_final:
        raise RunIsFinal
    if not held.is_parked:
        raise NotParked
    if held.waiting_detail.startswith(UNCERTAIN):
        step = held.waiting_detail.removeprefix(UNCERTAIN)
        raise NeedsSettlement(
            f"Nobody knows whether step {step} took effect. Settle it: say that it happened, that "
            "it did not, that it stays unknown, or stop the run."
        )
    hints = requeue(cursor, held, by=by, why=held.waiting_detail)
    return Moved(hints, {held.queue})
