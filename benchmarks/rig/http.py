"""The bare HTTP client that every system's model step uses: kept connections, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Per event loop, because a connection belongs to the loop that opened it.
_idle: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, list[Connection]]]
_idle = WeakKeyDictionary()


async def post(url: str, body: object, headers: str = "") -> Any:
    """The decoded JSON answer to a POST; raises ConnectionError on any other answer."""
    data = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "Content-Type: application/json\r\n"
    return await _exchange("POST", url, f"{kind}{headers}Content-Length: {len(data)}\r\n", data)


async def get(url: str, headers: str = "") -> Any:
    """The decoded JSON answer to a GET; raises ConnectionError on any other answer."""
    return await _exchange("GET", url, headers, b"")


async def _exchange(method: str, url: str, headers: str, data: bytes) -> Any:
    parts = urlsplit(url)
    idle = _idle.setdefault(asyncio.get_running_loop(), defaultdict(list))[parts.netloc]
    connection = idle.pop() if idle else await _connect(parts.hostname, parts.port)
    head = f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n"
    connection[1].write(head.encode() + data)
    answer = await _answer(connection[0])
    idle.append(connection)
    return answer


async def _connect(host: str | None, port: int | None) -> Connection:
    return await asyncio.open_connection(host, port, limit=2**24)


async def _answer(reader: asyncio.StreamReader) -> Any:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = head[9:12]
    body = await _body(reader, head)
    if not status.startswith(b"2"):
        raise ConnectionError(f"the answer was {status.decode()}: {body[:500]!r}")
    return json.loads(body) if body else None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return await reader.readexactly(int(value))
        if name == b"transfer-encoding" and value.strip() == b"chunked":
            return await _chunks(reader)
    return b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return found
