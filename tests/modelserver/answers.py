"""What a model says, before it is put into the words of a protocol."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """A tool the model wants called. ``arguments`` as text are sent as they stand."""

    name: str
    arguments: dict[str, object] | str
    id: str = ""

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    ``pieces`` is in how many parts a text is streamed. ``finish`` is stop, length or filtered;
    that tools are wanted shows by itself. ``tokens`` are those read and those written; None when
    the provider does not say.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    signature: str = ""
    finish: str = "stop"
    tokens: tuple[int, int] | None = (11, 7)
    pieces: int = 4

    @property
    def split(self) -> list[str]:
        """The text in its pieces."""
        return cut(self.text, self.pieces)

    def numbered(self) -> list[tuple[str, Call]]:
        """The calls with their ids; those that have none get one."""
        return [(call.id or f"call_{n}", call) for n, call in enumerate(self.calls, 1)]


def cut(text: str, pieces: int) -> list[str]:
    """``text`` in at most so many pieces of the same length."""
    size = max(1, math.ceil(len(text) / max(1, pieces)))
    return [text[at : at + size] for at in range(0, len(text), size)]
