"""Workers that fell silent, and the runs they held."""

from __future__ import annotations

from runs.engine.store.ending import Hint, Moved
from runs.engine.store.sql import NEXT_SEQ, Cursor

# How long after its hard deadline an attempt is believed to be still at it.
GRACE_SECONDS = 5.0

# A restarted server has not heard from anybody: it judges only after one lease of its own life.
_MARK_DEAD = """
UPDATE worker SET state = 'dead'
 WHERE state <> 'dead'
   AND heartbeat_at < clock_timestamp() - make_interval(secs => %(lease)s)
   AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => %(lease)s)
"""


def mark_dead(cursor: Cursor, *, lease_seconds: float) -> int:
    """End the leases of workers that fell silent. Returns how many."""
    cursor.execute(_MARK_DEAD, {"lease": lease_seconds})
    return cursor.rowcount


# What counts as progress since the last claim: an effect promised, an outcome, a failed attempt.
# Notes do not, or a run that kills its worker at once would never be found out.
_PROGRESSED = """
    EXISTS (SELECT 1 FROM journal j WHERE j.run_id = run.id AND j.seq > run.claimed_seq
                                      AND j.phase IN (0, 1, 3))
"""

_LOST = """
    SELECT r.id FROM run r
     WHERE r.status = 'running'
       AND (NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = r.worker_id AND w.state <> 'dead')
            OR r.step_deadline_at < clock_timestamp() - make_interval(secs => %(grace)s))
     ORDER BY r.id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED
"""

# Two updates in two statements would let a crash in between lose a count: one statement counts
# and decides. The first crash costs nothing, later ones wait 1, 2, 4 … seconds.
_RECLAIM = f"""
WITH lost AS MATERIALIZED ({_LOST}),
counted AS MATERIALIZED (
    SELECT run.id, CASE WHEN {_PROGRESSED} THEN 0 ELSE run.crash_count + 1 END AS crashes
      FROM run JOIN lost ON lost.id = run.id
), reclaimed AS (
    UPDATE run SET
           status = CASE WHEN c.crashes >= %(limit)s THEN 'waiting' ELSE 'queued' END,
           waiting_for = CASE WHEN c.crashes >= %(limit)s THEN 'operator' ELSE '' END,
           waiting_detail = CASE WHEN c.crashes >= %(limit)s THEN 'crash_loop' ELSE '' END,
           ready_at = CASE WHEN c.crashes >= %(limit)s THEN NULL ELSE clock_timestamp()
               + make_interval(secs => CASE WHEN c.crashes < 2 THEN 0
                                            ELSE power(2, c.crashes - 2) END) END,
           crash_count = c.crashes, epoch = run.epoch + 1, worker_id = NULL,
           step_deadline_at = NULL, status_at = clock_timestamp()
      FROM counted c WHERE run.id = c.id
    RETURNING run.id, run.epoch, run.agent, run.queue, run.status, run.crash_count,
              run.cancel_reason
), parked AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
    SELECT r.id, '@run.waiting', 4, r.epoch, {NEXT_SEQ.format(run="r.id")}, r.epoch,
           'run.waiting', r.agent,
           jsonb_build_object('waiting_for', 'operator', 'detail', 'crash_loop',
                              'crashes', r.crash_count)
      FROM reclaimed r WHERE r.status = 'waiting'
    RETURNING run_id, seq
)
SELECT r.id, r.queue, r.status, r.cancel_reason, p.seq
  FROM reclaimed r LEFT JOIN parked p ON p.run_id = r.id
"""


class Reclaimed(Moved):
    """What a reclaim moved, and the runs that had been asked to stop, by reason."""

    def __init__(self, rows: list[tuple[int, str, str, str, int | None]]) -> None:
        hints: list[Hint] = [(row[0], row[4]) for row in rows if row[4] is not None]
        super().__init__(hints, {row[1] for row in rows if row[2] == "queued"})
        self.count = len(rows)
        self.parked = len(hints)
        self.cancelled: dict[str, list[int]] = {}
        for row in rows:
            if row[3]:
                self.cancelled.setdefault(row[3], []).append(row[0])


def reclaim(cursor: Cursor, *, grace_seconds: float, crash_limit: int) -> Reclaimed:
    """Take runs back from dead workers, and from steps that outlived their deadline.

    The epoch rises, so nothing the old holder still sends is written. A run that took its worker
    down again and again without progress is parked for an operator.
    """
    cursor.execute(_RECLAIM, {"grace": grace_seconds, "limit": crash_limit})
    return Reclaimed(cursor.fetchall())
