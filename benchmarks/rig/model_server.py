"""A model on loopback: answers every POST after a fixed time, in a process of its own.

``python -m benchmarks.rig.model_server SECONDS`` prints its address and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWER = b'{"tool": "lookup", "arguments": {"id": 7}}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
) + ANSWER


class Model(asyncio.Protocol):
    """One connection; requests on it come one at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self.received = b""
            asyncio.get_running_loop().call_later(self.seconds, self.transport.write, REPLY)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


@contextmanager
def model_server(seconds: float) -> Iterator[str]:
    """The address of a model that takes so long for each answer."""
    command = [sys.executable, "-m", "benchmarks.rig.model_server", str(seconds), str(os.getpid())]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().decode().strip()
        finally:
            server.kill()


async def serve(seconds: float, parent: int) -> None:
    """Listens on a free port until the process that asked for it is gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Model(seconds), "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1/chat", flush=True)
    while os.getppid() == parent:
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2])))
