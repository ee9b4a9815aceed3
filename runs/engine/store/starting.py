"""A run comes into being, once per idempotency key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentops.sdk.codec import Encoded
from agentops.sdk.ids import new_run_id
from runs.engine.store.sql import Cursor
from runs.models import Run

_COLUMNS = [field.attname for field in Run._meta.concrete_fields]


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """Everything known about a run before it exists."""

    agent: str
    agent_version: str
    input: Encoded
    input_digest: bytes
    owner_id: int | None
    started_by: str
    team_id: int | None = None
    title: str = ""
    queue: str = "default"
    priority: int = 0
    idempotency_key: str | None = None
    timeout_seconds: float | None = None
    expires_at: datetime | None = None
    ready_at: datetime | None = None
    external_id: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None
    traceparent: str | None = None
    forked_from_id: int | None = None
    forked_at_seq: int | None = None
    conversation_id: int | None = None
    meta: dict[str, object] = field(default_factory=dict)


_START = (
    """
WITH new AS (
    INSERT INTO run (public_id, agent, agent_version, title, queue, priority, status, ready_at,
                     timeout_seconds, expires_at, owner_id, team_id, started_by, idempotency_key,
                     forked_from_id, forked_at_seq, external_id, tags, metadata, conversation_id)
    VALUES (%(public_id)s, %(agent)s, %(agent_version)s, %(title)s, %(queue)s, %(priority)s,
            'queued', coalesce(%(ready_at)s::timestamptz, clock_timestamp()),
            %(timeout_seconds)s::float8, %(expires_at)s::timestamptz, %(owner_id)s::bigint,
            %(team_id)s::bigint, %(started_by)s, %(idempotency_key)s::text,
            %(forked_from_id)s::bigint, %(forked_at_seq)s::int, %(external_id)s::text,
            %(tags)s::text[], %(metadata)s::jsonb, %(conversation_id)s::bigint)
    ON CONFLICT (owner_id, agent, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING *
), payload AS (
    INSERT INTO run_payload (run_id, input_codec, input, input_digest, traceparent)
    SELECT id, %(input_codec)s::smallint, %(input)s::bytea, %(input_digest)s::bytea,
           %(traceparent)s::text FROM new
), told AS (
    INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, meta)
    SELECT id, '@run.created', 4, 0, 1, 0, 'run.created', agent, %(meta)s::jsonb FROM new
)
SELECT """
    + ", ".join(f'"{column}"' for column in _COLUMNS)
    + " FROM new"
)


def start(cursor: Cursor, new: NewRun) -> Run | None:
    """Write run, payload and first event in one statement.

    None means that the owner has a run of this agent with this idempotency key, committed by now.
    """
    cursor.execute(_START, _parameters(new))
    row = cursor.fetchone()
    if row is None:
        return None
    run = Run.from_db("default", _COLUMNS, row)
    run.metadata = new.metadata or None  # which a plain cursor reads as text
    return run


def _parameters(new: NewRun) -> dict[str, Any]:
    return {
        **{name: getattr(new, name) for name in NewRun.__dataclass_fields__},
        "public_id": new_run_id(),
        "input_codec": new.input.codec,
        "input": new.input.data,
        "metadata": json.dumps(new.metadata) if new.metadata else None,
        "tags": new.tags or None,
        "meta": json.dumps({"agent": new.agent, "by": new.started_by, **new.meta}),
    }
