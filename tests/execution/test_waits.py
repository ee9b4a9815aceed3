"""Waits hold no worker; timers fire while steps are under way; attempts are counted right."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from agentops import EventTimeout, Missing, Retryable, RunContext, agent, tool
from agentops.execution.records import Message
from agentops.execution.stepping import Stepping
from agentops.execution.waits import Waits
from agentops.sdk import codec
from agentops.testing import BEGINNING, run


@tool(effect="read", timeout=30)
async def takes(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@agent
async def bounded(ctx: RunContext) -> str:
    name, _ = await ctx.first(work=ctx.call(takes, 20), late=ctx.sleep(0.3))
    return name


def test_a_timer_fires_while_a_step_is_under_way() -> None:
    begun = time.monotonic()

    assert run(bounded).output == "late"
    assert time.monotonic() - begun < 10


@agent
async def naps(ctx: RunContext) -> int:
    for _ in range(20):
        await ctx.sleep(0.9)
    return 20


def test_short_sleeps_end_and_cost_a_test_no_time() -> None:
    begun = time.monotonic()
    result = run(naps)

    assert (result.status, result.output) == ("succeeded", 20)
    assert result.journal.now >= BEGINNING + timedelta(seconds=18)
    assert time.monotonic() - begun < 10


@agent
async def patient(ctx: RunContext) -> object:
    try:
        return await ctx.wait_event("answer", timeout=3600)
    except EventTimeout:
        return "too late"


def test_an_event_is_waited_for_until_its_time() -> None:
    assert run(patient, events={"answer": 42}).output == 42
    assert run(patient).output == "too late"


CALLS: list[int] = []


@tool(effect="read", retries=2)
async def fails_twice() -> int:
    CALLS.append(1)
    if len(CALLS) < 3:
        raise Retryable("not yet", after=30)
    return len(CALLS)


@agent
async def retries(ctx: RunContext) -> int:
    return await ctx.call(fails_twice)


@pytest.mark.parametrize("rows", [None, 1, 2, 3, 4])
def test_a_long_pause_is_a_wait_and_survives_a_crash(rows: int | None) -> None:
    CALLS.clear()
    result = run(retries, crash_after=rows)
    if result.status == "running":
        result = run(retries, journal=result.journal)

    assert result.status == "succeeded"
    assert result.journal.now >= BEGINNING + timedelta(seconds=30)
    failed = [e.n for e in result.journal.entries if e.kind == "step.retrying"]
    assert failed == sorted(set(failed))
    assert failed


@tool(effect="read", retries=0, optional=True)
async def optional() -> int:
    raise ValueError("out of order")


@agent
async def degrades(ctx: RunContext) -> str:
    value = await ctx.call(optional)
    assert isinstance(value, Missing)
    return value.reason


def test_an_optional_tool_gives_way_and_the_run_says_so() -> None:
    result = run(degrades)

    assert (result.output, result.degraded) == ("out of order", ("optional",))


def test_a_message_that_is_read_twice_is_taken_once() -> None:
    class Replay:
        def __init__(self) -> None:
            self.taken: list[int] = []

        def add_messages(self, messages: list[Message]) -> None:
            self.taken += [m.n for m in messages]

    class Whole:
        replay = Replay()

    stepping = Stepping.__new__(Stepping)
    stepping._x, stepping.seen = Whole(), 0  # type: ignore[assignment]
    stepping.waits = Waits()
    messages = [Message(n, "go", codec.NULL) for n in (1, 2)]

    stepping.receive(messages, 1)
    stepping.receive(messages[1:], 2)

    assert Whole.replay.taken == [1, 2]
