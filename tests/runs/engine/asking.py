"""Agents that ask models, and the servers they ask, beside a worker inside the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agentops import RunContext, agent, tool
from tests.modelserver import ModelServer
from tests.modelserver.server import Script


@tool(effect="read")
def look(at: str) -> str:
    """See what is there."""
    return "blue"


@agent(name="asks")
async def asks(
    ctx: RunContext, prompt: str = "What colour is the sky?", timeout: float = 60.0
) -> str:
    """Asks the route “table”."""
    return await ctx.model(prompt, route="table", tools=[look], timeout=timeout)


@agent(name="asks-and-sleeps")
async def asks_and_sleeps(ctx: RunContext) -> str:
    """Asks, and is taken up again later."""
    said = await ctx.model("What colour is the sky?", route="table")
    await ctx.sleep(3)
    return said


@contextmanager
def serving(script: Script, delay: float = 0.0) -> Iterator[ModelServer]:
    """A server of models in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="models")
    thread.start()
    server = ModelServer(script, delay=delay)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
