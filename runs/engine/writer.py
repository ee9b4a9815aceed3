"""The journal writer: group commit across all runs of the process.

One connection, one statement at a time. While a flush is on its way the next batch forms, so there
is no linger timer: a single run pays one round trip per step, many runs share them. It lives on
the event loop itself; nothing on the path of a step hops between threads.

# Note [Sending again]
After a lost connection everything that was not answered is sent again. Each statement is fenced by
the run's epoch, so it does its work once; what it would have answered the first time is then read
from what is there.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog

from agentops.execution.port import Fenced, Unstorable
from runs.engine import batches, pgwire, statements
from runs.engine.batches import Appending, Blobs, Closing, Parting, Spawning
from runs.engine.pgwire import Value
from runs.engine.statements import Statement
from runs.engine.wire import Row, Wire

MAX_ROWS = 256
MAX_BYTES = 1024 * 1024
RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger(__name__)

Flagged = Callable[[int, int, int], None]
Moved = Callable[[int, int], None]


class Writer:
    """Sends what executions record. ``flagged(run, signal_seq, wish)`` is called for runs that a
    flush finds signalled or asked to pause (1) or stop (2), ``moved(run, seq)`` with what became
    durable."""

    def __init__(self, conninfo: str, flagged: Flagged, moved: Moved) -> None:
        self._conninfo = conninfo
        self._flagged, self._moved = flagged, moved
        self._wire: Wire | None = None
        self._rows: deque[Appending | Spawning] = deque()
        self._spoilt: set[tuple[int, int]] = set()
        self._partings: deque[Parting] = deque()
        self._closings: deque[Closing] = deque()
        self._queries: deque[tuple[Statement, list[Value], asyncio.Future[list[Row]]]] = deque()
        self._under_way = False
        self._work = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        context = contextvars.Context()
        self._task = self._loop.create_task(self._pump(), context=context)
        self._task.add_done_callback(self._died)
        self.rung: Callable[[], object] = bool
        self.commits = 0
        self.rows = 0

    # -- asked of the writer --------------------------------------------------------------------

    def append(self, work: Appending) -> None:
        self._rows.append(work)
        self._work.set()

    def spawn(self, work: Spawning) -> None:
        self._rows.append(work)
        self._work.set()

    def part(self, work: Parting) -> None:
        self._partings.append(work)
        self._work.set()

    def close(self, work: Closing) -> None:
        self._closings.append(work)
        self._work.set()

    async def query(self, statement: Statement, values: list[Value]) -> list[Row]:
        """A statement that may simply be sent again."""
        done: asyncio.Future[list[Row]] = self._loop.create_future()
        self._queries.append((statement, values, done))
        self._work.set()
        return await done

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting and nothing is on its way."""
        return not (self._under_way or self._waiting)

    @property
    def _waiting(self) -> bool:
        return bool(self._rows or self._partings or self._closings or self._queries)

    async def stop(self) -> None:
        """Stop without sending what is left; leases make sure that others take it up."""
        self._task.cancel()
        await asyncio.wait([self._task], timeout=1)
        if self._wire is not None:
            self._wire.close()

    # -- the pump -------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                self._under_way = True
                await self._round()
                self._under_way = False

    def _died(self, task: asyncio.Task[None]) -> None:
        """Without a writer nothing is durable: the process must not go on."""
        if not task.cancelled():
            log.critical("writer.died", error=repr(task.exception()))
            os._exit(70)

    async def _round(self) -> None:
        """One of each kind, rows first: what ends a run is sent after all its rows.

        Rows keep their order, whatever their kind: a lower number is never sent after a higher one.
        """
        if self._rows and isinstance(self._rows[0], Spawning):
            work = self._rows.popleft()
            assert isinstance(work, Spawning)  # noqa: S101 - looked at one line above
            await self._send_spawn(work)
        elif self._rows:
            await self._flush(self._take_appends())
        if self._closings and (closings := self._take_closings()):
            await self._send_closings(closings)
        if self._partings and (partings := self._take_partings()):
            await self._send_partings(partings)
        if self._queries:
            await self._ask(*self._queries.popleft())

    async def _ask(
        self, statement: Statement, values: list[Value], done: asyncio.Future[list[Row]]
    ) -> None:
        try:
            _resolve(done, await self._execute(statement, values))
        except psycopg.Error as error:
            _refuse(done, error)

    def _take_appends(self) -> list[Appending]:
        batch: list[Appending] = []
        rows = size = 0
        while self._rows and rows < MAX_ROWS and size < MAX_BYTES:
            work = self._rows[0]
            if isinstance(work, Spawning):
                break
            self._rows.popleft()
            batch.append(work)
            rows += len(work.entries)
            size += sum(e.size for e in work.entries)
        return batch

    def _take_partings(self) -> list[Parting]:
        unsent = {work.claim.id for work in self._rows}
        batch = [work for work in self._partings if work.claim.id not in unsent][:MAX_ROWS]
        for work in batch:
            self._partings.remove(work)
        return batch

    def _take_closings(self) -> list[Closing]:
        """No run together with its parent or a sibling, see FINISH; none with rows unsent."""
        unsent = {work.claim.id for work in self._rows}
        batch: list[Closing] = []
        later: list[Closing] = []
        taken: set[int] = set()
        while self._closings and len(batch) < MAX_ROWS:
            work = self._closings.popleft()
            family = {work.claim.id, work.claim.parent_id} - {None}
            if family & taken or work.claim.id in unsent:
                later.append(work)
            else:
                taken |= family  # type: ignore[arg-type]
                batch.append(work)
        self._closings.extendleft(reversed(later))
        return batch

    # -- sending --------------------------------------------------------------------------------

    async def _execute(self, statement: Statement, values: Sequence[Value]) -> list[Row]:
        """Send until it is answered. Raises errors of the data only."""
        rows, _ = await self._insist(statement, values)
        return rows

    async def _insist(
        self, statement: Statement, values: Sequence[Value]
    ) -> tuple[list[Row], bool]:
        """The answer, and whether it was sent more than once."""
        tries = 0
        while True:
            try:
                wire = await self._connected()
                rows = await wire.execute(statement, values)
            except psycopg.Error as error:
                if _is_about_data(error):
                    raise
                await self._recover(error, tries)
                tries += 1
            else:
                self.commits += 1
                return rows, tries > 0

    async def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = await Wire.connect(self._conninfo)
        return self._wire

    async def _recover(self, error: psycopg.Error, tries: int) -> None:
        log.warning("writer.retrying", error=type(error).__name__, tries=tries)
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        await asyncio.sleep(RECONNECT_SECONDS[min(tries, len(RECONNECT_SECONDS) - 1)])

    async def _put_blobs(self, blobs: Blobs) -> None:
        for digest, value in blobs.found.items():
            size = pgwire.int4(len(value.data))
            await self._execute(
                statements.PUT_BLOB, [digest, pgwire.int2(value.codec), value.data, size]
            )

    async def _flush(self, batch: list[Appending]) -> None:
        batch = [work for work in batch if not self._is_spoilt(work)]
        if not batch:
            return
        blobs = Blobs()
        try:
            values = _encoded(lambda: batches.append_values(batch, blobs))
            await self._put_blobs(blobs)
            rows, again = await self._insist(statements.APPEND, values)
        except psycopg.Error as error:
            await self._bisect(batch, error)
            return
        written = {(pgwire.read_int(r[0]), pgwire.read_int(r[1])) for r in rows}
        expected = sum(len(work.entries) for work in batch)
        if again or len(written) < expected:
            found = await self._execute(
                statements.WRITTEN, batches.identity_values(batches.rows_of(batch))
            )
            written |= {(pgwire.read_int(r[0]), pgwire.read_int(r[1])) for r in found}
        self.rows += len(written)
        for row in rows:
            signal_seq, wish = pgwire.read_int(row[2]), pgwire.read_int(row[3])
            if signal_seq or wish:
                self._flagged(pgwire.read_int(row[0]), signal_seq, wish)
        for work in batch:
            self._conclude(work, written)

    def _conclude(self, work: Appending, written: set[tuple[int, int]]) -> None:
        run = work.claim.id
        if all((run, e.seq) in written for e in work.entries):
            _resolve(work.done, None)
            self._moved(run, work.entries[-1].seq)
        else:
            _refuse(work.done, Fenced())

    async def _bisect(self, batch: list[Appending], error: psycopg.Error) -> None:
        """One bad row spoils a statement: find its run, and let the others go on."""
        if len(batch) == 1:
            claim = batch[0].claim
            log.error("writer.refused", run=claim.public_id, error=type(error).__name__)
            self._spoilt.add((claim.id, claim.epoch))
            _refuse(batch[0].done, Unstorable(str(error)))
            return
        half = len(batch) // 2
        await self._flush(batch[:half])
        await self._flush(batch[half:])

    def _is_spoilt(self, work: Appending | Spawning) -> bool:
        """After a row that cannot be stored none of its run is: numbers must stay without gaps."""
        spoilt = (work.claim.id, work.claim.epoch) in self._spoilt
        if spoilt:
            _refuse(work.done, Unstorable("An earlier row of this run could not be stored."))
        return spoilt

    async def _send_spawn(self, work: Spawning) -> None:
        if self._is_spoilt(work):
            return
        blobs = Blobs()
        try:
            values = _encoded(lambda: batches.spawn_values(work, blobs))
            await self._put_blobs(blobs)
            rows = await self._execute(statements.SPAWN, values)
            found = rows or await self._execute(
                statements.WRITTEN, batches.identity_values([(work.claim, work.entry)])
            )
        except psycopg.Error as error:
            self._spoilt.add((work.claim.id, work.claim.epoch))
            _refuse(work.done, Unstorable(str(error)))
            return
        if not found:
            _refuse(work.done, Fenced())
            return
        _resolve(work.done, None)
        self._moved(work.claim.id, work.entry.seq)
        self.rung()

    async def _send_partings(self, batch: list[Parting]) -> None:
        try:
            values = _encoded(lambda: batches.suspend_values(batch))
            rows = await self._execute(statements.SUSPEND, values)
        except psycopg.Error as error:
            await self._bisect_partings(batch, error)
            return
        moved = {pgwire.read_int(r[0]): pgwire.read_text(r[1]) for r in rows}
        for work in batch:
            status = moved.get(work.claim.id, "")
            self._spoilt.discard((work.claim.id, work.claim.epoch))
            _resolve(work.done, status)
            if status == "waiting":
                self._moved(work.claim.id, work.seq)

    async def _bisect_partings(self, batch: list[Parting], error: psycopg.Error) -> None:
        """A run that cannot be given back is left: its worker, which does not hold it, notices."""
        if len(batch) == 1:
            log.error("writer.refused", run=batch[0].claim.public_id, error=type(error).__name__)
            _resolve(batch[0].done, "")
            return
        for work in batch:
            await self._send_partings([work])

    async def _send_closings(self, batch: list[Closing]) -> None:
        blobs = Blobs()
        try:
            values = _encoded(lambda: batches.finish_values(batch, blobs))
            await self._put_blobs(blobs)
            rows = await self._execute(statements.FINISH, values)
        except psycopg.Error as error:
            await self._bisect_closings(batch, error)
            return
        for row in rows:
            if row[1] is not None:
                self.rung()
        for work in batch:
            _resolve(work.done, None)
            self._moved(work.claim.id, work.seq)

    async def _bisect_closings(self, batch: list[Closing], error: psycopg.Error) -> None:
        if len(batch) == 1:
            log.error("writer.refused", run=batch[0].claim.public_id, error=type(error).__name__)
            _refuse(batch[0].done, Unstorable(str(error)))
            return
        for work in batch:
            await self._send_closings([work])


def _encoded(build: Callable[[], list[Value]]) -> list[Value]:
    """What ``build`` returns. A value that has no binary form is an error of the data."""
    try:
        return build()
    except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:
        raise psycopg.DataError(f"{type(error).__name__}: {error}") from error


def _is_about_data(error: psycopg.Error) -> bool:
    """Whether sending the same again can only fail again: data, constraints, program limits."""
    return (error.sqlstate or "")[:2] in {"22", "23", "54"}


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _refuse(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
