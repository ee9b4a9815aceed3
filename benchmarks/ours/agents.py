"""The agents that the benchmarks run. Workers import this module by ``AGENTOPS_AGENTS``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from agentops import RunContext, agent, tool
from agentops.sdk.tools import Verified
from benchmarks.rig import recovery
from benchmarks.rig.bodies import BODIES, StepFunction


@agent
async def bench_body(ctx: RunContext, body: str, spec: dict[str, Any]) -> Any:
    """Any body that runs alike on every system."""

    async def step(name: str, work: StepFunction) -> Any:
        return await ctx.step(work, name=name)

    return await BODIES[body](step, spec)


@tool(effect="read")
async def bench_look(item: str) -> str:
    """Looks something up."""
    return f"There is one {item}."


@agent
async def bench_talk(ctx: RunContext) -> str:
    """Talks with a model that calls a tool between two requests."""
    return await ctx.model("What is there?", tools=[bench_look], route="bench")


@agent
async def bench_wait(ctx: RunContext) -> Any:
    """Waits for a message and ends."""
    return await ctx.wait_event("go")


@agent
async def bench_replay(ctx: RunContext, steps: int) -> dict[str, int]:
    """Records steps of about 1 KB and waits; then tells how long the way back to here took."""
    began = time.monotonic_ns()
    for _ in range(steps):
        await ctx.step(kilobyte)
    await ctx.wait_event("go")
    return {"began": began, "live": await ctx.step(monotonic)}


@agent
async def bench_recovery(ctx: RunContext, spec: dict[str, Any]) -> int:
    """Alternates between effects that must not be doubled and effects that may be repeated."""
    for n in range(spec["steps"]):
        await ctx.call(act_once if recovery.kind_of(n) == "once" else act_again, spec, n)
    recovery.note(spec["log"], spec["run"], spec["steps"], "end")
    return int(spec["steps"])


async def was_done(spec: dict[str, Any], step: int) -> Verified:
    """Looks in the log of effects, as a real tool asks the system that it acted on."""
    lines = await asyncio.to_thread(recovery.read, spec["log"])
    done = any((e.run, e.step, e.kind) == (spec["run"], step, "once") for e in lines)
    return Verified.done(step) if done else Verified.not_done()


@tool(effect="once", verify=was_done)
async def act_once(spec: dict[str, Any], step: int) -> int:
    """An effect that must not be doubled."""
    return await recovery.effect(spec, step)


@tool(effect="idempotent")
async def act_again(spec: dict[str, Any], step: int) -> int:
    """An effect that may be repeated."""
    return await recovery.effect(spec, step)


async def kilobyte() -> str:
    """What a small tool answer looks like."""
    return "0123456789abcdef" * 62


async def monotonic() -> int:
    """When this ran, on the clock that all processes of a machine share."""
    return time.monotonic_ns()


@agent
async def bench_steady(ctx: RunContext, steps: int, per_second: int) -> int:
    """Waits for a message; then records so many steps a second, evenly."""
    await ctx.wait_event("go")
    began = time.monotonic()
    for number in range(1, steps + 1):
        # Late ones are made up for: what counts is how many come in a second.
        await asyncio.sleep(began + number / per_second - time.monotonic())
        await ctx.step(monotonic)
    return steps
