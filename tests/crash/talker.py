"""An agent of a conversation: it knows what was said before."""

from __future__ import annotations

from agentops import RunContext, agent


@agent
async def talker(ctx: RunContext, message: str) -> str:
    """Answers, with the turns before in mind."""
    earlier = await ctx.conversation()
    return f"{len(earlier)} before: " + await ctx.model(message, route="table")
