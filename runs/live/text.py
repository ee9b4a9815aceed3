"""Text as it is produced: what to show of it, and when the record takes its place.

Pieces come over Redis in order, or not at all. They are told apart by step, attempt and epoch; the
journal decides when one is void.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runs.timeline import ENDS, Line

# A worker that begins, begins again or lets go: what an older claim was writing is void.
# The number of such a line is the epoch it is about.
_BEGINS = frozenset({"run.started", "run.recovered"})
_CLAIMS = _BEGINS | {"run.waiting", "run.paused", "run.resumed", "run.reopened"}
_OUTCOMES = frozenset({"step.completed", "step.failed"})


@dataclass(frozen=True, slots=True)
class Piece:
    """What a worker published: the text of an attempt from character ``at`` on."""

    step: str
    attempt: int
    epoch: int
    at: int
    text: str

    @classmethod
    def read(cls, data: bytes) -> Piece | None:
        """The piece in a message; None for what is none of ours."""
        try:
            told = json.loads(data)
            return cls(
                str(told["step"]),
                int(told["attempt"]),
                int(told["epoch"]),
                int(told["at"]),
                str(told["text"]),
            )
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to add from character ``at`` on."""

    step: str
    attempt: int
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Reset:
    """What was shown of this attempt is void; another attempt follows, or another worker."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of the step is recorded and takes the place of its text."""

    step: str
    attempt: int


Change = Delta | Reset | Done


@dataclass(slots=True)
class Shown:
    """The text of one attempt as far as it is known."""

    epoch: int
    attempt: int
    text: str = ""


class Writing:
    """What is being written in one run. Pure: pieces and journal lines in, changes out."""

    def __init__(self) -> None:
        self.texts: dict[str, Shown] = {}
        self._epoch = 0
        # Attempts whose end is recorded: a piece of them that comes late shows nothing.
        self._ended: dict[str, int] = {}
        self._over: set[str] = set()
        self._closed = False

    def take(self, piece: Piece) -> list[Change]:
        """What a piece adds to what is shown."""
        if self._closed or piece.epoch < self._epoch or self._is_over(piece):
            return []
        changes: list[Change] = []
        known = self.texts.get(piece.step)
        if known is not None and (known.epoch, known.attempt) != (piece.epoch, piece.attempt):
            if (known.epoch, known.attempt) > (piece.epoch, piece.attempt):
                return []
            changes.append(Reset(piece.step, known.attempt))
            known = None
        if known is None:
            known = Shown(piece.epoch, piece.attempt)
        if piece.at > len(known.text):
            # Something was lost on the way; the whole follows within seconds.
            return changes
        self.texts[piece.step] = known
        fresh = piece.text[len(known.text) - piece.at :]
        if fresh:
            changes.append(Delta(piece.step, piece.attempt, len(known.text), fresh))
            known.text += fresh
        return changes

    def settle(self, lines: Iterable[Line]) -> list[Change]:
        """What the journal says of texts that are shown."""
        return [change for line in lines for change in self._settle(line)]

    def _settle(self, line: Line) -> list[Change]:
        if line.kind in ENDS:
            self._closed = True
            return self._void(lambda _: True)
        if line.kind in _CLAIMS:
            self._closed = False
            floor = line.n if line.kind in _BEGINS else line.n + 1
            self._epoch = max(self._epoch, floor)
            return self._void(lambda shown: shown.epoch < floor)
        if line.kind in _OUTCOMES:
            self._over.add(line.key)
            shown = self.texts.pop(line.key, None)
            return [Done(line.key, shown.attempt)] if shown else []
        if line.kind == "step.retrying":
            self._ended[line.key] = max(line.n, self._ended.get(line.key, 0))
            return self._void(lambda shown: shown.attempt <= line.n, only=line.key)
        return []

    def _void(self, when: Callable[[Shown], bool], *, only: str = "") -> list[Change]:
        gone = [k for k, s in self.texts.items() if (not only or k == only) and when(s)]
        return [Reset(key, self.texts.pop(key).attempt) for key in gone]

    def _is_over(self, piece: Piece) -> bool:
        return piece.step in self._over or piece.attempt <= self._ended.get(piece.step, 0)
