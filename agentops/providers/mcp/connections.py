"""Connections to servers: one per server and event loop, made again after it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import mcp_types as types
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from agentops.providers.discretion import discreet
from agentops.providers.mcp import results, wires
from agentops.providers.mcp.definitions import Definition
from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import ServerError, ToolError
from agentops.sdk.mcp import McpServer

MOST_PAGES = 100
MOST_TOOLS = 1_000
LONGEST_NAME = 128
_KEY = "agentops/idempotency-key"
_REFUSED = frozenset({types.INVALID_PARAMS, types.METHOD_NOT_FOUND, types.INVALID_REQUEST})
# They write down what is sent and received whenever somebody asks for details.
_TALKATIVE = ("mcp", "client", "httpx2", "httpcore2")


class Connection:
    """One server, connected. Its task holds what has to be closed where it was opened."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self.secret = wires.credential(server, os.environ)
        self.wire = wires.Wire()
        self.tools: dict[str, Definition] | None = None
        self._busy = 0
        self._retired = False
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # A context of its own: it outlives the run that happened to need it first.
        self._task = asyncio.get_running_loop().create_task(
            self._serve(), context=contextvars.Context()
        )

    @property
    def usable(self) -> bool:
        """Whether new calls may use it."""
        return not (self._retired or self._task.done() or self.wire.closed.is_set())

    async def client(self) -> Client:
        """Its client, once it is connected. Raises ServerError when it cannot be."""
        return await asyncio.shield(self._ready)

    async def _serve(self) -> None:
        try:
            async with Client(self._transport(), message_handler=self._heard, cache=None) as client:
                self._ready.set_result(client)
                await self._until_over()
        except BaseException as error:  # noqa: BLE001 - libraries raise what they like, in groups
            if not self._ready.done():
                self._ready.set_exception(self._cannot_connect(error))
                self._ready.exception()
        finally:
            self.wire.closed.set()
            if not self._ready.done():
                self._ready.cancel()

    def _transport(self) -> Any:
        if self.server.command:
            return wires.process(self.server, self.wire)
        return wires.http(self.server, self.secret)

    async def _until_over(self) -> None:
        ends = [asyncio.ensure_future(e.wait()) for e in (self._stop, self.wire.closed)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def _heard(self, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self.tools = None

    def _cannot_connect(self, error: BaseException) -> ServerError:
        told = _innermost(error)
        if isinstance(told, ServerError):
            return told
        name = self.server.name
        if isinstance(told, MCPError) and told.code != types.CONNECTION_CLOSED:
            failure = _failed(self, told)
            return failure if isinstance(failure, ServerError) else _failed_to(name, str(failure))
        tail = self.wire.tail.decode(errors="replace").strip().splitlines()
        return _failed_to(name, self.discreet(tail[-1] if tail else type(told).__name__))

    def discreet(self, text: str) -> str:
        """``text`` without the secret."""
        return discreet(text, key=self.secret, said=())

    # -- life ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def busy(self) -> AsyncGenerator[None]:
        """A call is under way; the connection is not closed under it."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if self._retired and not self._busy:
                self._stop.set()

    def retire(self) -> None:
        """Use it for nothing new, and close it when the last call has ended."""
        self._retired = True
        if not self._busy:
            self._stop.set()

    async def close(self) -> None:
        """Close it now."""
        self._stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task], timeout=4 * wires.GRACE_SECONDS)
        self._task.cancel()


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], Connection]] = (
    WeakKeyDictionary()
)


async def _connected(server: McpServer) -> tuple[Connection, Client]:
    """A connection of this loop that works. Raises ServerError."""
    for logger in _TALKATIVE:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    known = _connections.setdefault(asyncio.get_running_loop(), {})
    connection = known.get(server.wire)
    if connection is None or not connection.usable:
        connection = known[server.wire] = Connection(server)
    try:
        return connection, await connection.client()
    except asyncio.CancelledError:
        # It did not come up in time: whoever comes next tries anew.
        if not connection._ready.done():
            connection.retire()
        raise


async def close() -> None:
    """Let go of the servers of this loop, before it ends."""
    known = _connections.pop(asyncio.get_running_loop(), {})
    await asyncio.gather(*(connection.close() for connection in known.values()))


# -- what is asked ----------------------------------------------------------------------------


async def definitions(server: McpServer, *, fresh: bool) -> dict[str, Definition]:
    """The tools as the server describes them by now. Raises ServerError.

    ``fresh``: asked again. Otherwise what this connection was told last, unless the server said
    that it changed.
    """
    connection, client = await _connected(server)
    if connection.tools is None or fresh:
        try:
            async with connection.busy():
                connection.tools = await _list(client)
        except asyncio.CancelledError:
            connection.retire()
            raise
        except Exception as error:  # noqa: BLE001 - what a library makes of nonsense
            failed = _failed(connection, error)
            raise _as_unsent(failed) from None
    return connection.tools


def _as_unsent(error: Exception) -> Exception:
    """Listing has no effect, so that it is never in doubt."""
    if isinstance(error, ServerError):
        return ServerError(error.code, str(error), sent=False, retry=error.retry, after=error.after)
    return error


async def _list(client: Client) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            if not tool.name.isprintable() or not 0 < len(tool.name) <= LONGEST_NAME:
                text = "It offers a tool whose name nobody can read."
                raise ServerError("invalid_answer", text, sent=False, retry=False)
            found[tool.name] = _definition(tool)
        cursor = page.next_cursor
        if not cursor or len(found) > MOST_TOOLS:
            return found
    return found


def _definition(tool: types.Tool) -> Definition:
    dumped: Mapping[str, Any] = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Definition(
        tool.name,
        str(dumped.get("description") or ""),
        dumped.get("inputSchema") or {},
        dumped.get("annotations") or {},
    )


async def call(
    server: McpServer, tool: str, arguments: Mapping[str, object], context: ToolContext
) -> object:
    """Have the server do it. Raises ServerError, or ToolError with what the server objects to."""
    connection, client = await _connected(server)
    meta: Any = {_KEY: context.idempotency_key}
    try:
        async with connection.busy():
            result = await client.call_tool(tool, dict(arguments), meta=meta)
    except asyncio.CancelledError:
        # Out of patience: a server that hangs once is not asked again over the same wire.
        connection.retire()
        raise
    except Exception as error:  # noqa: BLE001 - what a library makes of nonsense
        raise _failed(connection, error) from None
    return results.value_of(result, connection.secret)


_SAYS = {
    "result_too_large": "It answered with more than 8 MB.",
    "invalid_answer": "What came is not an answer.",
    "connection_lost": "It was lost during the call.",
}


def _failed(connection: Connection, error: Exception) -> Exception:
    """What to raise for what the library raised."""
    name, fault = connection.server.name, connection.wire.fault
    if isinstance(error, (ServerError, ToolError)):
        return error
    if not isinstance(error, MCPError):
        text = f"{name}: {_SAYS['invalid_answer']}"
        return ServerError("invalid_answer", text, sent=True, retry=False)
    said = f"{name}: {connection.discreet(error.message)}"
    if error.code == wires.UNSENT:
        connection.retire()
        return ServerError("connection_failed", said, sent=False)
    if error.code in {wires.LOST, types.CONNECTION_CLOSED}:
        connection.retire()
        code = fault or "connection_lost"
        return ServerError(code, f"{name}: {_SAYS[code]}", sent=True, retry=not fault)
    if wires.STATUS - 600 < error.code <= wires.STATUS:
        return _refused_by_http(wires.STATUS - error.code, said, error)
    if error.message == "Session terminated":
        connection.retire()
        return ServerError("connection_lost", said, sent=False)
    if error.code in _REFUSED:
        return ToolError(said)
    return ServerError("server_error", said, sent=True)


def _refused_by_http(status: int, said: str, error: MCPError) -> ServerError:
    data = error.data if isinstance(error.data, dict) else {}
    after = data.get("after")
    if status in {401, 403}:
        return ServerError("authentication_failed", said, sent=False, retry=False)
    if status == 429:
        pause = float(after) if isinstance(after, (int, float)) else None
        return ServerError("rate_limited", said, sent=False, after=pause)
    return ServerError("server_error", said, sent=True)


def _failed_to(name: str, why: str) -> ServerError:
    text = f"{name} could not be connected to" + (f": {why}" if why else ".")
    return ServerError("connection_failed", text, sent=False)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
