"""A new run that begins with what another one recorded."""

from __future__ import annotations

import json

from agentops.sdk.codec import Encoded
from agentops.sdk.errors import AgentopsError
from runs.engine.store.ending import Hint
from runs.engine.store.locking import RunIsGone
from runs.engine.store.sql import Cursor
from runs.engine.store.starting import NewRun, start
from runs.models import Run


class NoSuchEvent(AgentopsError):
    """The run has no event with this number."""

    code = "no_such_event"


# Notes about the life of the other run are not the life of this one. An intent or start without
# outcome is left behind: the fork asks for those steps again, under idempotency keys of its own.
# `signal_seq` goes on from the source, whose inbox numbers the copied rows mention.
_COPY = """
WITH source AS (
    SELECT i.*, row_number() OVER (ORDER BY i.seq) AS place FROM journal i
     WHERE i.run_id = %(source)s AND i.seq <= %(at_seq)s AND i.key NOT LIKE '@run.%%'
       AND (i.phase NOT IN (0, 2) OR EXISTS (
            SELECT 1 FROM journal o WHERE o.run_id = i.run_id AND o.key = i.key AND o.phase = 1
                                      AND o.seq <= %(at_seq)s))
), copied AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, fingerprint, codec, data,
                         input_codec, input, meta, started_at, at)
    SELECT %(run)s, key, phase, n, place + 1, 0, kind, name, fingerprint, codec, data,
           input_codec, input, meta, started_at, at FROM source
    RETURNING seq
), renewed AS (
    UPDATE blob SET referenced_at = clock_timestamp()
     WHERE digest IN (SELECT data FROM source WHERE codec = 2
                      UNION SELECT input FROM source WHERE input_codec = 2)
), counted AS (
    UPDATE run SET signal_seq = (SELECT signal_seq FROM run WHERE id = %(source)s)
     WHERE id = %(run)s
)
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
SELECT %(run)s, '@run.forked', 4, 0, 2 + (SELECT count(*) FROM copied), 0, 'run.forked',
       %(agent)s, %(meta)s::jsonb
RETURNING run_id, seq
"""

_LAST = "SELECT max(seq) FROM journal WHERE run_id = %(source)s"


def fork(
    cursor: Cursor, source: Run, new: NewRun, *, at_seq: int, by: str
) -> tuple[Run, Hint] | None:
    """Start ``new`` with the records of ``source`` up to event ``at_seq``.

    None means that its idempotency key came before. Raises NoSuchEvent. The source may be in
    any state: what is recorded never changes.
    """
    cursor.execute(_LAST, {"source": source.pk})
    row = cursor.fetchone()
    last = row[0] if row and row[0] else 0
    if not 1 <= at_seq <= last:
        raise NoSuchEvent(f"Fork at an event from 1 to {last}, not {at_seq}.")
    run = start(cursor, new)
    if run is None:
        return None
    meta = json.dumps({"by": by, "from": source.public_id, "at_seq": at_seq})
    parameters = {"run": run.pk, "source": source.pk, "at_seq": at_seq, "agent": run.agent}
    cursor.execute(_COPY, {**parameters, "meta": meta})
    return run, _hint(cursor)


def _hint(cursor: Cursor) -> Hint:
    rows = cursor.fetchall()
    return rows[0][0], rows[0][1]


def input_of(cursor: Cursor, run_id: int) -> tuple[Encoded, bytes]:
    """The stored input of a run, and its digest. Raises RunIsGone."""
    cursor.execute(
        "SELECT input_codec, input, input_digest FROM run_payload WHERE run_id = %(run)s",
        {"run": run_id},
    )
    row = cursor.fetchone()
    if row is None:
        raise RunIsGone
    return Encoded(row[0], bytes(row[1])), bytes(row[2])
