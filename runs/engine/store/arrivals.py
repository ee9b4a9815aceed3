"""What reaches a run from outside: messages, and the ends of the runs it started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentops.sdk.codec import Encoded
from runs.engine.store.sql import LIVE, WAKE, Cursor


@dataclass(frozen=True)
class Arrival:
    """What became of a message. ``queue`` is to be rung when the run is ready now."""

    accepted: bool
    ready: bool
    queue: str


# See Note [Deciding under a lock]: everything follows from the row that `target` locks, and from
# the unique index on the deduplication key.
_SIGNAL = f"""
WITH target AS MATERIALIZED (
    SELECT id, signal_seq, queue FROM run
     WHERE id = %(run)s AND status IN {LIVE} FOR NO KEY UPDATE
), arrived AS (
    INSERT INTO inbox (run_id, n, name, dedup_key, codec, data, sender)
    SELECT id, signal_seq + 1, %(name)s, %(dedup)s::text, %(codec)s::smallint, %(data)s::bytea,
           %(sender)s FROM target
    ON CONFLICT (run_id, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING
    RETURNING run_id, n
), woken AS (
    UPDATE run SET signal_seq = arrived.n, {WAKE}
      FROM arrived WHERE run.id = arrived.run_id RETURNING run.id, run.status
)
SELECT woken.id IS NOT NULL, coalesce(woken.status = 'queued', false), target.queue
  FROM target LEFT JOIN woken ON true
"""


def signal(
    cursor: Cursor,
    *,
    run_id: int,
    name: str,
    payload: Encoded,
    sender: str,
    dedup_key: str | None,
) -> Arrival | None:
    """Put a message into the inbox of a run and wake the run if it waits.

    None means that the run is final or gone. A message whose key came before is not accepted.
    """
    parameters = {
        "run": run_id,
        "name": name,
        "dedup": dedup_key,
        "codec": payload.codec,
        "data": payload.data,
        "sender": sender,
    }
    cursor.execute(_SIGNAL, parameters)
    row = cursor.fetchone()
    return None if row is None else Arrival(*row)


_TELL = f"""
WITH child AS (
    SELECT c.id, c.public_id, c.parent_id, c.parent_key, c.status, c.stop_reason,
           p.output_codec, p.output, p.error_codec, p.error,
           row_number() OVER (PARTITION BY c.parent_id ORDER BY c.id) AS place
      FROM run c JOIN run_payload p ON p.run_id = c.id
     WHERE c.id = ANY(%(children)s::bigint[]) AND c.parent_id IS NOT NULL
       AND c.finished_at IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM inbox i
                        WHERE i.run_id = c.parent_id AND i.dedup_key = 'child:' || c.id)
), arrived AS (
    INSERT INTO inbox (run_id, n, name, dedup_key, codec, data, sender)
    SELECT r.id, r.signal_seq + c.place, 'child:' || c.parent_key, 'child:' || c.id, 0,
           convert_to(json_build_object(
               'run', c.public_id, 'status', c.status, 'stop_reason', c.stop_reason,
               'codec', coalesce(c.output_codec, c.error_codec),
               'data', translate(encode(coalesce(c.output, c.error), 'base64'), E'\\n', '')
           )::text, 'UTF8'), c.public_id
      FROM child c JOIN run r ON r.id = c.parent_id AND r.status IN {LIVE}
    RETURNING run_id, n
), newest AS (SELECT run_id, max(n) AS n FROM arrived GROUP BY run_id)
UPDATE run SET signal_seq = newest.n, {WAKE}
  FROM newest WHERE run.id = newest.run_id
RETURNING run.queue, run.status
"""


def tell_parents(cursor: Cursor, children: Iterable[int]) -> set[str]:
    """Put the ends of these runs into the inboxes of their parents, once, and wake those.

    The parents must be locked already. Returns the queues to ring.
    """
    cursor.execute(_TELL, {"children": list(children)})
    return {queue for queue, status in cursor.fetchall() if status == "queued"}
