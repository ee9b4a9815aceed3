"""What was said before: the turns of the conversation a run belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """A message and what came of it.

    ``message`` is the text, or the whole input, that was posted; ``answer`` what its run returned
    (None if it did not); ``status`` the final status of that run.
    """

    message: object
    answer: object
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """What was said before a run: its turns from number ``first`` on, and a ``summary`` of those
    before. ``conversation`` is the public id."""

    conversation: str
    first: int
    turns: Sequence[Turn]
    summary: str = ""
