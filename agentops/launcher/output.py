"""What the person at the terminal sees, and that a lost terminal hurts nobody.

Lines are written by a thread of their own: a reader that pauses (``bin/up | less``) must not stop
the supervision, so lines are dropped and counted instead. A reader that is gone ends everything.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import TextIO

_LINES_WAITING = 10_000
_COLOURS = {"postgres": 34, "valkey": 35, "set-up": 36, "web": 32, "beat": 33}
_WORKER_COLOUR = 36
_NAME_WIDTH = 9


class Output:
    """The terminal, or whatever stands for it."""

    def __init__(self, stream: TextIO, *, as_json: bool, on_closed: Callable[[], object]) -> None:
        self._stream = stream
        self._as_json = as_json
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._on_closed = on_closed
        self._waiting: queue.Queue[str | None] = queue.Queue(_LINES_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="output", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """A line of the launcher's own."""
        self._put(text)

    def pass_on(self, name: str, line: str) -> None:
        """A line of a child."""
        self._put(_as_json(name, line) if self._as_json else self._prefixed(name, line))

    def close(self) -> None:
        """Write what is waiting, for a moment at most."""
        self._put(None)
        self._thread.join(timeout=2)

    def _put(self, line: str | None) -> None:
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _prefixed(self, name: str, line: str) -> str:
        label = f"{name:<{_NAME_WIDTH}}│"
        if self._coloured:
            colour = _COLOURS.get(name, _WORKER_COLOUR)
            label = f"\x1b[{colour}m{label}\x1b[0m"
        return f"{label} {line}"

    def _write(self) -> None:
        try:
            while (line := self._waiting.get()) is not None:
                print(line, file=self._stream, flush=self._waiting.empty())
                if dropped := self._dropped:
                    self._dropped -= dropped
                    print(f"({dropped} lines were not shown)", file=self._stream)
            self._stream.flush()
        except (OSError, ValueError):
            _silence(self._stream)
            self._on_closed()


def _as_json(name: str, line: str) -> str:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    fields = said if isinstance(said, dict) else {"event": line}
    return json.dumps({"process": name, **fields})


def _silence(stream: TextIO) -> None:
    # Otherwise the interpreter complains about the closed stream when it ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if stream is sys.stdout:
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
