"""Who watches what, and the bounded queue between the hub and one socket."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from agentops.accounts.access import Action, Actor, Owned, allows
from agentops.accounts.actors import Reach
from runs.lens import Lens

Frame = dict[str, Any]
QUEUE_LENGTH = 64
MOST_ROWS = 200
# What a socket is closed with, or a topic left, when nobody is signed in or the right is gone.
SIGNED_OUT, RIGHT_LOST = 4401, 4403


@dataclass(frozen=True, slots=True)
class Audience:
    """Those for whom a run's page is drawn alike, so that one drawing serves them all."""

    zone: str
    view: str
    lens: Lens = field(default_factory=Lens)


@dataclass(frozen=True, slots=True)
class ListAudience:
    """Those for whom a list of runs is drawn alike."""

    zone: str
    query: str
    reach: Reach


def encode(frames: list[Frame]) -> str:
    """Frames as one message of the socket."""
    return json.dumps(frames, separators=(",", ":"), ensure_ascii=False)


class Subscriber:
    """One socket. What it cannot take in time is dropped, and it is told to read again."""

    def __init__(self, actor: Actor, *, length: int = QUEUE_LENGTH) -> None:
        self.actor = actor
        self._queue: asyncio.Queue[str] = asyncio.Queue(length)
        self._missed: set[str] = set()
        # Of what does not fit, the newest few are enough: each says all there is to say.
        self._notes: deque[str] = deque(maxlen=8)

    def sees(self, target: Owned) -> bool:
        """Whether it may still be sent news of ``target``."""
        return allows(self.actor, Action.VIEW, target)

    def offer(self, topic: str, text: str) -> None:
        """Queue a message; if the queue is full, drop it and remember the gap."""
        if topic in self._missed:
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._missed.add(topic)

    def mention(self, text: str) -> None:
        """Queue a message that belongs to no topic and is never dropped for others."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._notes.append(text)

    async def next(self) -> str:
        """The next message. After a gap, the one that tells of it, once the queue is empty."""
        if self._queue.empty() and self._missed:
            topics, self._missed = sorted(self._missed), set()
            return encode([{"do": "gap", "topic": topic} for topic in topics])
        if self._queue.empty() and self._notes:
            return self._notes.popleft()
        return await self._queue.get()


@dataclass(slots=True)
class Shown:
    """What one socket shows of a list: its runs, and the newest number it knows of."""

    ids: frozenset[str] = frozenset()
    newest: int | None = None
    told: int = 0

    @classmethod
    def said(cls, said: dict[str, Any]) -> Shown:
        """What a browser says that it shows."""
        ids = said.get("ids")
        known = ids[:MOST_ROWS] if isinstance(ids, list) else []
        return cls(frozenset(map(str, known)), number(said.get("after")))


def number(value: object) -> int | None:
    """A number the browser sent, if it is one."""
    return value if isinstance(value, int) and 0 <= value < 2**53 else None


@dataclass(slots=True)
class Stream:
    """A reader of raw lines, such as an SSE response. ``lagging``: it must read again."""

    after: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)
