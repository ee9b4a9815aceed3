"""Agents whose steps leave traces in the outside world and can be held at gates."""

from __future__ import annotations

import asyncio
import os
import time

from django.db import connection

from agentops import (
    RunContext,
    StepFailed,
    SyncRunContext,
    ToolContext,
    Verified,
    agent,
    tool,
)
from tests.crash import world

# How long an effect takes before and after it happens; under chaos, long enough to be hit.
PACE_SECONDS = float(os.environ.get("AGENTOPS_TEST_PACE", "0"))


def was_paid(ctx: ToolContext, gate: str = "") -> Verified:
    """Look at the outside world, as a provider's search by idempotency key would."""
    paid = world.here().happened(f"pay_checked {ctx.idempotency_key}")
    return Verified.done("paid") if paid else Verified.not_done()


async def _held(ctx: ToolContext, what: str, gate: str) -> str:
    here = world.here()
    here.act(f"enter {what} {ctx.idempotency_key}")
    while gate and not here.is_open(gate):
        await asyncio.sleep(0.01)
    await asyncio.sleep(PACE_SECONDS)
    here.act(f"{what} {ctx.idempotency_key}")
    await asyncio.sleep(PACE_SECONDS)
    return what


@tool(effect="read", timeout=120, retries=5)
async def look(ctx: ToolContext, gate: str = "") -> str:
    return await _held(ctx, "look", gate)


@tool(effect="idempotent", timeout=120, retries=5)
async def post(ctx: ToolContext, gate: str = "") -> str:
    return await _held(ctx, "post", gate)


@tool(effect="once", timeout=60)
async def pay(ctx: ToolContext, gate: str = "") -> str:
    return await _held(ctx, "pay", gate)


@tool(effect="once", timeout=2)
async def pay_quickly(ctx: ToolContext) -> str:
    return await _held(ctx, "pay_quickly", "")


@tool(effect="once", timeout=60, verify=was_paid)
async def pay_checked(ctx: ToolContext, gate: str = "") -> str:
    return await _held(ctx, "pay_checked", gate)


@tool(effect="transactional", timeout=60, retries=3)
def book(ctx: ToolContext, gate: str = "") -> str:
    here = world.here()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ledger (key) VALUES (%s)", [ctx.idempotency_key])
    here.act(f"enter book {ctx.idempotency_key}")
    if gate:
        here.pass_through(gate)
    return "booked"


@tool(effect="transactional", timeout=60, retries=3)
def keep(ctx: ToolContext, gate: str = "") -> str:
    return f"kept {ctx.memory.put(ctx.run_id, ctx.idempotency_key)}"


@tool(effect="read", timeout=1, retries=0)
def never_returns(ctx: ToolContext) -> str:
    world.here().act(f"enter never_returns {ctx.idempotency_key}")
    time.sleep(3600)
    return "never"


@tool(effect="read", timeout=60)
async def block_the_loop(ctx: ToolContext) -> str:
    here = world.here()
    here.act(f"enter block {ctx.idempotency_key}")
    if here.count("enter block") == 1:
        time.sleep(3600)  # noqa: ASYNC251 - this is what must not be done
    return "went through"


TOOLS = {t.name: t for t in (look, post, pay, pay_quickly, pay_checked, book, keep, block_the_loop)}


@agent(tools=list(TOOLS.values()))
async def clerk(ctx: RunContext, steps: list[str], gate: str = "") -> list[str]:
    """Calls the tools named, one after the other; ``tool!`` waits at the gate inside."""
    done = []
    for name in steps:
        if name == "sleep":
            await ctx.sleep(3.0)
            done.append(name)
            continue
        held = name.endswith("!")
        chosen = TOOLS[name.removesuffix("!")]
        done.append(await ctx.call(chosen, gate) if held else await ctx.call(chosen))
    return done


@agent(tools=[look, pay])
def plain_clerk(ctx: SyncRunContext, gate: str = "") -> list[str]:
    """The same in a plain function."""
    return [ctx.call(look), ctx.call(look, gate), ctx.call(pay)]


@agent(tools=[never_returns, look])
async def patient(ctx: RunContext) -> str:
    """Calls a tool that never comes back, and goes on without it."""
    try:
        await ctx.call(never_returns)
    except StepFailed as error:
        return f"{type(error).__name__}, then {await ctx.call(look)}"
    return "it came back"


@agent
async def listener(ctx: RunContext) -> object:
    """Waits for an event."""
    return await ctx.wait_event("answer")


@agent
async def big(ctx: RunContext, steps: int, size: int) -> int:
    """Records large values that do not compress."""
    return sum([len(await ctx.step(_noise, size, name="noise")) for _ in range(steps)])


def _noise(size: int) -> str:
    return os.urandom(size // 2).hex()


@agent
async def unstorable(ctx: RunContext) -> str:
    """Asks for a step that the database is told to refuse."""
    return await ctx.step(str, "x", name="refused")


@agent(tools=[look])
async def changing(ctx: RunContext, gate: str) -> str:
    """Its second release asks for other steps than its first."""
    if os.environ.get("AGENTOPS_TEST_RELEASE") == "2":
        await ctx.step(str, "x", name="inserted")
    await ctx.call(look)
    return await ctx.call(look, gate)


@agent(tools=[look, post, pay, pay_checked])
async def twelve(ctx: RunContext) -> int:
    """Twelve steps, four of them effects of class once, and a durable sleep."""
    done = 0
    for group in range(4):
        await ctx.call(look)
        done += 1
        await ctx.call(post)
        done += 1
        await ctx.call(pay if group % 2 else pay_checked)
        done += 1
        if group == 1:
            await ctx.sleep(3.0)
    return done
