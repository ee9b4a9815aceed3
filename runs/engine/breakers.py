"""Circuit breakers: a target that fails again and again is left alone for a while, by all workers.

Counted in the database, so that ten workers do not each need five failures to learn the same;
remembered here for a second, so that a step asks no database. A lost report costs a call too many.

# Note [Half open]

When the time is over one call tries the target, claimed in the database, and everybody else goes
on waiting: a provider that just came back is not met by all who waited for it. A row whose
``changed_at`` is not before its ``open_until`` says that somebody tries, since then. Who dies in
the middle of it is given ``PROBE_SECONDS``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]
Ask = Callable[[Callable[[Query], Rows]], Awaitable[Rows]]

FAILURES = 5
OPEN_SECONDS = 15.0
LONGEST_SECONDS = 300.0
# A day, as for any Retry-After.
LONGEST_ASKED_SECONDS = 86_400.0
PROBE_SECONDS = 30.0
# Those who wait for somebody else's try look again after so long, or less.
LOOK_AGAIN_SECONDS = 3.0

# The fifth failure in a row opens the circuit, and so does a target that says for how long; each
# failure of a trial doubles the time. Late failures of calls from before count no more.
_FAILED = """
INSERT INTO breaker AS b (target, failures, changed_at, open_until)
VALUES ($1, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $5::float8))
ON CONFLICT (target) DO UPDATE
   SET failures = b.failures + (coalesce(b.open_until < clock_timestamp(), true))::int,
       changed_at = clock_timestamp(),
       open_until = CASE
           WHEN b.open_until >= clock_timestamp() OR b.open_until IS NULL AND b.failures + 1 < $2
           THEN greatest(b.open_until, clock_timestamp() + make_interval(secs => $5::float8))
           ELSE clock_timestamp() + make_interval(secs => greatest($5::float8, least($4::float8,
                $3::float8 * power(2, least(greatest(b.failures + 1 - $2::int, 0), 10))))) END
"""
_WORKED = "DELETE FROM breaker WHERE target = $1"
_IS_TRIED = "changed_at >= open_until"
_TRY = f"""
UPDATE breaker SET changed_at = clock_timestamp()
 WHERE target = $1 AND open_until <= clock_timestamp()
   AND NOT ({_IS_TRIED} AND changed_at > clock_timestamp() - make_interval(secs => $2::float8))
RETURNING target
"""
_LET_GO = f"UPDATE breaker SET changed_at = open_until - interval '1 ms' WHERE {_IS_TRIED}"
_ONE = " AND target = $1"
_KNOWN = f"""
SELECT target, extract(epoch FROM open_until - clock_timestamp())::float8,
       CASE WHEN {_IS_TRIED} THEN extract(epoch FROM changed_at - clock_timestamp())::float8 END
  FROM breaker
"""


class _State:
    """A target in trouble, by this process's clock: shut, tried by somebody, or to be tried."""

    def __init__(self, opens: float | None, tried: float | None) -> None:
        now = time.monotonic()
        self._until = None if opens is None else now + opens
        self._tried_until = None if tried is None else now + tried + PROBE_SECONDS

    @property
    def may_be_tried(self) -> bool:
        return self._until is not None and self.rests <= 0

    @property
    def rests(self) -> float:
        now = time.monotonic()
        if self._until is not None and self._until > now:
            return self._until - now
        if self._tried_until is not None and self._tried_until > now:
            return min(LOOK_AGAIN_SECONDS, self._tried_until - now)
        return 0.0


class Breakers:
    """The circuits as this process knows them. ``ask`` and ``defer`` use the keeper."""

    def __init__(self, ask: Ask, defer: Callable[[Callable[[Query], None]], None]) -> None:
        self._ask, self._defer = ask, defer
        self._known: dict[str, _State] = {}

    def blocked(self, target: str) -> float:
        """Seconds for which ``target`` is left alone; 0 when it may be called or tried."""
        state = self._known.get(target)
        return state.rests if state else 0.0

    async def admit(self, target: str) -> float:
        """0 when it may be called now, otherwise the seconds to leave it alone.

        Of all who ask after its time is over, in all workers, one may call. It has to report, or
        to withdraw.
        """
        state = self._known.get(target)
        if state is None or not state.may_be_tried:
            return self.blocked(target)
        if await self._ask(partial(self._try, target)):
            return 0.0
        return self.blocked(target)

    def report(self, target: str, *, worked: bool, after: float | None = None) -> None:
        """An attempt worked, or failed because of its target, which asks for so many seconds."""
        if not worked:
            asked = min(after, LONGEST_ASKED_SECONDS) if after else None
            self._known.setdefault(target, _State(None, None))
            if asked is not None and asked > self.blocked(target):
                # At once: the next step of the same run is sooner than the database.
                self._known[target] = _State(asked, None)
            self._defer(partial(self._count_failure, target, asked))
        elif target in self._known:
            del self._known[target]
            self._defer(partial(self._forget, target))

    def withdraw(self, target: str) -> None:
        """Whoever was let through did not call, or learned nothing: somebody else may try."""
        if target in self._known:
            self._defer(partial(self._let_go, target))

    # -- the keeper's thread ------------------------------------------------------------------

    def share(self, query: Query) -> None:
        """Learn what the others found out. Called by the keeper."""
        self._known = {target: _State(*state) for target, *state in query(_KNOWN)}

    def _try(self, target: str, query: Query) -> Rows:
        taken = query(_TRY, target, PROBE_SECONDS)
        return taken if self._look(target, query) else [(target,)]

    def _count_failure(self, target: str, asked: float | None, query: Query) -> None:
        query(_FAILED, target, FAILURES, OPEN_SECONDS, LONGEST_SECONDS, asked)
        self._look(target, query)

    def _forget(self, target: str, query: Query) -> None:
        query(_WORKED, target)
        self._known.pop(target, None)

    def _let_go(self, target: str, query: Query) -> None:
        query(_LET_GO + _ONE, target)
        self._look(target, query)

    def _look(self, target: str, query: Query) -> bool:
        """Whether the target is still in trouble, as far as anybody knows."""
        found = query(f"{_KNOWN} WHERE target = $1", target)
        for _, *state in found:
            self._known[target] = _State(*state)
        if not found:
            self._known.pop(target, None)
        return bool(found)
