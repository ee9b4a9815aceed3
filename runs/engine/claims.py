"""Claiming runs and reading what is known of them."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict

import structlog

from agentops.execution.records import Claim, Entry, History, Message, Phase
from agentops.sdk import codec
from agentops.sdk.codec import BLOB, Encoded
from agentops.sdk.errors import PayloadError
from runs.engine import pgwire, statements
from runs.engine.caps import CLAIM_CAPPED, Caps
from runs.engine.pgwire import (
    Value,
    read_bool,
    read_float,
    read_int,
    read_text,
    read_timestamp,
)
from runs.engine.wire import Row
from runs.engine.writer import Writer

log = structlog.get_logger(__name__)


class Unreadable:
    """Stands for an input that is there and cannot be read."""


class Claims:
    """Takes runs of some queues for a worker."""

    def __init__(self, writer: Writer, queues: tuple[str, ...], caps: Caps) -> None:
        self._writer = writer
        self._queues = queues
        self._caps = caps
        self._first = 0
        # Whether the last look at the queues set runs aside: others may stand behind them.
        self.held_some = False
        # Runs that are claimed and not executing yet, with their epochs.
        self.loading: set[tuple[int, int]] = set()

    async def next_due(self) -> float | None:
        """Seconds until something becomes claimable; None if nothing is in sight."""
        rows = await self._writer.query(statements.NEXT_DUE, [pgwire.texts(self._queues)])
        return read_float(rows[0][0]) if rows else None

    async def take(self, worker: int, room: int) -> list[tuple[Claim, History]]:
        """Up to ``room`` runs with their history. Queues take turns at being first."""
        self._first += 1
        self.held_some = False
        claims: list[tuple[Claim, bool]] = []
        for i in range(len(self._queues)):
            queue = self._queues[(self._first + i) % len(self._queues)]
            if len(claims) < room:
                claims += await self._take_from(queue, worker, room - len(claims))
        try:
            return await self._with_history(claims)
        except BaseException:
            self.loading -= {(claim.id, claim.epoch) for claim, _ in claims}
            raise

    async def _take_from(self, queue: str, worker: int, room: int) -> list[tuple[Claim, bool]]:
        values: list[Value] = [pgwire.text(queue), pgwire.int4(room), pgwire.int8(worker)]
        if self._caps.exist:
            found = await self._writer.query(CLAIM_CAPPED, [*values, *self._caps.values])
            self.held_some |= read_int(found[0][0]) > 0
            rows = [row[1:] for row in found if row[1] is not None]
        else:
            rows = await self._writer.query(statements.CLAIM, values)
        self.loading |= {(read_int(row[0]), read_int(row[2])) for row in rows}
        return [await self._claim(row) for row in rows]

    async def _claim(self, row: Row) -> tuple[Claim, bool]:
        """The claim, and whether anything is recorded that it has to know."""
        epoch, signal_seq = read_int(row[2]), read_int(row[6])
        claim = Claim(
            id=read_int(row[0]),
            public_id=read_text(row[1]),
            epoch=epoch,
            agent=read_text(row[3]),
            agent_version=read_text(row[4]),
            created_at=read_timestamp(row[5]),
            signal_seq=signal_seq,
            seq=read_int(row[7]),
            timeout_seconds=read_float(row[8]),
            worked_ms=read_int(row[9]),
            crash_count=read_int(row[10]),
            cancelled=read_text(row[11]),
            parent_id=_id(row[12]),
            parent_key=read_text(row[13]),
            queue=read_text(row[14]),
            input=await self._value(read_int(row[16]), row[17] or b""),
            steps=read_int(row[18]),
            retries=read_int(row[19]),
            progress=read_text(row[20]),
            conversation_id=_id(row[21]),
            paused=bool(read_text(row[22])),
            forked=read_bool(row[15]),
            owner_id=_id(row[23]),
            team_id=_id(row[24]),
        )
        return claim, epoch > 1 or signal_seq > 0 or read_bool(row[15])

    async def _value(self, kind: int, data: bytes) -> object:
        if kind == BLOB:
            rows = await self._writer.query(statements.BLOB, [data])
            if not rows:
                log.error("claim.input_lost", digest=data.hex())
                return Unreadable()
            kind, data = read_int(rows[0][0]), rows[0][1] or b""
        try:
            return codec.revive(kind, data)
        except (PayloadError, ValueError, zlib.error) as error:
            log.error("claim.input_unreadable", error=str(error))
            return Unreadable()

    async def _with_history(self, claims: list[tuple[Claim, bool]]) -> list[tuple[Claim, History]]:
        known = [claim.id for claim, recorded in claims if recorded]
        histories: dict[int, History] = defaultdict(History)
        if known:
            ids: list[Value] = [pgwire.int8s(known)]
            for row in await self._writer.query(statements.LOAD, ids):
                histories[read_int(row[0])].entries.append(_entry(row))
            for row in await self._writer.query(statements.INBOX, ids):
                histories[read_int(row[0])].inbox.append(_message(row))
        return [(_numbered(claim, histories[claim.id]), histories[claim.id]) for claim, _ in claims]


def _id(value: Value) -> int | None:
    return None if value is None else read_int(value)


def _numbered(claim: Claim, history: History) -> Claim:
    """The journal as it was read decides which number comes next, and the inbox what is seen."""
    seq = max(claim.seq, history.entries[-1].seq if history.entries else 0)
    seen = max(claim.signal_seq, history.inbox[-1].n if history.inbox else 0)
    if (seq, seen) == (claim.seq, claim.signal_seq):
        return claim
    values = {name: getattr(claim, name) for name in Claim.__dataclass_fields__}
    return Claim(**(values | {"seq": seq, "signal_seq": seen}))


def _entry(row: Row) -> Entry:
    meta = json.loads(row[11]) if row[11] else None
    value = None if row[10] is None else Encoded(read_int(row[9]), row[10])
    return Entry(
        key=read_text(row[1]),
        phase=Phase(read_int(row[2])),
        n=read_int(row[3]),
        seq=read_int(row[4]),
        epoch=read_int(row[5]),
        kind=read_text(row[6]),
        name=read_text(row[7]),
        fingerprint=read_text(row[8]),
        value=value,
        meta=meta,
        at=read_timestamp(row[12]),
    )


def _message(row: Row) -> Message:
    return Message(read_int(row[1]), read_text(row[2]), Encoded(read_int(row[3]), row[4] or b""))
