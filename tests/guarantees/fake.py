"""Workers without agents: they say to PostgreSQL exactly what real ones say, one word at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import pq

from agentops.execution import endings
from agentops.execution.port import Finished, Suspended
from agentops.execution.records import Claim, Entry, Phase
from agentops.sdk.codec import encode
from runs.engine import batches, pgwire, statements
from runs.engine.batches import Appending, Blobs, Closing, Parting
from runs.engine.pgwire import read_int, read_text
from runs.engine.statements import Statement
from tests.runs.fake_worker import connect

PAY = "pay#1"
QUEUE = "machine"


@dataclass
class Held:
    """A run as its worker remembers it, whatever has become of it meanwhile."""

    claim: Claim
    seq: int
    seen: int
    outcomes: set[str] = field(default_factory=set)
    # Under which key the payment is asked for by now, and whether it failed for good.
    pay: str = PAY
    failed: bool = False
    open_intent: int = 0
    attempts: int = 0
    settled: set[int] = field(default_factory=set)
    acting: int = 0
    acted: int = 0
    cancelled: str = ""

    def next(self) -> int:
        self.seq += 1
        return self.seq


class Worker:
    """One process: a connection, an incarnation, and what it believes it holds."""

    def __init__(self) -> None:
        self.db: psycopg.Connection[Any] = connect()
        row = self.db.execute(
            "INSERT INTO worker (machine, hostname, pid, pid_started, queues, capacity, release)"
            " VALUES ('m', 'h', 1, 1, '{machine}', 9, '') RETURNING id"
        ).fetchone()
        assert row is not None
        self.id = int(row[0])
        self.runs: dict[int, Held] = {}

    def say(self, statement: Statement, values: Sequence[pgwire.Value]) -> list[tuple[Any, ...]]:
        """Send a statement as the writer does. Raises psycopg errors."""
        result = self.db.pgconn.exec_params(
            statement.sql, values, param_formats=[pq.Format.BINARY] * len(values),
            result_format=pq.Format.BINARY,
        )  # fmt: skip
        if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            raise psycopg.errors.error_from_result(result)
        columns = range(result.nfields)
        return [tuple(result.get_value(r, c) for c in columns) for r in range(result.ntuples)]

    # -- claiming

    def claim(self, room: int = 1) -> list[int]:
        values = [pgwire.text(QUEUE), pgwire.int4(room), pgwire.int8(self.id)]
        rows = self.say(statements.CLAIM, values)
        return [self._load(row) for row in rows]

    def _load(self, row: tuple[Any, ...]) -> int:
        run = read_int(row[0])
        claim = Claim(
            id=run, public_id=read_text(row[1]), epoch=read_int(row[2]), agent=read_text(row[3]),
            agent_version="", input=None, created_at=datetime.now(UTC),
            signal_seq=read_int(row[6]),
        )  # fmt: skip
        held = Held(claim, 0, claim.signal_seq, cancelled=read_text(row[11]))
        lines = self.say(statements.LOAD, [pgwire.int8s([run])])
        held.seq = max(read_int(line[4]) for line in lines)
        held.outcomes = {read_text(line[1]) for line in lines if read_int(line[2]) == Phase.OUTCOME}
        for line in lines:
            if read_text(line[6]) == "run.reopened":
                held.pay = json.loads(line[11] or b"{}")["again"].get(held.pay, held.pay)
        self._load_payment(held, [line for line in lines if read_text(line[1]) == held.pay])
        for message in self.say(statements.INBOX, [pgwire.int8s([run])]):
            step, _, attempt = read_text(message[2]).removeprefix("settled:").rpartition(":")
            held.seen = max(held.seen, read_int(message[1]))
            if step == held.pay:
                held.settled.add(int(attempt))
        self.runs[run] = held
        return run

    def _load_payment(self, held: Held, lines: list[tuple[Any, ...]]) -> None:
        numbers = {(read_int(line[2]), read_int(line[3])) for line in lines}
        tried = {phase: {n for kind, n in numbers if kind == phase} for phase in Phase}
        held.failed = any(read_text(line[6]) == "step.failed" for line in lines)
        held.attempts = max(tried[Phase.INTENT], default=0)
        if held.pay not in held.outcomes:
            held.open_intent = max(tried[Phase.INTENT] - tried[Phase.VOID], default=0)

    # -- writing

    def append(self, run: int, key: str, phase: Phase, n: int = 0, **meta: object) -> bool:
        """Write one row. False: fenced, and the run is forgotten."""
        held = self.runs[run]
        kind = "step.intended" if phase is Phase.INTENT else "step.completed"
        value = encode("done") if phase is Phase.OUTCOME else None
        if "error" in meta:
            kind, value = "step.failed", encode(meta["error"])
        entry = Entry(
            key, phase, kind, key.partition("#")[0], datetime.now(UTC), n=n, seq=held.next(),
            epoch=held.claim.epoch, value=value, meta=meta or None,
        )  # fmt: skip
        batch = [Appending(held.claim, [entry], _nobody())]
        if self.say(statements.APPEND, batches.append_values(batch, Blobs())):
            held.outcomes |= {key} if phase is Phase.OUTCOME else set()
            return True
        del self.runs[run]
        return False

    def promise(self, run: int) -> bool:
        held = self.runs[run]
        n = held.attempts + 1
        deadline = datetime.now(UTC) + timedelta(hours=1)
        meta = {"worker": self.id, "deadline_at": deadline.isoformat()}
        if not self.append(run, held.pay, Phase.INTENT, n, **meta):
            return False
        held.attempts = held.open_intent = held.acting = n
        return True

    # -- letting go

    def suspend(self, run: int, ending: Suspended | None) -> str:
        """What became of it: waiting, queued, or nothing because it was lost."""
        held = self.runs.pop(run)
        parting = Parting(
            held.claim, ending and replace(ending, seen=held.seen), held.next(), "v",
            endings.untouched(held.claim), _nobody(),
        )  # fmt: skip
        rows = self.say(statements.SUSPEND, batches.suspend_values([parting]))
        return read_text(rows[0][1]) if rows else ""

    def finish(self, run: int) -> bool:
        held = self.runs.pop(run)
        ending = Finished("succeeded", "completed", encode("done"))
        if held.claim.epoch % 3 == 0 or held.failed:
            steps = [held.pay] if held.failed else []
            error = encode({"message": "", "steps": steps})
            ending = Finished("failed", "tool_error" if steps else "agent_error", error=error)
        if held.cancelled:
            ending = Finished("cancelled", held.cancelled)
        closing = Closing(
            held.claim, ending, held.next(), "v", endings.untouched(held.claim), _nobody()
        )
        return bool(self.say(statements.FINISH, batches.finish_values([closing], Blobs())))

    def exit(self) -> None:
        self.db.close()


def _nobody() -> asyncio.Future[Any]:
    """Nobody waits for what is said here."""
    return asyncio.Future(loop=_LOOP)


_LOOP = asyncio.new_event_loop()
_LOOP.close()
