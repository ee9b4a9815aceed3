"""How a worker reaches a server: a process of its own, or HTTP.

Our own process transport instead of the library's: that one hands six variables of the worker on,
reads lines of any length, and lets the server write into the worker's log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import anyio
import httpx2
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from agentops.sdk.errors import ServerError
from agentops.sdk.mcp import McpServer

LONGEST_ANSWER = 8 * 1024 * 1024
MOST_GARBAGE = 1_000
TAIL_BYTES = 2_000
GRACE_SECONDS = 0.5
CONNECT_SECONDS = 10.0
# Codes of ours, outside of what JSON-RPC and MCP use, for what happened below them.
UNSENT, LOST, TOO_LARGE = -31_901, -31_902, -31_903
STATUS = -31_000
_ALWAYS = ("PATH", "LANG")
_Sends = MemoryObjectSendStream[SessionMessage | Exception]
_Takes = MemoryObjectReceiveStream[SessionMessage]


@dataclass
class Wire:
    """What is known of a connection beside what its client says."""

    closed: asyncio.Event = field(default_factory=asyncio.Event)
    # Why it was closed by us, and the last that a process said on its error output.
    fault: str = ""
    tail: bytes = b""


def environment(server: McpServer, worker: Mapping[str, str]) -> dict[str, str]:
    """What a server's process gets: what is named, and where programs are. Raises ServerError."""
    wanted = [*server.environment, *([server.credential] if server.credential else [])]
    missing = [name for name in wanted if name not in worker]
    if missing:
        raise _unset(missing[0])
    return {name: worker[name] for name in (*_ALWAYS, *wanted) if name in worker}


def credential(server: McpServer, worker: Mapping[str, str]) -> str:
    """The secret itself. Raises ServerError when this worker does not have it."""
    if server.credential and not worker.get(server.credential):
        raise _unset(server.credential)
    return worker.get(server.credential, "") if server.credential else ""


def _unset(variable: str) -> ServerError:
    text = f"{variable} is not set for this worker."
    return ServerError("authentication_failed", text, sent=False, retry=False)


# -- a process --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def process(server: McpServer, wire: Wire) -> AsyncGenerator[TransportStreams]:
    """Start the server's command and talk to it over its input and output."""
    started = await _start(server)
    inward, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    send, outward = anyio.create_memory_object_stream[SessionMessage](0)
    pumps = [
        asyncio.ensure_future(_read(started, inward, wire)),
        asyncio.ensure_future(_write(started, outward, wire)),
        asyncio.ensure_future(_listen(started, wire)),
    ]
    try:
        yield receive, send
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await _end(started)
        for stream in (inward, receive, send, outward):
            await stream.aclose()


async def _start(server: McpServer) -> asyncio.subprocess.Process:
    given = environment(server, os.environ)
    try:
        return await asyncio.create_subprocess_exec(
            *server.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=given,
            limit=LONGEST_ANSWER,
            start_new_session=True,
        )
    except OSError as error:
        text = f"{server.command[0]} could not be started: {error.strerror}."
        raise ServerError("connection_failed", text, sent=False, retry=False) from None


async def _read(started: asyncio.subprocess.Process, into: _Sends, wire: Wire) -> None:
    output = cast("asyncio.StreamReader", started.stdout)
    garbage = 0
    try:
        while line := await output.readline():
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                # Programs print banners; one that prints nothing else is no server.
                garbage += 1
                if garbage > MOST_GARBAGE:
                    wire.fault = "invalid_answer"
                    break
                continue
            await into.send(SessionMessage(message))
    except ValueError:
        wire.fault = "result_too_large"
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        # Nobody listens any more, or the program went in the middle of a line; ``closed`` says so.
        pass
    finally:
        wire.closed.set()
        into.close()


async def _write(started: asyncio.subprocess.Process, source: _Takes, wire: Wire) -> None:
    pipe = cast("asyncio.StreamWriter", started.stdin)
    try:
        async for message in source:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            pipe.write(text.encode() + b"\n")
            await pipe.drain()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        wire.closed.set()


async def _listen(started: asyncio.subprocess.Process, wire: Wire) -> None:
    """Keep the end of what it says on its error output, which tells why it did not start."""
    errors = cast("asyncio.StreamReader", started.stderr)
    with contextlib.suppress(OSError):
        while piece := await errors.read(4096):
            wire.tail = (wire.tail + piece)[-TAIL_BYTES:]


async def _end(started: asyncio.subprocess.Process) -> None:
    """Close its input, and kill what does not leave: it and all it started."""
    pipe = cast("asyncio.StreamWriter", started.stdin)
    pipe.close()
    for last in (None, signal.SIGTERM, signal.SIGKILL):
        if last is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(started.pid, last)
        if await _has_left(started):
            break
    transport = getattr(started, "_transport", None)
    if transport is not None:
        # A grandchild may hold the pipes open; nobody reads them any more.
        transport.close()


async def _has_left(started: asyncio.subprocess.Process) -> bool:
    border = asyncio.get_running_loop().time() + GRACE_SECONDS
    # Not its wait(): that is for the end of its output too, which a grandchild may hold open.
    while started.returncode is None and asyncio.get_running_loop().time() < border:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.01)
    return started.returncode is not None


# -- HTTP -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def http(server: McpServer, key: str) -> AsyncGenerator[TransportStreams]:
    """Talk to the server at its address."""
    headers = {"Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx2.Timeout(CONNECT_SECONDS, read=None)
    client = httpx2.AsyncClient(
        headers=headers,
        timeout=limits,
        trust_env=False,
        transport=_Frank(httpx2.AsyncHTTPTransport()),
    )
    async with (
        client,
        streamable_http_client(
            server.url, http_client=client, max_sse_event_size=LONGEST_ANSWER
        ) as streams,
    ):
        yield streams


class _Frank(httpx2.AsyncBaseTransport):
    """Says of each request whether it was sent, where the client would only say that it failed."""

    def __init__(self, inner: httpx2.AsyncHTTPTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            return _error(UNSENT, "It could not be reached.")
        except httpx2.TransportError:
            return _error(LOST, "It hung up without an answer.")
        if response.status_code in {401, 403, 429} or response.status_code >= 500:
            await response.aclose()
            after = response.headers.get("Retry-After", "")
            data = {"after": float(after)} if after.isdigit() else None
            return _error(STATUS - response.status_code, f"HTTP {response.status_code}", data)
        stream = cast("httpx2.AsyncByteStream", response.stream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Limited(stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for piece in self._inner:
            count += len(piece)
            if count > LONGEST_ANSWER:
                raise httpx2.ReadError("too large")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _error(code: int, message: str, data: object = None) -> httpx2.Response:
    told = {"code": code, "message": message} | ({"data": data} if data else {})
    return httpx2.Response(400, json={"jsonrpc": "2.0", "id": None, "error": told})
