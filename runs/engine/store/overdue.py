"""Finding what time, a crash or a lost bell left behind. Nothing here writes."""

from __future__ import annotations

from runs.engine.store.sql import LIVE, Cursor

_EXPIRED = """
SELECT id FROM run
 WHERE expires_at < clock_timestamp() AND finished_at IS NULL AND status <> 'running'
 ORDER BY expires_at LIMIT 500
"""

# Children that a parent started in the moment it was cancelled.
_ORPHANS = f"""
SELECT c.id FROM run p JOIN run c ON c.parent_id = p.id
 WHERE p.finished_at > clock_timestamp() - interval '1 hour' AND p.status = 'cancelled'
   AND c.status IN {LIVE} AND c.cancel_requested_at IS NULL
 LIMIT 500
"""

_UNTOLD = """
SELECT c.id FROM run p JOIN run c ON c.parent_id = p.id
 WHERE p.status = 'waiting' AND c.finished_at < clock_timestamp() - interval '5 seconds'
   AND NOT EXISTS (SELECT 1 FROM inbox i
                    WHERE i.run_id = p.id AND i.dedup_key = 'child:' || c.public_id)
 LIMIT 500
"""

# Both halves walk their index from queue to queue instead of counting all that is due.
_DUE = """
WITH RECURSIVE queued(queue) AS (
    (SELECT queue FROM run WHERE status = 'queued' ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT r.queue FROM run r WHERE r.status = 'queued' AND r.queue > q.queue
             ORDER BY r.queue LIMIT 1) FROM queued q WHERE q.queue IS NOT NULL
), waiting(queue) AS (
    (SELECT queue FROM run WHERE status = 'waiting' AND ready_at IS NOT NULL
      ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT r.queue FROM run r
             WHERE r.status = 'waiting' AND r.ready_at IS NOT NULL AND r.queue > w.queue
             ORDER BY r.queue LIMIT 1) FROM waiting w WHERE w.queue IS NOT NULL
), late AS (
    SELECT q.queue, (SELECT count(*) FROM (
        SELECT 1 FROM run r WHERE r.status = 'queued' AND r.queue = q.queue
           AND r.ready_at < clock_timestamp() - interval '1 second' LIMIT 64) few) AS runs
      FROM queued q WHERE q.queue IS NOT NULL
    UNION ALL
    SELECT w.queue, (SELECT count(*) FROM (
        SELECT 1 FROM run r WHERE r.status = 'waiting' AND r.ready_at IS NOT NULL
           AND r.queue = w.queue AND r.ready_at < clock_timestamp() - interval '1 second'
         LIMIT 64) few)
      FROM waiting w WHERE w.queue IS NOT NULL
)
SELECT l.queue, least(sum(l.runs), (SELECT count(*) FROM worker w
                                     WHERE w.state = 'alive' AND l.queue = ANY(w.queues)))::int
  FROM late l WHERE l.runs > 0 GROUP BY l.queue
"""


def expired(cursor: Cursor) -> list[int]:
    """Runs that no worker holds and whose time is over."""
    return _ids(cursor, _EXPIRED)


def orphans(cursor: Cursor) -> list[int]:
    """Live runs whose parent was cancelled, and that nobody has asked to stop."""
    return _ids(cursor, _ORPHANS)


def untold(cursor: Cursor) -> list[int]:
    """Final runs whose waiting parent has not heard of it."""
    return _ids(cursor, _UNTOLD)


def due(cursor: Cursor) -> dict[str, int]:
    """How many bells to ring per queue with runs due for more than a second.

    As many as there are late runs, but no more than workers to hear them.
    """
    cursor.execute(_DUE, {})
    return dict(cursor.fetchall())


def _ids(cursor: Cursor, statement: str) -> list[int]:
    cursor.execute(statement, {})
    return [run_id for (run_id,) in cursor.fetchall()]
