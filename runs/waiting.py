"""Waiting for the end of a run, for callers that cannot follow it."""

from __future__ import annotations

import threading
import time

from django.db import connection

from runs.models import Run

LONGEST_SECONDS = 55.0
# Every wait occupies a thread; who comes when all are taken is told to poll at once.
MOST_AT_ONCE = 64
_FIRST_PAUSE_SECONDS = 0.03
_LONGEST_PAUSE_SECONDS = 1.0

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def until_ended(run_id: int, *, seconds: float) -> bool:
    """Whether the run has ended, looked at until it has or the time is over.

    Between looks no database connection is held.
    """
    if not _places.acquire(blocking=False):
        return _ended(run_id)
    try:
        return _poll(run_id, time.monotonic() + min(seconds, LONGEST_SECONDS))
    finally:
        _places.release()


def _poll(run_id: int, border: float) -> bool:
    pause = _FIRST_PAUSE_SECONDS
    while not _ended(run_id):
        left = border - time.monotonic()
        if left <= 0:
            return False
        if not connection.in_atomic_block:
            connection.close()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    return True


def _ended(run_id: int) -> bool:
    return Run.objects.filter(pk=run_id, finished_at__isnull=False).exists()
