"""The smallest agent there is."""

from __future__ import annotations

from agentops import RunContext, agent, tool


@tool(effect="read")
async def greeting_for(name: str) -> str:
    """The words to greet somebody with."""
    return f"Hello, {name}!"


@agent(tools=[greeting_for])
async def hello(ctx: RunContext, name: str = "world") -> str:
    """Greet somebody, one durable step at a time."""
    words = await ctx.call(greeting_for, name)
    await ctx.sleep(2)
    return words
