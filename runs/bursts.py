"""Making one call of many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Burst(Generic[T]):
    """Hands over things as they come: the first at once, what follows within a moment together.

    One thing alone is never late, and a thousand in a second cost no more than a few calls.
    """

    def __init__(
        self,
        hand_over: Callable[[list[T]], None],
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hand_over, self._seconds, self._clock = hand_over, seconds, clock
        self._lock = threading.Lock()
        self._kept: list[T] = []
        self._last = float("-inf")
        self._waiting = False

    def add(self, things: Iterable[T]) -> None:
        """Hand over ``things`` now or in a moment."""
        with self._lock:
            self._kept += things
            wait = self._last + self._seconds - self._clock()
            if self._waiting or not self._kept:
                return
            self._waiting = True
        if wait <= 0:
            self._flush()
        else:
            # Not a daemon: a process that ends in this moment still hands over what it has.
            threading.Timer(wait, self._flush).start()

    def _flush(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, []
            self._last = self._clock()
            self._waiting = False
        self._hand_over(kept)
