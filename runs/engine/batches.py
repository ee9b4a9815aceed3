"""What the writer sends: groups of rows of many runs, as the parameters of one statement."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from agentops.execution.port import Child, Counts, Finished, Suspended
from agentops.execution.records import Claim, Entry, printable
from agentops.sdk.codec import BLOB, NULL, Encoded, decode, enclose
from runs.engine import pgwire
from runs.engine.pgwire import Value

# Larger values are stored once, under their digest; smaller ones in the row.
INLINE_BYTES = 512 * 1024

Pair = tuple[int | None, bytes | None]


@dataclass(slots=True, eq=False)
class Appending:
    """Rows of one run that are durable together."""

    claim: Claim
    entries: Sequence[Entry]
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Spawning:
    """A row and the run it starts."""

    claim: Claim
    entry: Entry
    child: Child
    public_id: str
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Parting:
    """A run that holds no worker any more. ``ending`` None: given back unfinished."""

    claim: Claim
    ending: Suspended | None
    seq: int
    version: str
    counts: Counts
    done: asyncio.Future[str]


@dataclass(slots=True, eq=False)
class Closing:
    """A run that is over."""

    claim: Claim
    ending: Finished
    seq: int
    version: str
    counts: Counts
    done: asyncio.Future[None]


class Blobs:
    """Large values of a batch, taken out of the rows."""

    def __init__(self) -> None:
        self.found: dict[bytes, Encoded] = {}

    def pair(self, value: Encoded | None) -> Pair:
        """What the row holds instead of ``value``."""
        if value is None:
            return None, None
        if len(value.data) <= INLINE_BYTES:
            return value.codec, value.data
        digest = hashlib.sha256(bytes([value.codec]) + value.data).digest()
        self.found[digest] = value
        return BLOB, digest


def append_values(batch: Sequence[Appending], blobs: Blobs) -> list[Value]:
    """Parameters of ``APPEND``."""
    rows = rows_of(batch)
    entries = [e for _, e in rows]
    values = [blobs.pair(e.value) for e in entries]
    inputs = [blobs.pair(e.input) for e in entries]
    return [
        *identity_values(rows),
        pgwire.texts([e.kind for e in entries]),
        pgwire.texts([e.name for e in entries]),
        pgwire.texts([e.fingerprint for e in entries]),
        pgwire.int2s([codec for codec, _ in values]),
        pgwire.byteas([data for _, data in values]),
        pgwire.int2s([codec for codec, _ in inputs]),
        pgwire.byteas([data for _, data in inputs]),
        pgwire.texts([meta_json(e.meta) for e in entries]),
        pgwire.timestamps([e.started_at for e in entries]),
        pgwire.timestamps([e.at for e in entries]),
        pgwire.int8s(sorted({c.id for c, _ in rows})),
    ]


def rows_of(batch: Sequence[Appending]) -> list[tuple[Claim, Entry]]:
    """All rows of a batch, each with the claim it is written under."""
    return [(a.claim, e) for a in batch for e in a.entries]


def identity_values(rows: Sequence[tuple[Claim, Entry]]) -> list[Value]:
    """Parameters of ``WRITTEN``: what makes each row the one that was sent."""
    return [
        pgwire.int8s([c.id for c, _ in rows]),
        pgwire.int4s([c.epoch for c, _ in rows]),
        pgwire.texts([e.key for _, e in rows]),
        pgwire.int2s([int(e.phase) for _, e in rows]),
        pgwire.int4s([e.n for _, e in rows]),
        pgwire.int4s([e.seq for _, e in rows]),
    ]


def spawn_values(work: Spawning, blobs: Blobs) -> list[Value]:
    """Parameters of ``SPAWN``."""
    entry, claim = work.entry, work.claim
    codec, data = blobs.pair(entry.value)
    input_codec, input_data = blobs.pair(work.child.input)
    return [
        pgwire.int8(claim.id),
        pgwire.int4(claim.epoch),
        pgwire.text(entry.key),
        pgwire.int4(entry.seq),
        pgwire.text(entry.name),
        pgwire.text(entry.fingerprint),
        pgwire.optional(pgwire.int2, codec),
        data,
        pgwire.text(meta_json(entry.meta) or "{}"),
        pgwire.timestamp(entry.at),
        pgwire.text(work.public_id),
        pgwire.text(work.child.spawn.agent),
        pgwire.text(work.child.version),
        pgwire.text(work.child.spawn.title),
        pgwire.optional(pgwire.text, work.child.spawn.queue),
        pgwire.optional(pgwire.int2, input_codec),
        input_data,
        work.child.digest,
        pgwire.optional(pgwire.float8, work.child.timeout_seconds),
    ]


def suspend_values(batch: Sequence[Parting]) -> list[Value]:
    """Parameters of ``SUSPEND``."""
    endings = [p.ending or Suspended("", "", None, 0) for p in batch]
    return [
        pgwire.int8s([p.claim.id for p in batch]),
        pgwire.int4s([p.claim.epoch for p in batch]),
        pgwire.texts(["waiting" if p.ending else "queued" for p in batch]),
        pgwire.texts([e.waiting_for for e in endings]),
        pgwire.texts([e.detail for e in endings]),
        pgwire.timestamps([e.wake_at for e in endings]),
        pgwire.int4s([e.seen for e in endings]),
        pgwire.int4s([p.seq for p in batch]),
        *_count_values([p.version for p in batch], [p.counts for p in batch]),
        pgwire.timestamps([p.counts.last_progress_at for p in batch]),
    ]


def finish_values(batch: Sequence[Closing], blobs: Blobs) -> list[Value]:
    """Parameters of ``FINISH``."""
    outputs = [blobs.pair(c.ending.output) for c in batch]
    errors = [blobs.pair(c.ending.error) for c in batch]
    told = [_told_to_parent(c, blobs) for c in batch]
    parents = {c.claim.parent_id for c in batch if c.claim.parent_id is not None}
    return [
        pgwire.int8s([c.claim.id for c in batch]),
        pgwire.int4s([c.claim.epoch for c in batch]),
        pgwire.texts([c.ending.status for c in batch]),
        pgwire.texts([c.ending.stop_reason for c in batch]),
        pgwire.int4s([c.seq for c in batch]),
        pgwire.texts([meta_json(_closing_meta(c)) for c in batch]),
        pgwire.int2s([codec for codec, _ in outputs]),
        pgwire.byteas([data for _, data in outputs]),
        pgwire.int2s([codec for codec, _ in errors]),
        pgwire.byteas([data for _, data in errors]),
        pgwire.int2s([codec for codec, _ in told]),
        pgwire.byteas([data for _, data in told]),
        pgwire.texts(["\x1f".join(c.ending.degraded) for c in batch]),
        *_count_values([c.version for c in batch], [c.counts for c in batch]),
        pgwire.int8s(sorted({c.claim.id for c in batch} | parents)),
    ]


def _count_values(versions: list[str], counts: list[Counts]) -> list[Value]:
    return [
        pgwire.texts(versions),
        pgwire.int4s([c.steps for c in counts]),
        pgwire.int4s([c.retries for c in counts]),
        pgwire.int8s([c.worked_ms for c in counts]),
        pgwire.texts([c.progress for c in counts]),
    ]


def _closing_meta(closing: Closing) -> dict[str, object]:
    meta: dict[str, object] = {"stop_reason": closing.ending.stop_reason}
    if closing.ending.degraded:
        meta["degraded"] = list(closing.ending.degraded)
    return meta


def _told_to_parent(closing: Closing, blobs: Blobs) -> Pair:
    if closing.claim.parent_id is None:
        return None, None
    ending = closing.ending
    told: dict[str, object] = {
        "run": closing.claim.public_id,
        "status": ending.status,
        "stop_reason": ending.stop_reason,
        "error": _plain(ending.error),
    }
    return blobs.pair(enclose(told, "output", ending.output or NULL))


def _plain(value: Encoded | None) -> object:
    return decode(*value) if value else None


def meta_json(meta: dict[str, object] | None) -> str | None:
    """``meta`` as jsonb takes it: NUL and lone surrogates do not occur in it."""
    if meta is None:
        return None
    raw = json.dumps(meta, separators=(",", ":"), default=str)
    if "\\u" not in raw and "NaN" not in raw and "Infinity" not in raw:
        return raw
    plain = json.loads(raw, parse_constant=str)
    return json.dumps(_clean(plain), separators=(",", ":"), ensure_ascii=False)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _clean(item) for key, item in value.items()}
    return value
