"""Asks a web process how it is, over plain HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

_SECONDS = 5


@dataclass(frozen=True)
class Answer:
    """What the web process said; ``status`` is 0 when it said nothing."""

    status: int = 0
    body: dict[str, object] = field(default_factory=dict)

    @property
    def is_fine(self) -> bool:
        return self.status == 200

    @property
    def missing(self) -> list[str]:
        """The parts that do not answer."""
        if not self.body:
            return ["web"]
        return sorted(name for name, said in self.body.items() if said != "ok")


async def ask(host: str, port: int, path: str) -> Answer:
    """The answer of the server at ``host``:``port``, whoever is in between notwithstanding."""
    try:
        async with asyncio.timeout(_SECONDS):
            return _parse(await _exchange(host, port, path))
    except (OSError, TimeoutError, ValueError):
        return Answer()


async def _exchange(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    said = json.loads(body) if body else {}
    return Answer(int(head.split(b" ", 2)[1]), said if isinstance(said, dict) else {})
