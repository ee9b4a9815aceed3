"""The server: HTTP/1.1 on loopback, small enough to play a provider for hundreds of runs."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.modelserver.answers import Answer
from tests.modelserver.asked import Asked, Log
from tests.modelserver.behaviours import behave
from tests.modelserver.faults import Fault
from tests.modelserver.plan import End, Pause, Plan, told
from tests.modelserver.speaking import speak

Said = Answer | Fault | str
Script = Sequence[Said] | Callable[[Asked], Said]


class ModelServer:
    """Answers requests; from ``script`` one after the other, or as the requests themselves say.

    ``delay`` is the time each answer takes. ``faults`` are those of single requests, by number.
    ``asked`` are the requests it got, which ``log`` holds as well. Asked more often than the
    script has answers, it says so with status 400.
    """

    def __init__(
        self,
        script: Script = behave,
        *,
        port: int = 0,
        delay: float = 0.0,
        log: Path | None = None,
        faults: Mapping[int, Fault] | None = None,
    ) -> None:
        self._script = script
        self._port = port
        self._delay = delay
        self._log = Log(log)
        self._faults = dict(faults or {})
        self._connected: set[Connection] = set()
        self.asked: list[Asked] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self._port, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for connection in list(self._connected):
            connection.drop()
        await self._server.wait_closed()
        self._log.close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai(self) -> str:
        """The base URL for clients of OpenAI."""
        return f"{self.address}/v1"

    @property
    def anthropic(self) -> str:
        """The base URL for clients of Anthropic."""
        return self.address

    def came(self, connection: Connection) -> None:
        self.connections += 1
        self._connected.add(connection)

    def went(self, connection: Connection) -> None:
        self._connected.discard(connection)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Plan:
        """What to send for a request, which counts from here on."""
        path = path.partition("?")[0]
        asked = Asked(len(self.asked) + 1, path, headers, json.loads(body or b"{}"))
        self.asked.append(asked)
        self._log.write(asked)
        if path not in {"/v1/chat/completions", "/v1/messages"}:
            return [told({"error": {"message": f"There is no {path} here."}}, 404)]
        said = self._faults.get(asked.n) or self._next(asked)
        if isinstance(said, str):
            said = Answer(said)
        plan = said.plan(asked) if isinstance(said, Fault) else speak(asked, said)
        return [Pause(self._delay), *plan] if self._delay else plan

    def _next(self, asked: Asked) -> Said:
        if callable(self._script):
            return self._script(asked)
        if asked.n > len(self._script):
            return Fault("off_script")
        return self._script[asked.n - 1]


class Connection(asyncio.Protocol):
    """One connection, which is kept for as many requests as its client makes."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.went(self)
        if self._timer is not None:
            self._timer.cancel()

    def drop(self) -> None:
        """Let go of the client, whatever it waits for."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._serve()

    def _serve(self) -> None:
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        first, *lines = bytes(self._buffer[:head]).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        end = head + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < end:
            return
        body = bytes(self._buffer[head + 4 : end])
        del self._buffer[:end]
        self._busy = True
        self._play(self._server.answer(first.split(" ")[1], headers, body), 0)

    def _play(self, plan: Plan, at: int) -> None:
        """Send a plan from a place in it; what comes without a pause goes out at once."""
        self._timer = None
        ready: list[bytes] = []
        for number, part in enumerate(plan[at:], at + 1):
            if isinstance(part, bytes):
                ready.append(part)
                continue
            self._transport.write(b"".join(ready))
            if isinstance(part, End):
                self._end(part)
            else:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(part.seconds, self._play, plan, number)
            return
        self._transport.write(b"".join(ready))
        self._busy = False
        if self._buffer:
            self._serve()

    def _end(self, how: End) -> None:
        if how is End.HANG_UP:
            self._transport.close()
        elif how is End.RESET:
            reset(self._transport.get_extra_info("socket"))
            self._transport.abort()


def reset(connection: socket.socket) -> None:
    """Have a connection end with a reset when it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
