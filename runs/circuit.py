"""Not calling again and again what does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class Circuit:
    """Calls something that may be out of order, without making callers wait for it twice.

    The caller waits for the call as long as calls succeed. After a failure calls are skipped for
    a pause that doubles up to 30 s; the call that ends a pause is made in a thread of its own, so
    only one caller ever waits for a timeout.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.failures = 0
        self.skipped = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._closed_again_at = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the last call failed."""
        return self._pause > 0

    def call(self, action: Callable[[], object]) -> None:
        """Do ``action`` now, later in a thread, or not at all. Never raises for its failure."""
        if not self.is_open:
            self._attempt(action)
        elif self._may_try():
            threading.Thread(target=self._attempt, args=(action,), daemon=True).start()

    def _may_try(self) -> bool:
        with self._lock:
            may = not self._trying and self._clock() >= self._closed_again_at
            self._trying = self._trying or may
            self.skipped += not may
            return may

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a broker's client raises
            self._failed(error)
        else:
            self._worked()

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self.failures += 1
            self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2 or FIRST_PAUSE_SECONDS)
            self._closed_again_at = self._clock() + self._pause
            self._trying = False
        log.warning("doorbell.silent", bell=self.name, error=str(error), pause_seconds=self._pause)

    def _worked(self) -> None:
        if self.is_open:
            log.info("doorbell.works_again", bell=self.name, skipped=self.skipped)
        with self._lock:
            self._pause = 0.0
            self._trying = False
