"""The pace of providers: token buckets in the database, shared by all workers.

What many steps of this process want in the same moment is taken in one statement. A bucket holds
at most a minute's worth; who wants more than that gets it when the bucket is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agentops.sdk.messages import Usage

Query = Callable[..., list[tuple[Any, ...]]]
Ask = Callable[[Callable[[Query], list[tuple[Any, ...]]]], Awaitable[list[tuple[Any, ...]]]]

# How a run begins to say that it waits for a limit, before the endpoint's name.
PACE = "the pace of "

_BEGIN = """
INSERT INTO limit_bucket (key, level) VALUES ($1, $2::float8) ON CONFLICT (key) DO NOTHING
"""
# Grants the wants in order as far as the level reaches: all of one, or nothing of it.
_TAKE = """
WITH b AS (
    SELECT least($2::float8, level + $2::float8 / 60
                 * greatest(0, extract(epoch FROM clock_timestamp() - changed_at)::float8)) AS have
      FROM limit_bucket WHERE key = $1 FOR UPDATE
), w AS (
    SELECT n, sum(least(want, $2::float8)) OVER (ORDER BY n) AS upto
      FROM unnest($3::float8[]) WITH ORDINALITY AS u(want, n)
), g AS (
    SELECT coalesce(max(n) FILTER (WHERE upto <= have), 0) AS granted,
           coalesce(max(upto) FILTER (WHERE upto <= have), 0) AS taken FROM w, b
)
UPDATE limit_bucket l SET level = b.have - g.taken, changed_at = clock_timestamp()
  FROM b, g WHERE l.key = $1 RETURNING g.granted::int, b.have - g.taken
"""
_ADD = "UPDATE limit_bucket SET level = level + $2::float8 WHERE key = $1"


@dataclass(slots=True)
class _Want:
    amount: float
    granted: asyncio.Future[float]


class _Bucket:
    """One limit. Wants that come while a statement is under way go into the next one."""

    def __init__(self, ask: Ask, key: str, per_minute: float) -> None:
        self._ask, self._key, self.per_minute = ask, key, per_minute
        self._wants: list[_Want] = []
        self._taking: asyncio.Task[None] | None = None
        self._begun = False

    async def take(self, amount: float) -> float:
        """0 when the amount is ours, otherwise the seconds until it may be."""
        want = _Want(amount, asyncio.get_running_loop().create_future())
        self._wants.append(want)
        if self._taking is None:
            self._taking = asyncio.get_running_loop().create_task(self._take())
        return await want.granted

    async def _take(self) -> None:
        try:
            while self._wants:
                wants, self._wants = self._wants, []
                try:
                    granted, left = await self._granted([want.amount for want in wants])
                except Exception as error:  # noqa: BLE001 - raised where it was wanted
                    for want in wants:
                        want.granted.set_exception(error)
                    continue
                self._answer(wants, granted, left)
        finally:
            self._taking = None

    def _answer(self, wants: list[_Want], granted: int, left: float) -> None:
        ahead = 0.0
        for number, want in enumerate(wants):
            if want.granted.done():
                continue
            if number < granted:
                want.granted.set_result(0.0)
            else:
                ahead += min(want.amount, self.per_minute)
                want.granted.set_result(max(0.05, (ahead - left) * 60 / self.per_minute))

    async def _granted(self, amounts: list[float]) -> tuple[int, float]:
        def query(run: Query) -> list[tuple[Any, ...]]:
            if not self._begun:
                run(_BEGIN, self._key, self.per_minute)
                self._begun = True
            return run(_TAKE, self._key, self.per_minute, amounts)

        [(granted, left)] = await self._ask(query)
        return int(granted), float(left)


class Limits:
    """The limits of all endpoints. ``ask`` and ``defer`` use the keeper's connection."""

    def __init__(self, ask: Ask, defer: Callable[[Callable[[Query], None]], None]) -> None:
        self._ask, self._defer = ask, defer
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}

    def known(self, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        """What the endpoints' limits are by now."""
        self._requests = self._kept(self._requests, {n: r for n, (r, _) in limits.items()}, "r")
        self._tokens = self._kept(self._tokens, {n: t for n, (_, t) in limits.items()}, "t")

    def _kept(
        self, buckets: dict[str, _Bucket], limits: dict[str, int | None], kind: str
    ) -> dict[str, _Bucket]:
        kept = {}
        for name, limit in limits.items():
            if limit is None:
                continue
            there = buckets.get(name)
            same = there is not None and there.per_minute == limit
            kept[name] = there if there and same else _Bucket(self._ask, f"{name}/{kind}", limit)
        return kept

    async def take(self, endpoint: str, tokens: int) -> float:
        """0 when a request of about so many tokens may go out now, otherwise seconds to wait."""
        requests, paced = self._requests.get(endpoint), self._tokens.get(endpoint)
        if requests is not None:
            seconds = await requests.take(1)
            if seconds > 0:
                return seconds
        if paced is not None:
            seconds = await paced.take(tokens)
            if seconds > 0 and requests is not None:
                self._defer(partial(_add, f"{endpoint}/r", 1.0))
            return seconds
        return 0.0

    def settle(self, endpoint: str, estimated: int, usage: Usage) -> None:
        """The request is over: give back, or take, what the estimate was wrong by."""
        if endpoint in self._tokens and usage.measured:
            wrong = estimated - usage.input_tokens - usage.output_tokens
            self._defer(partial(_add, f"{endpoint}/t", float(wrong)))


def _add(key: str, amount: float, query: Query) -> None:
    query(_ADD, key, amount)
