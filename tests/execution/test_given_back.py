"""An event that comes for a wait the agent gave up is not lost, live and on replay."""

from __future__ import annotations

import asyncio

from agentops import RunContext, agent
from agentops.execution.records import Entry
from agentops.testing import Journal, run


async def _nothing() -> None:
    """Work that takes no time."""


@agent(version="1")
async def impatient(ctx: RunContext) -> object:
    """Gives a wait up in the moment its event is recorded, and waits again."""
    work = asyncio.ensure_future(ctx.step(_nothing))
    first = asyncio.ensure_future(ctx.wait_event("go"))
    await work
    assert not first.done()
    first.cancel()
    return await ctx.wait_event("go")


def test_the_next_wait_gets_it() -> None:
    journal = Journal()
    journal.send("go", {"count": 1})
    result = run(impatient, journal=journal)
    assert (result.status, result.output) == ("succeeded", {"count": 1})


def test_it_is_given_back_on_replay_as_well() -> None:
    for rows in range(8):
        journal = Journal()
        journal.send("go", {"count": 1})
        result = run(impatient, journal=journal, crash_after=rows)
        result = run(impatient, journal=result.journal)
        assert (result.status, result.output) == ("succeeded", {"count": 1})
        assert [e.seq for e in _sorted(result.journal)] == list(
            range(1, len(result.journal.entries) + 1)
        )


def _sorted(journal: Journal) -> list[Entry]:
    return sorted(journal.entries, key=lambda entry: entry.seq)


@agent(version="1")
async def child(ctx: RunContext) -> int:
    return 7


@agent(version="1")
async def asks_twice(ctx: RunContext) -> object:
    """Reads the result of a child in two places."""
    started = await ctx.spawn(child)
    work = asyncio.ensure_future(ctx.step(_nothing))
    early = asyncio.ensure_future(started.result())
    await work
    early.cancel()
    return await started.result()


def test_a_childs_result_can_be_read_again() -> None:
    result = run(asks_twice, children=lambda name, given: 7)
    assert (result.status, result.output) == ("succeeded", 7)
