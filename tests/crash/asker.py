"""An agent that asks a route of two models, the first of which refuses."""

from __future__ import annotations

from agentops import RunContext, ToolContext, agent, tool
from tests.crash import world


@tool(effect="read")
def look(ctx: ToolContext, at: str) -> str:
    """See what is there."""
    world.here().act(f"look {ctx.idempotency_key}")
    return "blue"


@agent
async def asker(ctx: RunContext) -> str:
    """Asks, looks, and asks again."""
    return await ctx.model("What colour is the sky?", route="table", tools=[look])
