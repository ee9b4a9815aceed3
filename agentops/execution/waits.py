"""What a run waits for without holding a worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agentops.execution.port import Suspended

# Which wait a person should read about first when there are several.
_ORDER = (
    "operator",
    "approval",
    "answer",
    "credential",
    "budget",
    "event",
    "child",
    "retry",
    "timer",
)

# Waits shorter than this stay in memory: suspending costs more than they last.
LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that goes on at ``due``, with a message called ``message``, or by a person."""

    key: str
    kind: str
    due: datetime | None = None
    message: str | None = None
    detail: str = ""


class Waits:
    """The waits of one execution."""

    def __init__(self) -> None:
        self._waits: dict[str, Wait] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, wait: Wait) -> None:
        self._waits[wait.key] = wait

    def drop(self, key: str) -> None:
        self._waits.pop(key, None)

    def get(self, key: str) -> Wait | None:
        return self._waits.get(key)

    def waiting_for(self, message: str) -> Wait | None:
        """The wait that asked first for messages of this name."""
        return next((w for w in self._waits.values() if w.message == message), None)

    def next_due(self) -> datetime | None:
        """The earliest time at which one of them goes on."""
        return min((w.due for w in self._waits.values() if w.due), default=None)

    @property
    def ask_operator(self) -> bool:
        """Whether one of them has a question only a person can answer."""
        return any(wait.kind == "operator" for wait in self._waits.values())

    def suspension(self, seen: int) -> Suspended:
        """How to store a run that has only these waits left."""
        first = min(self._waits.values(), key=lambda wait: _ORDER.index(wait.kind))
        return Suspended(first.kind, first.detail, self.next_due(), seen)
