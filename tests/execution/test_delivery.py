"""Outcomes reach the agent one at a time, in the order of the record, live and on replay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from agentops import RunContext, SyncRunContext, agent, testing, tool
from agentops.execution.records import Claim, Entry, Phase
from agentops.sdk import codec
from agentops.testing import Journal, MemoryPort, run


@tool(effect="read")
async def after(seconds: float, value: object) -> object:
    await asyncio.sleep(seconds)
    return value


@agent
async def asks_first_and_waits_later(ctx: RunContext, count: int) -> list[object]:
    futures = [ctx.step(lambda n=n: n, name="one") for n in range(count)]
    return [await future for future in reversed(futures)][::-1]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7])
def test_steps_asked_for_early_are_delivered_on_replay(rows: int) -> None:
    crashed = run(asks_first_and_waits_later, {"count": 5}, crash_after=rows)

    result = run(asks_first_and_waits_later, {"count": 5}, journal=crashed.journal)

    assert (result.status, result.output) == ("succeeded", [0, 1, 2, 3, 4])


def test_many_outcomes_nobody_waits_for_yet_need_no_deep_stack() -> None:
    first = run(asks_first_and_waits_later, {"count": 2000})
    journal = Journal(first.journal.entries, version=first.journal.version)

    again = run(asks_first_and_waits_later, {"count": 2000}, journal=journal)

    assert first.output == again.output == list(range(2000))


@agent
async def races(ctx: RunContext) -> list[object]:
    pending = {asyncio.ensure_future(ctx.call(after, s / 100, s)) for s in (3, 1, 2)}
    order: list[object] = []
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        order += [task.result() for task in done]
    return order


def test_first_completed_gives_one_outcome_at_a_time() -> None:
    result = run(races)

    assert result.output == [1, 2, 3]


@pytest.mark.parametrize("rows", range(1, 5))
def test_a_race_takes_the_same_way_after_a_crash(rows: int) -> None:
    crashed = run(races, crash_after=rows)
    known = list(crashed.journal.keys())

    result = run(races, journal=crashed.journal)

    assert result.status == "succeeded"
    assert result.journal.keys()[: len(known)] == known


@agent
async def in_groups(ctx: RunContext) -> list[object]:
    async def one(n: int) -> object:
        first = await ctx.call(after, 0.01 * (3 - n), n)
        return (first, await ctx.call(after, 0, n * 10))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(n)) for n in range(3)]
    return [task.result() for task in tasks]


@pytest.mark.parametrize("rows", range(1, 8))
def test_a_task_group_goes_on_after_a_crash(rows: int) -> None:
    crashed = run(in_groups, crash_after=rows)

    result = run(in_groups, journal=crashed.journal)

    assert result.output == [[0, 0], [1, 10], [2, 20]]
    numbers = sorted(e.seq for e in result.journal.entries)
    assert numbers == list(range(1, len(numbers) + 1))


@agent
async def first_of(ctx: RunContext) -> object:
    name, value = await ctx.first(
        slow=ctx.call(after, 5, "slow"), quick=ctx.call(after, 0, "quick")
    )
    return [name, value, await ctx.call(after, 0, "then")]


@pytest.mark.parametrize("rows", [None, 1, 2, 3])
def test_the_first_wins_and_the_others_are_let_go(rows: int | None) -> None:
    crashed = run(first_of, crash_after=rows)

    result = run(first_of, journal=crashed.journal) if rows else crashed

    assert result.output == ["quick", "quick", "then"]
    assert all(e.key != "after#1" for e in result.journal.entries if e.kind == "step.completed")


@agent
def in_threads(ctx: SyncRunContext) -> list[object]:
    def one(n: int) -> object:
        return lambda c: [c.call(after, 0.01 * (2 - n), n), c.call(after, 0, n * 10)]

    return [ctx.parallel([one(n) for n in range(3)]), ctx.call(after, 0, "end")]  # type: ignore[misc]


@pytest.mark.parametrize("rows", [None, *range(1, 9)])
def test_threads_of_a_plain_agent_go_on_after_a_crash(rows: int | None) -> None:
    crashed = run(in_threads, crash_after=rows)

    result = run(in_threads, journal=crashed.journal) if rows else crashed

    assert result.output == [[[0, 0], [1, 10], [2, 20]], "end"]


@agent
def first_in_threads(ctx: SyncRunContext) -> object:
    winner = ctx.first(
        slow=lambda c: c.call(after, 5, "slow"), quick=lambda c: c.call(after, 0, "quick")
    )
    return [*winner, ctx.call(after, 0, "then")]


@pytest.mark.parametrize("rows", [None, 1, 2, 3])
def test_the_first_thread_wins_and_the_others_stop(rows: int | None) -> None:
    crashed = run(first_in_threads, crash_after=rows)

    result = run(first_in_threads, journal=crashed.journal) if rows else crashed

    assert result.output == ["quick", "quick", "then"]


@agent
async def looks_at_the_clock(ctx: RunContext) -> list[str]:
    seen = [ctx.now().isoformat()]
    await ctx.sleep(60)
    seen.append(ctx.now().isoformat())
    return [*seen, str(ctx.uuid()), str(ctx.uuid()), str(ctx.random().random())]


def test_time_and_chance_are_the_same_on_every_replay() -> None:
    once = run(looks_at_the_clock)
    again = run(looks_at_the_clock, journal=Journal(once.journal.entries, version="x"))

    assert once.output == again.output
    assert isinstance(once.output, list)
    assert once.output[0] < once.output[1]
    assert once.output[2] != once.output[3]


class LatePort(MemoryPort):
    """A journal that says of its rows in any order that they are durable."""

    chance: random.Random

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        written = super().append(claim, entries)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(
            self.chance.uniform(0, 0.01), lambda: told.set_result(written.result())
        )
        return told


@agent
async def as_they_come(ctx: RunContext, count: int) -> list[object]:
    pending = {asyncio.ensure_future(ctx.call(after, 0, n)) for n in range(count)}
    order: list[object] = []
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        order += [task.result() for task in done]
    return order


@pytest.mark.parametrize("seed", range(5))
def test_live_delivery_follows_the_numbers_whatever_is_durable_first(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LatePort, "chance", random.Random(seed), raising=False)
    monkeypatch.setattr(testing, "MemoryPort", LatePort)
    live = run(as_they_come, {"count": 12})
    monkeypatch.undo()

    again = run(as_they_come, {"count": 12}, journal=live.journal)

    numbered = [
        codec.decode(*entry.value)
        for entry in sorted(live.journal.entries, key=lambda entry: entry.seq)
        if entry.phase is Phase.OUTCOME and entry.value
    ]
    assert live.output == again.output == numbered
