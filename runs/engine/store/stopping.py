"""Runs that a stop holds wait for an operator until it is lifted; see Note [Stops]."""

from __future__ import annotations

import json

from runs.engine.stopped import CONCERNS, STOPS
from runs.engine.store.ending import Moved
from runs.engine.store.sql import NEXT_SEQ, Cursor

# How a run begins to say that a stop holds it, before the stop's id.
STOPPED = "stop:"
MOST = 500

# What is held by a cap, or lies in the future, is not in the way of claims; nor is it what a
# person has to look at anyway. ``narrow`` first: it says most about why.
_HOLD = f"""
WITH RECURSIVE {STOPS}, found AS MATERIALIZED (
    SELECT r.id, r.status AS was, (
            SELECT s.public_id FROM stops s WHERE {CONCERNS.format(run="r")}
             ORDER BY s.scope = 'everything', s.id LIMIT 1) AS stop
      FROM run r
     WHERE (r.status = 'queued' OR r.status = 'waiting' AND r.waiting_for <> 'operator')
       AND r.ready_at <= clock_timestamp()
       AND EXISTS (SELECT 1 FROM stops)
       AND coalesce((SELECT true FROM stops s WHERE {CONCERNS.format(run="r")} LIMIT 1), false)
     ORDER BY r.id LIMIT {MOST} FOR NO KEY UPDATE SKIP LOCKED
), held AS (
    UPDATE run r
       SET status = 'waiting', waiting_for = 'operator', ready_at = NULL, epoch = r.epoch + 1,
           waiting_detail = '{STOPPED}' || f.stop, status_at = clock_timestamp()
      FROM found f WHERE r.id = f.id AND r.status IN ('queued', 'waiting')
    RETURNING r.id, r.epoch, r.agent, r.waiting_detail, f.was
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
SELECT h.id, '@run.waiting', 4, h.epoch, {NEXT_SEQ.format(run="h.id")}, h.epoch, 'run.waiting',
       h.agent, jsonb_build_object('waiting_for', 'operator', 'detail', h.waiting_detail,
                                   'was', h.was) FROM held h
RETURNING run_id, seq
"""

_FREE = f"""
WITH found AS MATERIALIZED (
    SELECT r.id FROM run r
     WHERE r.status = 'waiting' AND r.waiting_for = 'operator'
       AND starts_with(r.waiting_detail, '{STOPPED}')
       AND NOT EXISTS (SELECT 1 FROM stop s WHERE s.lifted_at IS NULL
                          AND r.waiting_detail = '{STOPPED}' || s.public_id)
     ORDER BY r.id LIMIT {MOST} FOR NO KEY UPDATE SKIP LOCKED
), freed AS (
    UPDATE run r
       SET status = 'queued', waiting_for = '', waiting_detail = '', epoch = r.epoch + 1,
           crash_count = 0, ready_at = clock_timestamp(), status_at = clock_timestamp()
      FROM found f WHERE r.id = f.id AND r.status = 'waiting'
    RETURNING r.id, r.epoch, r.agent, r.queue
), told AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
    SELECT f.id, '@run.resumed', 4, f.epoch, {NEXT_SEQ.format(run="f.id")}, f.epoch,
           'run.resumed', f.agent, %(meta)s::jsonb FROM freed f
    RETURNING run_id, seq
)
SELECT t.run_id, t.seq, f.queue FROM told t JOIN freed f ON f.id = t.run_id
"""

_LATELY = """
SELECT EXISTS (SELECT 1 FROM stop WHERE lifted_at > clock_timestamp() - interval '10 minutes')
"""


def hold_stopped(cursor: Cursor) -> Moved:
    """Let runs wait for an operator that are ready, and that a stop keeps from being claimed.

    Up to MOST of them, with one event each.
    """
    cursor.execute(_HOLD, {})
    return Moved([(run, seq) for run, seq in cursor.fetchall()])


def free_unstopped(cursor: Cursor, *, by: str) -> Moved:
    """Let runs go on that wait for the lift of a stop which holds no more; up to MOST of them."""
    cursor.execute(_FREE, {"meta": json.dumps({"by": by, "after": "stop"})})
    rows = cursor.fetchall()
    return Moved([(run, seq) for run, seq, _ in rows], {queue for _, _, queue in rows})


def was_lifted_lately(cursor: Cursor) -> bool:
    """Whether a stop was lifted so lately that a run may have parked itself for it since."""
    cursor.execute(_LATELY, {})
    row = cursor.fetchone()
    return bool(row and row[0])
