"""Addresses where nobody gets as far as a request."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.modelserver.server import reset


def _address(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def shut() -> Iterator[str]:
    """Nobody listens: connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _address(bound)


@contextlib.contextmanager
def full() -> Iterator[str]:
    """Somebody listens and takes no more connections: connecting never ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        waiting = [socket.socket() for _ in range(4)]
        for queued in waiting:
            queued.setblocking(False)
            queued.connect_ex(listening.getsockname())
        yield _address(listening)
        for queued in waiting:
            queued.close()


@contextlib.contextmanager
def slammed() -> Iterator[tuple[str, list[int]]]:
    """Connections are reset as soon as something came, unread. The list grows with each."""
    taken: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_slam, args=(listening, taken), daemon=True)
        thread.start()
        yield _address(listening), taken
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _slam(listening: socket.socket, taken: list[int]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        taken.append(len(connection.recv(1, socket.MSG_PEEK)))
        reset(connection)
        connection.close()
