"""A help desk as anybody writes it with Pydantic AI, without a thought of where it will run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable

from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import ProcessEventStream
from pydantic_ai.messages import AgentStreamEvent, PartDeltaEvent, TextPartDelta
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

MODEL = OpenAIChatModel(
    "tour", provider=OpenAIProvider(base_url=os.environ.get("DESK_URL"), api_key="none")
)


async def tell(ctx: RunContext[object], events: AsyncIterable[AgentStreamEvent]) -> None:
    """Print the answer as it comes."""
    async for event in events:
        if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
            print(event.delta.content_delta, end="", flush=True)


desk = Agent(
    MODEL,
    name="help_desk",
    description="Looks an order up, reserves what it needs, and writes to the customer.",
    instructions="Help.",
    capabilities=[ProcessEventStream(tell)],
)


def _happens(what: str) -> None:
    """One write is one line, there or not, whatever becomes of the process."""
    path = os.environ["DESK_EFFECTS"]
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{what}\n".encode())
    finally:
        os.close(descriptor)


@desk.tool
async def look_up(ctx: RunContext[object], order: str) -> str:
    """Find an order."""
    _happens(f"look_up {ctx.tool_call_id}")
    return f"{order}: two bolts"


@desk.tool
def reserve(ctx: RunContext[object], item: str) -> int:
    """Put something aside; the call's id makes a repetition harmless."""
    _happens(f"reserve {ctx.tool_call_id}")
    return 2


@desk.tool
async def send(ctx: RunContext[object], to: str) -> str:
    """Send a letter."""
    _happens(f"send {ctx.tool_call_id}")
    return "sent"
