"""A PostgreSQL connection driven by the event loop itself, without a thread hop per statement.

libpq's asynchronous calls (psycopg's ``pq`` layer) on a socket the loop watches: one statement at
a time, prepared on first use, binary both ways. The caller serialises.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Sequence

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult

from agentops.execution.faults import fault
from runs.engine.pgwire import Value
from runs.engine.statements import Statement

Row = tuple[Value, ...]
_NOBODY = contextvars.Context()
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Wire:
    """One connection. Any OperationalError means: throw it away and connect again."""

    def __init__(self, connection: PGconn, loop: asyncio.AbstractEventLoop) -> None:
        self._pg = connection
        self._socket = connection.socket
        self._loop = loop
        self._prepared: set[bytes] = set()
        self._readable: asyncio.Future[None] | None = None
        connection.nonblocking = 1
        _NOBODY.run(loop.add_reader, self._socket, self._on_readable)

    @classmethod
    async def connect(cls, conninfo: str) -> Wire:
        """A new connection. Raises psycopg.OperationalError."""
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(None, pq.PGconn.connect, conninfo.encode())
        if connection.status != pq.ConnStatus.OK:
            message = connection.get_error_message()
            connection.finish()
            raise psycopg.OperationalError(message)
        return cls(connection, loop)

    def close(self) -> None:
        """Drop the connection; a statement under way fails."""
        self._loop.remove_reader(self._socket)
        self._pg.finish()
        self._fail("The connection was closed.")

    async def execute(self, statement: Statement, values: Sequence[Value]) -> list[Row]:
        """Run one statement in its own transaction. Raises psycopg errors."""
        await self._prepare(statement)
        if statement.turn is not None:
            await self._prepare(statement.turn)
            return await self._in_turn(statement.turn, statement, values)
        formats = [pq.Format.BINARY] * len(values)
        label = statement.name.decode()
        fault("writer.before_send", label)
        self._send(
            lambda: self._pg.send_query_prepared(statement.name, values, formats, pq.Format.BINARY)
        )
        fault("writer.after_send", label)
        rows = await self._answer()
        fault("writer.after_commit", label)
        return rows

    async def _prepare(self, statement: Statement) -> None:
        if statement.name not in self._prepared:
            self._send(lambda: self._pg.send_prepare(statement.name, statement.sql))
            await self._answer()
            self._prepared.add(statement.name)

    async def _in_turn(
        self, turn: Statement, statement: Statement, values: Sequence[Value]
    ) -> list[Row]:
        """Two statements in one transaction and one round trip; rows of the second."""
        binary, formats = pq.Format.BINARY, [pq.Format.BINARY] * len(values)

        def send() -> None:
            self._pg.enter_pipeline_mode()
            self._pg.send_query_prepared(turn.name, [], [], binary)
            self._pg.send_query_prepared(statement.name, values, formats, binary)
            self._pg.pipeline_sync()

        self._send(send)
        try:
            await self._answer()
            rows = await self._answer()
        except psycopg.Error:
            with contextlib.suppress(psycopg.Error):
                await self._synced()
            raise
        await self._synced()
        return rows

    async def _synced(self) -> None:
        """Read up to the end of the pipeline, and leave it."""
        while True:
            while self._pg.is_busy():
                await self._wait_readable()
            result = self._pg.get_result()
            if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._pg.exit_pipeline_mode()
                return
            if self._pg.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("The connection is gone.")
            if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(result)

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except psycopg.Error as error:
            raise psycopg.OperationalError(str(error)) from error

    async def _answer(self) -> list[Row]:
        try:
            while self._pg.flush():
                await self._writable()
        except psycopg.Error as error:
            raise psycopg.OperationalError(str(error)) from error
        rows: list[Row] = []
        failure: psycopg.Error | None = None
        while True:
            while self._pg.is_busy():
                await self._wait_readable()
            result = self._pg.get_result()
            if result is None:
                break
            if result.status not in _GOOD:
                failure = error_from_result(result)
            else:
                rows.extend(_rows(result))
        if self._pg.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(str(failure or "The connection is gone."))
        if failure is not None:
            raise failure
        return rows

    async def _wait_readable(self) -> None:
        self._readable = self._loop.create_future()
        await self._readable

    async def _writable(self) -> None:
        ready = self._loop.create_future()
        self._loop.add_writer(self._socket, _set, ready)
        try:
            await ready
        finally:
            self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        try:
            self._pg.consume_input()
        except psycopg.Error as error:
            self._loop.remove_reader(self._socket)
            self._fail(str(error))
            return
        if self._readable is not None and not self._readable.done() and not self._pg.is_busy():
            self._readable.set_result(None)

    def _fail(self, message: str) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_exception(psycopg.OperationalError(message))


def _rows(result: PGresult) -> list[Row]:
    columns = range(result.nfields)
    return [tuple(result.get_value(r, c) for c in columns) for r in range(result.ntuples)]


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
