"""An agent that shows its text while it writes and remembers what was said; it needs no model."""

from __future__ import annotations

import asyncio

from agentops import RunContext, ToolContext, agent, tool

# A word every so often, as models produce them.
SECONDS_PER_WORD = 0.12
LONGEST_WISH = 200

_STORY = (
    "You asked for a story about {wish}. Nobody in the office had ever seen {wish} at work, so "
    "when it came through the door on a Monday morning, everybody looked up. It put down its bag, "
    "asked for the longest queue in the house and began. By noon the queue was short. By three it "
    "was gone. “How did you do that?” they asked. “One after the other,” it said, “and I wrote "
    "down each step before I took the next.” That is all there is to it."
)
_BEFORE = "This is the story after the one about {wish}. "


@tool(effect="read", timeout=60)
async def tell(ctx: ToolContext, wish: str, before: str) -> str:
    """Tell a story word by word."""
    text = (_BEFORE.format(wish=before) if before else "") + _STORY.format(wish=wish)
    for word in text.split(" "):
        ctx.stream(word + " ")
        await asyncio.sleep(SECONDS_PER_WORD)
    return text


@agent(tools=[tell])
async def storyteller(ctx: RunContext, message: str) -> str:
    """Tell a story about what you name, word by word, and remember the one before."""
    earlier = await ctx.conversation(last=1)
    before = _wish(str(earlier[-1].message)) if earlier else ""
    return await ctx.call(tell, _wish(message), before)


def _wish(message: str) -> str:
    """What a message names, short enough for a sentence."""
    return " ".join(message.split())[:LONGEST_WISH] or "nothing in particular"
