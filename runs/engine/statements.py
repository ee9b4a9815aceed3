"""What a worker says to PostgreSQL about the runs it holds.

Every statement is one round trip, commits by itself and may be sent again: each is fenced by the
run's epoch, or says by its result that it had been done. Parameters are ``$1, $2 …``; lists travel
as arrays, so a flush of any size is the same prepared statement. Statements from outside a worker
are in :mod:`runs.engine.store`.

# Note [Fencing]
A row is written only if the run is still ``running`` with the epoch of the claim. The check takes a
share lock on the run's row: without it a takeover between check and insert lets stale rows in.
"""

from __future__ import annotations

from typing import NamedTuple

from runs.engine.stopped import STOPS, free


class Statement(NamedTuple):
    """A prepared statement: its name on the server and its text.

    ``turn`` is a statement without parameters that comes before it in the same transaction.
    """

    name: bytes
    sql: bytes
    turn: Statement | None = None


def _statement(name: str, sql: str) -> Statement:
    return Statement(name.encode(), sql.encode())


# $1 queue, $2 how many, $3 worker. Runs that are due go first: they were begun before.
# See Note [Stops].
CLAIMABLE = f"""
{STOPS}, due AS MATERIALIZED (
    SELECT id FROM run
     WHERE queue = $1::text AND status = 'waiting' AND ready_at <= now() AND {free("run")}
     ORDER BY ready_at LIMIT $2::int FOR NO KEY UPDATE SKIP LOCKED
), queued AS MATERIALIZED (
    SELECT id FROM run
     WHERE queue = $1::text AND status = 'queued' AND ready_at <= now() AND {free("run")}
     ORDER BY priority DESC, ready_at, id LIMIT $2::int FOR NO KEY UPDATE SKIP LOCKED
)"""
# What becomes of the ``chosen``, and what the worker has to know of them.
CLAIMING = """
UPDATE run r
   SET status = 'running', waiting_for = '', waiting_detail = '', epoch = r.epoch + 1,
       worker_id = $3::bigint, status_at = clock_timestamp(), step_deadline_at = NULL,
       started_at = coalesce(r.started_at, clock_timestamp()),
       claimed_seq = (SELECT coalesce(max(j.seq), 0) FROM journal j WHERE j.run_id = r.id)
  FROM chosen c JOIN run_payload p ON p.run_id = c.id
 WHERE r.id = c.id AND r.status IN ('queued', 'waiting')
   AND EXISTS (SELECT 1 FROM worker w WHERE w.id = $3::bigint AND w.state = 'alive')
RETURNING r.id, r.public_id, r.epoch, r.agent, r.agent_version, r.created_at, r.signal_seq,
          r.claimed_seq, r.timeout_seconds, r.worked_ms, r.crash_count::int,
          CASE WHEN r.cancel_requested_at IS NULL THEN ''
               ELSE coalesce(nullif(r.cancel_reason, ''), 'cancelled_by_operator') END,
          r.parent_id, r.parent_key, r.queue, r.forked_from_id IS NOT NULL,
          p.input_codec::int, p.input, r.steps, r.retries, r.progress, r.conversation_id,
          r.pause_by, r.owner_id::bigint, r.team_id::bigint
"""
CLAIM = _statement(
    "claim",
    f"""
WITH RECURSIVE {CLAIMABLE}, chosen AS (
    SELECT id FROM due UNION ALL SELECT id FROM queued LIMIT $2::int
) {CLAIMING}
""",
)

# When something of these queues becomes claimable next. What is held, see Note [Caps], never does
# by time; there may be much of it, so it is not looked at.
NEXT_DUE = _statement(
    "next_due",
    f"""
WITH RECURSIVE {STOPS}
SELECT extract(epoch FROM min(d.ready_at) - clock_timestamp())::float8
  FROM unnest($1::text[]) AS q(queue)
 CROSS JOIN LATERAL (
    (SELECT ready_at FROM run
      WHERE run.queue = q.queue AND status = 'waiting' AND ready_at IS NOT NULL
        AND {free("run")} ORDER BY ready_at LIMIT 1)
    UNION ALL
    (SELECT min(ready_at) FROM run WHERE run.queue = q.queue AND status = 'queued'
        AND ready_at < '3000-01-01T00:00:00+00:00' AND {free("run")})
 ) AS d
""",
)

LOAD = _statement(
    "load",
    """
SELECT j.run_id, j.key, j.phase::int, j.n, j.seq, j.epoch, j.kind, j.name, j.fingerprint,
       coalesce(b.codec, j.codec)::int, CASE WHEN j.phase = 1 THEN coalesce(b.data, j.data) END,
       j.meta::text, j.at
  FROM journal j LEFT JOIN blob b ON j.codec = 2 AND b.digest = j.data
 WHERE j.run_id = ANY($1::bigint[]) ORDER BY j.run_id, j.seq
""",
)

INBOX = _statement(
    "inbox",
    """
SELECT i.run_id, i.n, i.name, coalesce(b.codec, i.codec)::int, coalesce(b.data, i.data)
  FROM inbox i LEFT JOIN blob b ON i.codec = 2 AND b.digest = i.data
 WHERE i.run_id = ANY($1::bigint[]) ORDER BY i.run_id, i.n
""",
)

BLOB = _statement("blob", "SELECT codec::int, data FROM blob WHERE digest = $1::bytea")

PUT_BLOB = _statement(
    "put_blob",
    """
INSERT INTO blob (digest, codec, data, size) VALUES ($1::bytea, $2::smallint, $3::bytea, $4::int)
ON CONFLICT (digest) DO UPDATE SET referenced_at = now()
""",
)

# One flush of many runs. Rows that do not come back were fenced or are there already. The flags
# tell the owner in passing what reached the run meanwhile.
APPEND = _statement(
    "append",
    """
WITH x AS (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::int2[], $5::int[], $6::int[],
                         $7::text[], $8::text[], $9::text[], $10::int2[], $11::bytea[],
                         $12::int2[], $13::bytea[], $14::text[], $15::timestamptz[],
                         $16::timestamptz[])
        AS t(run_id, epoch, key, phase, n, seq, kind, name, fingerprint, codec, data,
             input_codec, input, meta, started_at, at)
), ok AS MATERIALIZED (
    SELECT id, epoch, signal_seq,
           CASE WHEN cancel_requested_at IS NOT NULL THEN 2 WHEN pause_by <> '' THEN 1
                ELSE 0 END AS wish
      FROM run WHERE id = ANY($17::bigint[]) AND status = 'running' ORDER BY id FOR SHARE
), written AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, fingerprint, codec, data,
                         input_codec, input, meta, started_at, at)
    SELECT x.run_id, x.key, x.phase, x.n, x.seq, x.epoch, x.kind, x.name, x.fingerprint, x.codec,
           x.data, x.input_codec, x.input, x.meta::jsonb, x.started_at, x.at
      FROM x JOIN ok ON ok.id = x.run_id AND ok.epoch = x.epoch
    ON CONFLICT DO NOTHING RETURNING run_id, seq
)
SELECT w.run_id, w.seq, ok.signal_seq, ok.wish FROM written w JOIN ok ON ok.id = w.run_id
""",
)

# Which rows of a flush that was sent again are there, written under the same claim.
WRITTEN = _statement(
    "written",
    """
SELECT x.run_id, x.seq
  FROM unnest($1::bigint[], $2::int[], $3::text[], $4::int2[], $5::int[], $6::int[])
       AS x(run_id, epoch, key, phase, n, seq)
  JOIN journal j ON j.run_id = x.run_id AND j.key = x.key AND j.phase = x.phase AND j.n = x.n
 WHERE j.epoch = x.epoch AND j.seq = x.seq
""",
)

# A step that starts another run: its row, the run, the run's payload and first event, or nothing.
# $1 run, $2 epoch, $3 key, $4 seq, $5 name, $6 fingerprint, $7 codec, $8 data, $9 meta, $10 at,
# $11 public id, $12 agent, $13 version, $14 title, $15 queue or null, $16 input codec, $17 input,
# $18 input digest, $19 timeout.
SPAWN = _statement(
    "spawn",
    """
WITH parent AS MATERIALIZED (
    SELECT id, public_id, epoch, coalesce(root_id, id) AS root_id, owner_id, team_id,
           queue, priority
      FROM run WHERE id = $1::bigint AND epoch = $2::int AND status = 'running' FOR SHARE
), written AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, fingerprint, codec, data,
                         meta, at)
    SELECT id, $3::text, 1, 0, $4::int, epoch, 'child.started', $5::text, $6::text, $7::int2,
           $8::bytea, ($9::text)::jsonb, $10::timestamptz FROM parent
    ON CONFLICT DO NOTHING RETURNING run_id
), child AS (
    INSERT INTO run (public_id, agent, agent_version, title, queue, priority, owner_id, team_id,
                     started_by, parent_id, parent_key, root_id, timeout_seconds, ready_at)
    SELECT $11::text, $12::text, $13::text, $14::text, coalesce($15::text, p.queue), p.priority,
           p.owner_id, p.team_id, 'run ' || p.public_id, p.id, $3::text, p.root_id, $19::float8,
           clock_timestamp()
      FROM parent p JOIN written w ON w.run_id = p.id
    RETURNING id, agent, started_by, queue
), paid AS (
    INSERT INTO run_payload (run_id, input_codec, input, input_digest, traceparent)
    SELECT id, $16::int2, $17::bytea, $18::bytea,
           (SELECT traceparent FROM run_payload WHERE run_id = $1::bigint) FROM child
), told AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
    SELECT id, '@run.created', 4, 0, 1, 0, 'run.created', agent,
           jsonb_build_object('agent', agent, 'by', started_by) FROM child
)
SELECT queue FROM child
""",
)

# Runs that hold no worker any more: waiting, or given back ('queued'). Decided from columns that
# the lock returns, because PostgreSQL re-reads the row after a lock wait but no sub-query. A run
# that somebody wants to pause waits for an operator, unless it has a question for one anyway.
# $1 ids, $2 epochs, $3 target, $4 waiting for, $5 detail, $6 wake at, $7 signals seen, $8 seq,
# $9 version, $10 steps, $11 retries, $12 worked ms, $13 progress, $14 last progress
SUSPEND = _statement(
    "suspend",
    """
WITH x AS (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[],
                         $6::timestamptz[], $7::int[], $8::int[], $9::text[], $10::int[],
                         $11::int[], $12::bigint[], $13::text[], $14::timestamptz[])
        AS t(id, epoch, target, waiting_for, detail, wake_at, seen, seq, version, steps, retries,
             worked_ms, progress, last_progress_at)
), locked AS MATERIALIZED (
    SELECT id, signal_seq, pause_by, cancel_requested_at IS NOT NULL AS cancelled
      FROM run WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT x.*, l.pause_by,
           CASE WHEN l.cancelled THEN 'queued'
                WHEN l.pause_by <> '' AND x.waiting_for <> 'operator' THEN 'paused'
                WHEN x.target = 'queued' OR l.signal_seq > x.seen THEN 'queued'
                ELSE 'waiting' END AS becomes
      FROM x JOIN locked l ON l.id = x.id
), moved AS (
    UPDATE run r
       SET status = CASE j.becomes WHEN 'queued' THEN 'queued' ELSE 'waiting' END,
           waiting_for = CASE j.becomes WHEN 'queued' THEN '' WHEN 'paused' THEN 'operator'
                                        ELSE j.waiting_for END,
           waiting_detail = CASE j.becomes WHEN 'queued' THEN ''
                                           WHEN 'paused' THEN 'paused:' || j.pause_by
                                           ELSE j.detail END,
           ready_at = CASE j.becomes WHEN 'queued' THEN clock_timestamp()
                                     WHEN 'waiting' THEN j.wake_at END,
           worker_id = NULL, status_at = clock_timestamp(), step_deadline_at = NULL,
           crash_count = 0, agent_version = j.version, steps = j.steps, retries = j.retries,
           worked_ms = r.worked_ms + j.worked_ms, progress = j.progress,
           last_progress_at = greatest(r.last_progress_at, j.last_progress_at)
      FROM judged j
     WHERE r.id = j.id AND r.epoch = j.epoch AND r.status = 'running'
    RETURNING r.id, r.epoch, r.agent, r.status, r.waiting_for, r.waiting_detail, r.ready_at,
              r.queue, j.seq, CASE j.becomes WHEN 'paused' THEN j.pause_by END AS paused_by
), told AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
    SELECT id, '@' || kind, 4, epoch, seq, epoch, kind, agent,
           jsonb_strip_nulls(jsonb_build_object('waiting_for', waiting_for, 'by', paused_by,
                'detail', nullif(waiting_detail, ''), 'wake_at', ready_at))
      FROM (SELECT *, CASE WHEN paused_by IS NULL THEN 'run.waiting' ELSE 'run.paused' END AS kind
              FROM moved WHERE status = 'waiting') m
)
SELECT id, status, queue FROM moved
""",
)

# Runs that are over, with what their parents are told. At most one row per parent in a batch, and
# no run together with its own parent: PostgreSQL updates a row once per statement.
# $1 ids, $2 epochs, $3 status, $4 stop reason, $5 seq, $6 meta, $7/$8 output, $9/$10 error,
# $11/$12 told to the parent, $13 degraded, $14 version, $15 steps, $16 retries, $17 worked ms,
# $18 progress, $19 all ids to lock
FINISH = _statement(
    "finish",
    """
WITH x AS (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::text[],
                         $7::int2[], $8::bytea[], $9::int2[], $10::bytea[], $11::int2[],
                         $12::bytea[], $13::text[], $14::text[], $15::int[], $16::int[],
                         $17::bigint[], $18::text[])
        AS t(id, epoch, status, reason, seq, meta, output_codec, output, error_codec, error,
             tell_codec, tell, degraded, version, steps, retries, worked_ms, progress)
), locked AS MATERIALIZED (
    SELECT id FROM run WHERE id = ANY($19::bigint[]) ORDER BY id FOR NO KEY UPDATE
), done AS (
    UPDATE run r
       SET status = x.status, stop_reason = x.reason, waiting_for = '', waiting_detail = '',
           ready_at = NULL, worker_id = NULL, step_deadline_at = NULL,
           finished_at = clock_timestamp(), status_at = clock_timestamp(),
           last_progress_at = clock_timestamp(), agent_version = x.version, steps = x.steps,
           retries = x.retries, worked_ms = r.worked_ms + x.worked_ms, progress = x.progress,
           degraded = CASE WHEN x.degraded = '' THEN '{}'
                           ELSE string_to_array(x.degraded, chr(31)) END
      FROM x, locked
     WHERE r.id = x.id AND locked.id = x.id AND r.epoch = x.epoch AND r.status = 'running'
    RETURNING r.id, r.public_id, r.epoch, r.agent, r.parent_id, r.parent_key, x.status, x.seq,
              x.meta, x.output_codec, x.output, x.error_codec, x.error, x.tell_codec, x.tell
), paid AS (
    UPDATE run_payload p
       SET output_codec = d.output_codec, output = d.output,
           error_codec = d.error_codec, error = d.error
      FROM done d WHERE p.run_id = d.id
), told AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, codec, data, meta)
    SELECT id, '@run.' || status, 4, epoch, seq, epoch, 'run.' || status, agent, error_codec,
           error, meta::jsonb FROM done
), woken AS (
    UPDATE run p
       SET signal_seq = p.signal_seq + 1,
           status = CASE WHEN p.status = 'waiting' AND p.waiting_for <> 'operator'
                         THEN 'queued' ELSE p.status END,
           waiting_for = CASE WHEN p.waiting_for = 'operator' THEN p.waiting_for ELSE '' END,
           waiting_detail = CASE WHEN p.waiting_for = 'operator' THEN p.waiting_detail ELSE '' END,
           ready_at = CASE WHEN p.status = 'waiting' AND p.waiting_for <> 'operator'
                           THEN clock_timestamp() ELSE p.ready_at END,
           status_at = CASE WHEN p.status = 'waiting' AND p.waiting_for <> 'operator'
                            THEN clock_timestamp() ELSE p.status_at END
      FROM done d
     WHERE p.id = d.parent_id AND p.status IN ('queued', 'running', 'waiting')
    RETURNING p.id, p.signal_seq, p.queue, d.id AS child, d.public_id, d.parent_key, d.tell_codec,
              d.tell
), sent AS (
    INSERT INTO inbox (run_id, n, name, dedup_key, codec, data, sender)
    SELECT id, signal_seq, 'child:' || parent_key, 'child:' || public_id, tell_codec, tell,
           'run ' || public_id FROM woken
    ON CONFLICT DO NOTHING
)
SELECT d.id, w.queue FROM done d LEFT JOIN woken w ON w.child = d.id
""",
)

# What became of runs whose end was sent over a connection that broke: final, or free, under the
# claim that sent it.
SETTLED = _statement(
    "settled",
    "SELECT id FROM run WHERE id = ANY($1::bigint[]) AND status <> 'running'",
)

# --- the keeper: one thread per process, its own connection --------------------------------------

REGISTER = """
INSERT INTO worker (machine, hostname, pid, pid_started, queues, capacity, release)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, clock_timestamp()
"""

HEARTBEAT = """
UPDATE worker SET heartbeat_at = clock_timestamp(), state = $2
 WHERE id = $1 AND state IN ('alive', 'draining') RETURNING clock_timestamp()
"""

# How a run begins to say why it waits when no worker that took it has its agent.
LACKING = "no worker with "

# A worker that has these agents is here: what waited for one need not wait any longer.
OFFER_AGAIN = f"""
UPDATE run SET ready_at = clock_timestamp()
 WHERE status = 'waiting' AND ready_at > clock_timestamp() AND waiting_for = 'timer'
   AND starts_with(waiting_detail, '{LACKING}') AND queue = ANY($1) AND agent = ANY($2)
"""

DEPART = """
UPDATE worker SET state = 'dead', exited_at = clock_timestamp() WHERE id = $1 AND exited_at IS NULL
"""

# Processes of this machine and whether they are still there is for the asker to find out.
NEIGHBOURS = """
SELECT id, pid, pid_started FROM worker
 WHERE machine = $1 AND exited_at IS NULL AND id <> $2
   AND (state <> 'dead' OR heartbeat_at > now() - interval '1 day')
"""

# What reached the runs this worker holds, and which runs it is said to hold.
NOTICE = """
SELECT id, epoch, signal_seq,
       CASE WHEN cancel_requested_at IS NULL THEN ''
            ELSE coalesce(nullif(cancel_reason, ''), 'cancelled_by_operator') END,
       pause_by <> ''
  FROM run WHERE worker_id = $1 AND status = 'running'
"""

CALLED_WITH = """
SELECT coalesce(b.codec, j.input_codec)::int, coalesce(b.data, j.input)
  FROM journal j LEFT JOIN blob b ON j.input_codec = 2 AND b.digest = j.input
 WHERE j.run_id = $1 AND j.key = $2 AND j.phase = 0 AND j.n = $3
"""

MESSAGES = """
SELECT i.n, i.name, coalesce(b.codec, i.codec)::int, coalesce(b.data, i.data)
  FROM inbox i LEFT JOIN blob b ON i.codec = 2 AND b.digest = i.data
 WHERE i.run_id = $1 AND i.n > $2 ORDER BY i.n
"""

# A claim whose answer was lost: this worker holds the run and does not know of it.
DISOWN = """
UPDATE run SET status = 'queued', ready_at = clock_timestamp(), epoch = epoch + 1, worker_id = NULL,
       status_at = clock_timestamp()
 WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND status = 'running'
"""

PROGRESS = """
UPDATE run r SET steps = x.steps, retries = x.retries, progress = x.progress,
       step_deadline_at = x.step_deadline_at,
       last_progress_at = greatest(r.last_progress_at, x.last_progress_at)
  FROM unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::text[], $6::timestamptz[],
              $7::timestamptz[])
       AS x(id, epoch, steps, retries, progress, last_progress_at, step_deadline_at)
 WHERE r.id = x.id AND r.epoch = x.epoch AND r.status = 'running'
"""

IS_GONE = """
SELECT NOT EXISTS (SELECT 1 FROM worker WHERE id = $1 AND exited_at IS NULL)
       OR clock_timestamp() > $2::timestamptz
"""
