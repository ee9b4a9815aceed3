"""A person says what became of an effect that nobody saw the end of."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import datetime

from agentops.execution.records import error_record
from agentops.sdk.codec import Encoded, encode
from agentops.sdk.errors import AgentopsError, OutcomeUnknown
from runs.engine.store.ending import Ending, Hint, Moved, end, parents_of
from runs.engine.store.locking import Held, lock_with
from runs.engine.store.parking import UNCERTAIN, RunIsBusy, RunIsFinal, requeue
from runs.engine.store.sql import NEXT_SEQ, OPEN_INTENT, Cursor
from runs.engine.store.taken import refuse_others
from runs.models import Phase, RunStatus, StopReason


class Verdict(enum.StrEnum):
    """What a person found out about an uncertain step."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    UNKNOWN = "unknown"
    STOP = "stop"


class NotUncertain(AgentopsError):
    """This step has an outcome, or promised nothing, so there is nothing to settle."""

    code = "not_uncertain"


class InQuarantine(AgentopsError):
    """The attempt may still act. Wait until it cannot, then say that it did not happen.

    ``until`` is when that is known by time alone, or None when only the exit of its worker tells.
    """

    code = "in_quarantine"

    def __init__(self, step: str, until: datetime | None, wait_seconds: float | None) -> None:
        when = (
            f"until {until.isoformat(timespec='seconds')}"
            if until
            else "as long as its worker is not known to have exited"
        )
        super().__init__(
            f"The last attempt of step {step} may still act {when}; running it again before could "
            "do it twice. Wait, or settle the step as happened, unknown or stop."
        )
        self.until = until
        self.wait_seconds = wait_seconds


@dataclass(frozen=True)
class Settlement:
    """What is said of a step, and by whom. ``attempt`` is the one that was looked at, if known."""

    key: str
    verdict: Verdict
    by: str
    result: Encoded
    reference: str = ""
    attempt: int | None = None


# Note [Quarantine of intents]
# A frozen process may wake and act long after its run was taken from it. Its attempt is over when
# the process is known to be gone, or when its hard deadline and a grace have passed; only then is
# "it did not happen" a fact that stays true.
_INTENT = f"""
SELECT i.n, w.id IS NULL OR w.exited_at IS NOT NULL OR d.until < clock_timestamp(), d.until,
       extract(epoch FROM d.until - clock_timestamp())::float8
  FROM journal i
  CROSS JOIN LATERAL (SELECT (i.meta->>'deadline_at')::timestamptz
                             + make_interval(secs => %(grace)s) AS until) d
  LEFT JOIN worker w ON w.id = (i.meta->>'worker')::bigint
 WHERE i.run_id = %(run)s AND i.key = %(key)s AND {OPEN_INTENT}
 ORDER BY i.n DESC LIMIT 1
"""

_WRITE = f"""
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, fingerprint, codec, data, meta)
SELECT i.run_id, i.key, %(phase)s::smallint, %(n)s::int, {NEXT_SEQ.format(run="i.run_id")},
       %(epoch)s, 'step.settled', i.name, i.fingerprint, %(codec)s::smallint, %(data)s::bytea,
       (coalesce(i.meta, '{{}}') - 'deadline_at' - 'worker') || %(meta)s::jsonb
  FROM journal i
 WHERE i.run_id = %(run)s AND i.key = %(key)s AND i.phase = 0 AND i.n = %(intent)s
RETURNING run_id, seq
"""


def settle(cursor: Cursor, run_id: int, said: Settlement, *, grace_seconds: float) -> Moved:
    """Write down what became of the step and let the run go on, or stop it.

    Raises RunIsFinal, RunIsBusy, NotUncertain, or InQuarantine for "did not happen" said too
    early.
    """
    held = _lock_with_parent(cursor, run_id)
    refuse_others(cursor, run_id, said.by)
    intent = _open_intent(cursor, held, said, grace_seconds)
    if said.verdict is Verdict.STOP:
        return end(cursor, [run_id], _stopped(said))
    moved = Moved(_write(cursor, held, intent, said))
    parked_for_it = not held.is_parked or held.waiting_detail == UNCERTAIN + said.key
    if held.status == RunStatus.WAITING and parked_for_it:
        moved.hints += requeue(cursor, held, by=said.by, why=f"settled {said.key}")
        moved.queues.add(held.queue)
    return moved


def _lock_with_parent(cursor: Cursor, run_id: int) -> Held:
    held = lock_with(cursor, run_id, parents_of(cursor, [run_id]))[run_id]
    if held.is_final:
        raise RunIsFinal
    if held.status == RunStatus.RUNNING:
        raise RunIsBusy
    return held


def _open_intent(cursor: Cursor, held: Held, said: Settlement, grace_seconds: float) -> int:
    cursor.execute(_INTENT, {"run": held.id, "key": said.key, "grace": grace_seconds})
    row = cursor.fetchone()
    if row is None:
        raise NotUncertain(f"Step {said.key} has no uncertain outcome.")
    n, over, until, wait_seconds = row
    if said.attempt not in (None, n):
        raise NotUncertain(
            f"Attempt {said.attempt} of step {said.key} was settled before; now the outcome of "
            f"attempt {n} is uncertain. Look again what became of that one."
        )
    if said.verdict is Verdict.DID_NOT_HAPPEN and not over:
        raise InQuarantine(said.key, until, wait_seconds)
    return int(n)


def _write(cursor: Cursor, held: Held, intent: int, said: Settlement) -> list[Hint]:
    void = said.verdict is Verdict.DID_NOT_HAPPEN
    value, meta = _outcome(said)
    parameters = {
        "run": held.id,
        "key": said.key,
        "epoch": held.epoch,
        "intent": intent,
        "phase": Phase.VOID if void else Phase.OUTCOME,
        "n": intent if void else 0,
        "codec": None if void else value.codec,
        "data": None if void else value.data,
        "meta": json.dumps(meta),
    }
    cursor.execute(_WRITE, parameters)
    return [(run_id, seq) for run_id, seq in cursor.fetchall()]


def _outcome(said: Settlement) -> tuple[Encoded, dict[str, object]]:
    told = {"verdict": said.verdict, "by": said.by, "reference": said.reference}
    meta: dict[str, object] = {name: value for name, value in told.items() if value}
    if said.verdict is not Verdict.UNKNOWN:
        return said.result, meta
    message = f"Nobody can tell whether {said.key} took effect."
    meta["error"] = {"code": OutcomeUnknown.code, "message": message}
    return encode(error_record(OutcomeUnknown.code, message)), meta


def _stopped(said: Settlement) -> Ending:
    return Ending(
        RunStatus.FAILED,
        StopReason.UNCERTAIN,
        f"Stopped: nobody could tell whether {said.key} took effect.",
        by=said.by,
        note=said.reference,
        step=said.key,
    )
