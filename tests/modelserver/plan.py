"""What goes over the wire for one answer, and when: bytes, pauses, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class End(Enum):
    """How an answer ends that does not end well."""

    HANG_UP = "the connection is closed"
    RESET = "the connection is reset"
    SILENCE = "nothing more comes, for as long as the client waits"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so long."""

    seconds: float


Plan = Sequence[bytes | Pause | End]

_REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 429: b"Too Many Requests"}


def whole(
    body: bytes,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    kind: str = "application/json",
) -> bytes:
    """A response with its length."""
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Status"))]
    lines += [b"content-type: " + kind.encode(), b"content-length: %d" % len(body)]
    lines += [f"{name}: {value}".encode() for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def told(value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A response that holds a value as JSON."""
    return whole(json.dumps(value).encode(), status, headers)


BEGINNING = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
ENDING = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a stream."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(events: Iterable[bytes]) -> list[bytes]:
    """A stream from its beginning to its end, an event to a piece."""
    return [BEGINNING, *(chunk(event) for event in events), ENDING]
