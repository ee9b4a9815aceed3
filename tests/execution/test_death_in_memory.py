"""A worker in memory that dies lets go of everything, whatever its threads are doing."""

from __future__ import annotations

import time

import pytest

from agentops import RunContext, ToolContext, Verified, agent, tool
from agentops.testing import run


def not_sent(ctx: ToolContext, seconds: float) -> Verified:
    return Verified.not_done()


@tool(effect="once", retries=4, verify=not_sent)
def send(ctx: ToolContext, seconds: float) -> str:
    time.sleep(seconds)
    return "sent"


@tool(effect="transactional", retries=3)
def write(ctx: ToolContext, seconds: float) -> str:
    time.sleep(seconds)
    return "written"


@agent
async def at_once(ctx: RunContext, sending: float, writing: float) -> object:
    return await ctx.gather(ctx.call(send, sending), ctx.call(write, writing))


@pytest.mark.timeout(30)
def test_it_ends_while_an_effect_and_a_transaction_are_under_way() -> None:
    for number in range(100):
        given = {"sending": (number % 5) / 2000, "writing": (number % 3) / 1000}
        for rows in range(4):
            crashed = run(at_once, given, crash_after=rows)
            assert run(at_once, given, journal=crashed.journal).output == ["sent", "written"]
