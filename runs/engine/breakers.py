"""Circuit breakers: a target that fails again and again is left alone for a while, by all workers.

Counted in the database, so that ten workers do not each need five failures to learn the same;
remembered here for a second, so that a step asks no database. A lost report costs a call too many.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

Query = Callable[..., list[tuple[Any, ...]]]

FAILURES = 5
OPEN_SECONDS = 15.0
LONGEST_SECONDS = 300.0

# The fifth failure in a row opens the circuit; each failure of a trial call doubles the time.
_FAILED = """
INSERT INTO breaker AS b (target, failures, changed_at) VALUES ($1, 1, clock_timestamp())
ON CONFLICT (target) DO UPDATE
   SET failures = b.failures + 1, changed_at = clock_timestamp(),
       open_until = CASE WHEN b.failures + 1 >= $2::int
            AND (b.open_until IS NULL OR b.open_until < clock_timestamp())
            THEN clock_timestamp() + make_interval(secs => least($4::float8,
                     $3::float8 * power(2, least(b.failures + 1 - $2::int, 10))))
            ELSE b.open_until END
"""
_WORKED = "DELETE FROM breaker WHERE target = $1"
_OPEN = """
SELECT target, extract(epoch FROM open_until - clock_timestamp())::float8 FROM breaker
"""


class Breakers:
    """The circuits as this process knows them. ``defer`` runs a duty on the keeper's connection."""

    def __init__(self, defer: Callable[[Callable[[Query], None]], None]) -> None:
        self._defer = defer
        self._known: dict[str, float | None] = {}

    def blocked(self, target: str) -> float:
        """Seconds for which ``target`` is left alone; 0 when it may be called."""
        until = self._known.get(target)
        return max(0.0, until - time.monotonic()) if until is not None else 0.0

    def report(self, target: str, *, worked: bool) -> None:
        """An attempt worked, or failed because of its target."""
        if not worked:
            self._known.setdefault(target, None)
            self._defer(partial(_count_failure, target))
        elif target in self._known:
            del self._known[target]
            self._defer(partial(_forget, target))

    def share(self, query: Query) -> None:
        """Learn what the others found out. Called by the keeper."""
        now = time.monotonic()
        self._known = {
            target: None if seconds is None else now + seconds for target, seconds in query(_OPEN)
        }


def _count_failure(target: str, query: Query) -> None:
    query(_FAILED, target, FAILURES, OPEN_SECONDS, LONGEST_SECONDS)


def _forget(target: str, query: Query) -> None:
    query(_WORKED, target)
