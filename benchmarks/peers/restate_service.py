"""The service that Restate's server calls; one process under hypercorn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import restate
from restate import Context, RunOptions, Service, Workflow, WorkflowContext, WorkflowSharedContext

from benchmarks.rig.bodies import BODIES, StepFunction

bench = Service("Bench")
wait = Workflow("Wait")


@bench.handler()
async def run(ctx: Context, asked: dict[str, Any]) -> Any:
    """Any body of the benchmark; a step is a side effect that Restate journals."""

    async def step(name: str, work: StepFunction) -> Any:
        return await ctx.run_typed(name, work, RunOptions())

    return await BODIES[asked["body"]](step, asked["spec"])


@wait.main(inactivity_timeout=timedelta(seconds=1))
async def main(ctx: WorkflowContext) -> str:
    """Waits for its message and is suspended a second later."""
    return await ctx.promise("go", type_hint=str).value()


@wait.handler()
async def go(ctx: WorkflowSharedContext, message: str) -> None:
    """The message."""
    await ctx.promise("go", type_hint=str).resolve(message)


app = restate.app([bench, wait])
