"""Runs that a person does by hand for a while, and nobody else moves.

# Note [Taking over]
A take-over is a lease on a run: a row with the person and its end. It pauses the run at the next
boundary of a step, and while it lasts nobody else resumes, retries, settles or answers it.

| what goes wrong | what happens |
|---|---|
| two people take it in the same moment | a lock: one has it, the other is told who |
| they go on holiday | the lease ends, and the sweep hands the run back |
| a worker holds the run | it ends the steps under way; the run waits from then on |
| the run waits for something else | it goes on waiting for that; what it wants is still seen |
| a stop holds it as well | both hold |
| it is cancelled, or expires | it ends; a lease is no reason to go on |
| a result is supplied twice | the first counts |
| a result is supplied, and an attempt may have acted | refused: that is a thing to settle |
| a result does not fit the tool | the agent gets it as it is, as with a settled step |
| a worker still ends a step | nothing is supplied meanwhile: its own outcome may come |
| somebody had paused it before | it stays paused when it is handed back |
"""

from __future__ import annotations

from agentops.sdk.errors import AgentopsError
from runs.engine.store.ending import Moved
from runs.engine.store.locking import lock, lock_one
from runs.engine.store.parking import PAUSED, RunIsBusy, RunIsFinal, pause, requeue
from runs.engine.store.sql import OPEN_INTENT, Cursor
from runs.engine.store.stopping import STOPPED
from runs.engine.store.taken import TAKING, let_go, refuse_others
from runs.models import RunStatus

MOST = 100


class NotOpen(AgentopsError):
    """The run waits for no result of this step: it has one, or was never asked for."""

    code = "not_open"


class NotTaken(AgentopsError):
    """You did not take this run over, or your time with it is over. Take it over first."""

    code = "not_taken"


_TAKE = """
INSERT INTO take_over (run_id, person_id, until)
VALUES (%(run)s, %(person)s, clock_timestamp() + make_interval(mins => %(minutes)s))
ON CONFLICT (run_id) DO UPDATE
   SET person_id = excluded.person_id, until = excluded.until,
       since = CASE WHEN take_over.person_id = excluded.person_id
                     AND take_over.until > clock_timestamp()
                    THEN take_over.since ELSE clock_timestamp() END
"""
_WISH = "UPDATE run SET pause_by = '' WHERE id = %(run)s"
_OVERDUE = f"SELECT run_id FROM take_over WHERE until <= clock_timestamp() LIMIT {MOST}"
_OPEN = f"""
SELECT coalesce(j.meta->>'type', 'tool'), EXISTS (
           SELECT 1 FROM journal i WHERE i.run_id = %(run)s AND i.key = %(key)s AND {OPEN_INTENT})
  FROM journal j
 WHERE j.run_id = %(run)s
   AND j.key IN (%(key)s, '@stop.held/' || %(key)s, '@approval.requested/' || %(key)s)
   AND NOT EXISTS (SELECT 1 FROM journal o
                    WHERE o.run_id = %(run)s AND o.key = %(key)s AND o.phase = 1)
 ORDER BY j.seq DESC LIMIT 1
"""


def take(cursor: Cursor, run_id: int, *, person: int, by: str, minutes: int) -> Moved:
    """Give a person the run for a while, or more time with it. Raises RunIsFinal or TakenOver."""
    held = lock_one(cursor, run_id)
    if held.is_final:
        raise RunIsFinal
    refuse_others(cursor, run_id, by)
    cursor.execute(_TAKE, {"run": run_id, "person": person, "minutes": minutes})
    return pause(cursor, run_id, by=f"{by}{TAKING}")


def hand_back(cursor: Cursor, run_id: int, *, by: str) -> Moved:
    """End a lease, and let the run go on from where it was. Raises TakenOver."""
    refuse_others(cursor, run_id, by)
    return _let_go(cursor, run_id, by)


def _let_go(cursor: Cursor, run_id: int, by: str) -> Moved:
    let_go(cursor, run_id)
    held = lock(cursor, [run_id]).get(run_id)
    if held is None or held.is_final or not held.pause_by.endswith(TAKING):
        return Moved()
    cursor.execute(_WISH, {"run": run_id})
    # What a stop holds asks again: the step it was held at may have its result by now.
    if not (held.is_parked and held.waiting_detail.startswith((PAUSED, STOPPED))):
        return Moved()
    return Moved(requeue(cursor, held, by=by, why="taken over"), {held.queue})


def hand_back_overdue(cursor: Cursor) -> Moved:
    """Hand runs back whose lease is over."""
    cursor.execute(_OVERDUE, {})
    moved = Moved()
    for (run_id,) in sorted(cursor.fetchall()):
        moved.add(_let_go(cursor, run_id, "sweep"))
    return moved


def require_open(cursor: Cursor, run_id: int, key: str) -> None:
    """Return if a person may supply the result of this step of a run locked by the caller.

    Raises RunIsFinal, RunIsBusy or NotOpen.
    """
    held = lock_one(cursor, run_id)
    if held.is_final:
        raise RunIsFinal
    if held.status == RunStatus.RUNNING:
        raise RunIsBusy
    cursor.execute(_OPEN, {"run": run_id, "key": key})
    row = cursor.fetchone()
    if row is None or row[0] not in {"tool", "step"}:
        raise NotOpen
    if row[1]:
        raise NotOpen(
            f"An attempt of {key} may have acted already. Settle that step instead: say that it "
            "happened, with its result, or that it did not."
        )
