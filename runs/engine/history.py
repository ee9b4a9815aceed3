"""The recorded past of runs, read over Django's connection: for checks, not for workers."""

from __future__ import annotations

from agentops.execution.records import Claim, Entry, History, Message, Phase
from agentops.sdk.codec import BLOB, Encoded, revive
from runs.models import Blob, Inbox, Journal, Run


def claim_of(run: Run) -> Claim:
    """The run as a worker would get it."""
    return Claim(
        id=run.pk,
        public_id=run.public_id,
        epoch=run.epoch,
        agent=run.agent,
        agent_version=run.agent_version,
        input=_input(run),
        created_at=run.created_at,
        signal_seq=run.signal_seq,
    )


def history_of(run: Run) -> History:
    """All that is recorded of the run, in order."""
    rows = Journal.objects.filter(run=run).order_by("seq")
    messages = Inbox.objects.filter(run=run).order_by("n")
    return History(
        [_entry(row) for row in rows],
        [Message(m.n, m.name, _stored(m.codec, m.data)) for m in messages],
    )


def _input(run: Run) -> object:
    payload = run.payload
    return revive(*_stored(payload.input_codec, payload.input))


def _entry(row: Journal) -> Entry:
    value = None
    if row.phase == Phase.OUTCOME and row.codec is not None and row.data is not None:
        value = _stored(row.codec, row.data)
    return Entry(
        key=row.key,
        phase=Phase(row.phase),
        kind=row.kind,
        name=row.name,
        at=row.at,
        n=row.n,
        seq=row.seq,
        epoch=row.epoch,
        fingerprint=row.fingerprint,
        value=value,
        meta=row.meta,
    )


def _stored(codec: int, data: bytes | memoryview) -> Encoded:
    if codec == BLOB:
        blob = Blob.objects.get(digest=bytes(data))
        return Encoded(blob.codec, bytes(blob.data))
    return Encoded(codec, bytes(data))
