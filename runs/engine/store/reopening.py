"""A failed run goes on from the step it failed at.

# Note [Failed steps that are done again]
What is recorded never changes, also not the outcome of a step that failed. Reopening a run appends
``run.reopened``, which names each failed step together with the key under which it is asked for
from then on (``post#1`` becomes ``post#1!2``). So every key still has one outcome, journals stay
append-only, and a replay of any age comes to the same end. The key a tool sees as its idempotency
key does not change: to the outside it is the same call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentops.sdk.codec import BLOB, decode
from agentops.sdk.errors import AgentopsError, OutcomeUnknown
from runs.engine.store.arrivals import tell_parents
from runs.engine.store.ending import Moved
from runs.engine.store.locking import Held, lock_with
from runs.engine.store.sql import NEXT_SEQ, Cursor
from runs.models import RunStatus


class NotFailed(AgentopsError):
    """Only a run that failed can go on from its failure. Start it again, or fork it."""

    code = "not_failed"


class NotRetriable(AgentopsError):
    """The step this run failed at may not be done again blindly; the message says why."""

    code = "not_retriable"


@dataclass
class _Reopening:
    """What has to be done to one run. ``again``: new keys of failed steps by their old ones."""

    run_id: int
    again: dict[str, str] = field(default_factory=dict)
    children: list[int] = field(default_factory=list)


_FAILURE = """
SELECT r.public_id, r.status, p.error_codec, p.error
  FROM run r JOIN run_payload p ON p.run_id = r.id WHERE r.id = %(run)s
"""

_FAILED_STEPS = """
SELECT j.key, j.kind, j.meta, coalesce(b.codec, j.codec), coalesce(b.data, j.data)
  FROM journal j LEFT JOIN blob b ON j.codec = 2 AND b.digest = j.data
 WHERE j.run_id = %(run)s AND j.phase = 1
   AND (j.kind IN ('step.failed', 'child.failed', 'event.expired') OR j.meta ? 'error')
 ORDER BY j.seq
"""

_AGAIN = """
SELECT meta->'again' FROM journal WHERE run_id = %(run)s AND kind = 'run.reopened' ORDER BY seq
"""

_CHILD = "SELECT id, status, public_id FROM run WHERE parent_id = %(run)s AND public_id = %(child)s"

_REOPEN = f"""
WITH reopened AS (
    UPDATE run SET status = 'queued', stop_reason = '', finished_at = NULL, epoch = epoch + 1,
           ready_at = clock_timestamp(), status_at = clock_timestamp(), crash_count = 0,
           last_progress_at = clock_timestamp(), cancel_requested_at = NULL, cancel_reason = '',
           pause_by = '', degraded = '{{}}', timeout_seconds = timeout_seconds + worked_ms / 1000.0,
           expires_at = CASE WHEN expires_at > clock_timestamp() THEN expires_at END
     WHERE id = %(run)s AND status = 'failed'
    RETURNING id, epoch, agent
), forgiven AS (
    UPDATE run_payload p SET error_codec = NULL, error = NULL
      FROM reopened r WHERE p.run_id = r.id
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
SELECT r.id, '@reopened', 4, r.epoch, {NEXT_SEQ.format(run="r.id")}, r.epoch, 'run.reopened',
       r.agent, %(meta)s::jsonb FROM reopened r
RETURNING run_id, seq
"""

# What a child told its parent at its first end is void: it will tell of another one.
_UNTELL = """
UPDATE inbox i SET name = 'void:' || i.name, dedup_key = 'void:' || i.n || ':' || i.dedup_key
  FROM run c WHERE c.id = ANY(%(children)s::bigint[]) AND i.run_id = c.parent_id
               AND i.dedup_key = 'child:' || c.public_id
"""


def reopen(cursor: Cursor, run_id: int, *, by: str) -> Moved:
    """Let a failed run go on from its failing step, and so the failed runs it waited for.

    Working time begins anew. It is told of the runs it started that ended meanwhile. Raises
    RunIsGone, NotFailed or NotRetriable; then nothing changes.
    """
    # The family is locked as a whole before it is read: lowest id first, like everywhere.
    held = lock_with(cursor, run_id, _below(cursor, run_id))
    plan = list(_plan(cursor, held, held[run_id]))
    _refuse_children(cursor, held[run_id])
    moved = Moved()
    for work in plan:
        moved.add(_reopen(cursor, held[work.run_id], work, by))
        moved.queues |= tell_parents(cursor, _children(cursor, work.run_id))
    return moved


_PARENT = "SELECT public_id FROM run WHERE id = %(parent)s"


def _refuse_children(cursor: Cursor, run: Held) -> None:
    """A child does not go on alone: its parent has heard of its end and drawn its conclusions."""
    if run.parent_id is None:
        return
    cursor.execute(_PARENT, {"parent": run.parent_id})
    row = cursor.fetchone()
    parent = row[0] if row else "another run"
    raise NotRetriable(
        f"Run {run.public_id} was started by {parent}, which has heard of its failure. Retry "
        f"{parent} if it failed because of this, or run this one again on its own."
    )


def _children(cursor: Cursor, run_id: int) -> list[int]:
    cursor.execute(
        "SELECT id FROM run WHERE parent_id = %(run)s AND finished_at IS NOT NULL", {"run": run_id}
    )
    return [child for (child,) in cursor.fetchall()]


_BELOW = """
WITH RECURSIVE family AS (
    SELECT id FROM run WHERE id = %(run)s
    UNION SELECT c.id FROM run c JOIN family f ON c.parent_id = f.id AND c.status = 'failed'
) SELECT id FROM family
"""


def _below(cursor: Cursor, run_id: int) -> set[int]:
    cursor.execute(_BELOW, {"run": run_id})
    return {found for (found,) in cursor.fetchall()}


def _plan(cursor: Cursor, held: dict[int, Held], run: Held) -> Iterable[_Reopening]:
    if run.status != RunStatus.FAILED:
        raise NotFailed(f"Run {run.public_id} is {run.status}; only a failed run can go on.")
    work = _Reopening(run.id)
    for key, kind, error in _failed_steps(cursor, run):
        if kind == "child.failed":
            child = _failed_child(cursor, held, run, error)
            work.children.append(child.id)
            yield from _plan(cursor, held, child)
        elif error.get("code") == OutcomeUnknown.code:
            raise NotRetriable(
                f"Nobody could tell whether step {key} took effect, so it is not done again. Start "
                "a new run once you know."
            )
        work.again[key] = _next_key(cursor, run.id, key)
    yield work


def _failed_steps(cursor: Cursor, run: Held) -> list[tuple[str, str, dict[str, object]]]:
    """Key, kind and error of each failed step that ended the run; none if its own code did.

    Runs that an earlier release ended do not name their steps: then the last one that failed is
    meant, if it is what the error speaks of.
    """
    cursor.execute(_FAILURE, {"run": run.id})
    row = cursor.fetchone()
    error = _decoded(row[2], row[3]) if row and row[3] is not None else {}
    if error.get("code") == OutcomeUnknown.code:
        raise NotRetriable(
            "Nobody could tell whether one of its effects happened, so it is not done again. "
            "Start a new run once you know."
        )
    cursor.execute(_FAILED_STEPS, {"run": run.id})
    failed = [(key, kind, _decoded(codec, data)) for key, kind, _, codec, data in cursor.fetchall()]
    named = error.get("steps")
    if isinstance(named, list):
        return [step for step in failed if step[0] in named]
    return [step for step in failed[-1:] if str(error.get("message", "")).startswith(step[0])]


def _decoded(codec: int | None, data: bytes | memoryview | None) -> dict[str, object]:
    if codec is None or data is None or codec == BLOB:
        return {}
    value = decode(codec, bytes(data))
    return value if isinstance(value, dict) else {}


def _failed_child(
    cursor: Cursor, held: dict[int, Held], run: Held, error: dict[str, object]
) -> Held:
    named = re.search(r"\brun_[0-9a-z]{20}\b", str(error.get("message", "")))
    cursor.execute(_CHILD, {"run": run.id, "child": named[0] if named else ""})
    row = cursor.fetchone()
    child = held.get(row[0]) if row else None
    if child is None:
        what = f"ended as {row[1]}" if row else "is no longer there"
        raise NotRetriable(
            f"A run it started {what}, which cannot go on from there. Fork this run before that "
            "step, or start it again."
        )
    return child


def _next_key(cursor: Cursor, run_id: int, key: str) -> str:
    """The key under which a failed step is asked for from now on."""
    cursor.execute(_AGAIN, {"run": run_id})
    origin = {new: old for (again,) in cursor.fetchall() for old, new in _pairs(again)}
    tries = 2
    while key in origin:
        key, tries = origin[key], tries + 1
    return f"{key}!{tries}"


def _pairs(again: object) -> Iterable[tuple[str, str]]:
    told = json.loads(again) if isinstance(again, str) else again
    return told.items() if isinstance(told, dict) else ()


def _reopen(cursor: Cursor, held: Held, work: _Reopening, by: str) -> Moved:
    if work.children:
        cursor.execute(_UNTELL, {"children": work.children})
    meta = json.dumps({"by": by, "again": work.again})
    cursor.execute(_REOPEN, {"run": work.run_id, "meta": meta})
    return Moved([(run, seq) for run, seq in cursor.fetchall()], {held.queue})
