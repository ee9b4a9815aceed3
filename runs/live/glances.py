"""Pages that show sums of everything are told to read parts of themselves again, now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from runs.live.audience import Subscriber, encode

TOPIC = "overview"
# Aggregates change at most so often, however much happens; what only time changes is seen to, too.
GLANCE_SECONDS = 5.0
LONGEST_SECONDS = 60.0
# A page is read at most so long before it watches; what happened in between is told again.
PAINT_SECONDS = 3.0
# Parts of the pages that show sums. A page that lacks one of them reads the others again.
PARTS = [
    "overview-now", "overview-cards", "overview-lists", "rail-running", "rail-inbox",
    "agents-now", "agent-now", "agent-day", "agent-recent", "system",
]  # fmt: skip


class Glances:
    """Who looks at sums, and when they were told last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._watchers: set[Subscriber] = set()
        self._clock = clock
        self._changed = False
        self._told_at = clock()
        self._heard_at = -math.inf

    def watch(self, who: Subscriber) -> None:
        """Tell ``who`` when sums may have changed since their page was read."""
        now = self._clock()
        if not self._watchers:
            self._changed, self._told_at = False, now
        self._changed |= now - self._heard_at < PAINT_SECONDS
        self._watchers.add(who)

    def leave(self, who: Subscriber) -> None:
        """Tell ``who`` no more."""
        self._watchers.discard(who)

    @property
    def watchers(self) -> frozenset[Subscriber]:
        """Who is told."""
        return frozenset(self._watchers)

    def heard(self) -> None:
        """Something happened somewhere."""
        self._changed, self._heard_at = True, self._clock()

    def due_at(self) -> float:
        """When somebody has to be told next."""
        if not self._watchers:
            return math.inf
        return self._told_at + (GLANCE_SECONDS if self._changed else LONGEST_SECONDS)

    def tell(self) -> None:
        """Tell everybody, if it is time."""
        if self._clock() < self.due_at():
            return
        self._changed, self._told_at = False, self._clock()
        text = encode([{"do": "stale", "ids": PARTS}])
        for who in self._watchers:
            who.offer(TOPIC, text)
