"""What reaches a run from outside: messages, and the ends of the runs it started."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentops.execution.replay import SETTLED
from agentops.sdk.codec import Encoded, decode, enclose, encode
from runs.engine.store.sql import LIVE, Cursor, wake


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
    UPDATE run SET signal_seq = arrived.n, {
    wake("run.waiting_for <> 'operator' OR run.waiting_detail = %(settles)s")
}
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

    A run parked for an uncertain step is woken by the late outcome of that very step only. None
    means that the run is final or gone. A message whose key came before is not accepted.
    """
    parameters = {
        "run": run_id,
        "name": name,
        "dedup": dedup_key,
        "codec": payload.codec,
        "data": payload.data,
        "sender": sender,
        "settles": _parked_for(name),
    }
    cursor.execute(_SIGNAL, parameters)
    row = cursor.fetchone()
    return None if row is None else Arrival(*row)


def _parked_for(name: str) -> str:
    """What a run is parked for that this message settles; see Note [Late settlement]."""
    late = re.fullmatch(rf"{SETTLED}(.+):\d+", name, re.DOTALL)
    return f"uncertain:{late[1]}" if late else "uncertain:"


_ENDED = f"""
SELECT c.id, c.parent_id, c.parent_key, c.public_id, c.status, c.stop_reason,
       coalesce(b.codec, p.output_codec), coalesce(b.data, p.output), p.error_codec, p.error
  FROM run c JOIN run r ON r.id = c.parent_id AND r.status IN {LIVE}
  JOIN run_payload p ON p.run_id = c.id
  LEFT JOIN blob b ON p.output_codec = 2 AND b.digest = p.output
 WHERE c.id = ANY(%(children)s::bigint[]) AND c.finished_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM inbox i
                    WHERE i.run_id = c.parent_id AND i.dedup_key = 'child:' || c.public_id)
 ORDER BY c.id
"""

_TELL = f"""
WITH x AS (
    SELECT *, row_number() OVER (PARTITION BY parent_id) AS place
      FROM unnest(%(parents)s::bigint[], %(keys)s::text[], %(names)s::text[],
                  %(codecs)s::smallint[], %(data)s::bytea[])
           AS t(parent_id, parent_key, public_id, codec, data)
), arrived AS (
    INSERT INTO inbox (run_id, n, name, dedup_key, codec, data, sender)
    SELECT r.id, r.signal_seq + x.place, 'child:' || x.parent_key, 'child:' || x.public_id,
           x.codec, x.data, 'run ' || x.public_id
      FROM x JOIN run r ON r.id = x.parent_id
    RETURNING run_id, n
), newest AS (SELECT run_id, max(n) AS n FROM arrived GROUP BY run_id)
UPDATE run SET signal_seq = newest.n, {wake()}
  FROM newest WHERE run.id = newest.run_id
RETURNING run.queue, run.status
"""


def tell_parents(cursor: Cursor, children: Iterable[int]) -> set[str]:
    """Put the ends of these runs into the inboxes of their parents, once, and wake those.

    The parents must be locked already. Returns the queues to ring.
    """
    cursor.execute(_ENDED, {"children": list(children)})
    ended = cursor.fetchall()
    if not ended:
        return set()
    told = [_told(row) for row in ended]
    parameters = {
        "parents": [row[1] for row in ended],
        "keys": [row[2] for row in ended],
        "names": [row[3] for row in ended],
        "codecs": [encoded.codec for encoded in told],
        "data": [encoded.data for encoded in told],
    }
    cursor.execute(_TELL, parameters)
    return {queue for queue, status in cursor.fetchall() if status == "queued"}


def _told(row: tuple[Any, ...]) -> Encoded:
    """What a parent hears: how its child ended, and its output or error."""
    _, _, _, public_id, status, reason, output_codec, output, error_codec, error = row
    told: dict[str, object] = {"run": public_id, "status": status, "stop_reason": reason}
    if output_codec is not None:
        return enclose(told, "output", Encoded(output_codec, bytes(output)))
    cause = None if error_codec is None else decode(error_codec, bytes(error))
    return encode({**told, "error": cause})
