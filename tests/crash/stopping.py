"""Agents that never rest: every kind of step leaves the moment it began in the outside world."""

from __future__ import annotations

import asyncio
import time

from agentops import RunContext, ToolContext, agent, tool
from agentops.sdk.models import ModelRequest
from tests.crash import world


def begun(kind: str) -> None:
    world.here().act(f"{kind} {time.time():.6f}")


@tool(effect="once")
async def pays() -> None:
    begun("once")
    await asyncio.sleep(0.1)


@tool(effect="once")
def pays_plainly(ctx: ToolContext) -> None:
    begun("plain once")
    time.sleep(0.1)


@tool(effect="idempotent")
async def puts() -> None:
    begun("idempotent")
    await asyncio.sleep(0.1)


@tool(effect="read")
def looks() -> None:
    begun("read")
    time.sleep(0.1)


@tool(effect="transactional")
def books() -> None:
    begun("transactional")
    time.sleep(0.05)


async def thinks() -> None:
    begun("step")
    await asyncio.sleep(0.1)


def says(request: ModelRequest) -> str:
    begun("model")
    return "so it is"


TOOLS = (pays, pays_plainly, puts, looks, books)


@agent(name="restless", script=says, max_steps=100_000)
async def restless(ctx: RunContext, number: int) -> None:
    """Goes on until somebody stops it; runs differ in which kind of step they begin with."""
    for turn in range(number, 50_000):
        which = turn % (len(TOOLS) + 2)
        if which < len(TOOLS):
            await ctx.call(TOOLS[which])
        elif which == len(TOOLS):
            await ctx.step(thinks)
        else:
            await ctx.model("Is it so?")
