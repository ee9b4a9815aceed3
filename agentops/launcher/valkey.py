"""The runtime's own Valkey: broker of bells, on a Unix socket only."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

SOCKET = "valkey.sock"
_LEFTOVER_SECONDS = 30


@dataclass(frozen=True)
class Valkey:
    """A server that keeps its data in ``data`` and its socket in ``sockets``."""

    program: Path
    data: Path
    sockets: Path
    durable: bool = True

    death_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return url(self.sockets)

    @property
    def command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.sockets / SOCKET),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "maxmemory-policy": "noeviction",
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "loglevel": "warning",
        }
        return [str(self.program), *(part for k, v in settings.items() for part in (f"--{k}", v))]

    def end_leftover(self) -> None:
        """Stop a server that outlived its launcher (possible where the kernel cannot watch)."""
        give_up_at = time.monotonic() + _LEFTOVER_SECONDS
        while self.answers() and time.monotonic() < give_up_at:
            self._ask(b"SHUTDOWN\r\n")
            time.sleep(0.05)

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def answers(self) -> bool:
        """Whether the server accepts commands (it does not while it loads its data)."""
        return self._ask(b"PING\r\n").startswith(b"+PONG")

    def _ask(self, command: bytes) -> bytes:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.sockets / SOCKET))
            connection.sendall(command)
            return connection.recv(64)
        return b""


def url(sockets: Path) -> str:
    return f"unix://{sockets / SOCKET}?db=0"
