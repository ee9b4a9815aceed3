"""Agents for a worker inside the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from typing import Any

from agentops import (
    RunContext,
    StepFailed,
    SyncRunContext,
    ToolContext,
    agent,
    mcp_server,
    memory_tools,
    tool,
)
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer

STARTED = threading.Semaphore(0)
GO_ON = threading.Event()


@agent(name="counts")
async def counts(ctx: RunContext, steps: int = 3) -> int:
    total = 0
    for n in range(steps):
        total += await ctx.step(lambda n=n: n, name="add")
    return total


@agent(name="spreads")
async def spreads(ctx: RunContext, width: int) -> int:
    done = await ctx.gather(*(ctx.step(lambda n=n: n, name="one") for n in range(width)))
    return len(done)


@agent(name="plain")
def plain(ctx: SyncRunContext, steps: int = 3) -> list[object]:
    first = [ctx.step(lambda n=n: n, name="one") for n in range(steps)]
    return [*first, *ctx.parallel([lambda c: c.step(lambda: "a", name="a")])]


@agent(name="parent")
async def parent(ctx: RunContext, children: int) -> list[object]:
    spawned = await ctx.gather(*(ctx.spawn(counts, {"steps": 2}) for _ in range(children)))
    return await ctx.gather(*(child.result() for child in spawned))  # type: ignore[attr-defined]


@agent(name="mixes")
async def mixes(ctx: RunContext) -> int:
    """Starts runs and records steps at the same time."""
    asked = [ctx.spawn(counts, {"steps": 1}) for _ in range(4)]
    asked += [ctx.step(lambda: 1, name="beside") for _ in range(8)]  # type: ignore[misc]
    return len(await ctx.gather(*asked))


@agent(name="sleeps")
async def sleeps(ctx: RunContext, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "awake"


@agent(name="listens")
async def listens(ctx: RunContext, times: int = 1) -> list[object]:
    return [await ctx.wait_event("go") for _ in range(times)]


@agent(name="leaves")
async def leaves(ctx: RunContext) -> None:
    async def inner() -> None:
        sys.exit(1)

    await asyncio.create_task(inner())


@agent(name="strange-text")
async def strange_text(ctx: RunContext) -> str:
    ctx.progress("half\0way \ud800", float("nan"))
    await ctx.step(lambda: "a\0b\ud800", name="one", id="x\0y")
    return "\ud800 \\u0000"


@tool(effect="read", retries=0)
async def complains() -> None:
    raise ValueError("unsupported Unicode escape: \\u0000 cannot be converted to text")


@agent(name="quotes-an-error")
async def quotes_an_error(ctx: RunContext) -> None:
    await ctx.call(complains)


@agent(name="large")
async def large(ctx: RunContext, size: int) -> int:
    text = await ctx.step(lambda: os.urandom(size // 2).hex(), name="large")
    await ctx.sleep(0)
    return len(text)


@agent(name="raises")
async def raises(ctx: RunContext) -> None:
    raise RuntimeError("no")


@tool(effect="read", timeout=60)
async def stays() -> str:
    STARTED.release()
    while not GO_ON.is_set():
        await asyncio.sleep(0.01)
    return "stayed"


@tool(effect="once", timeout=60)
async def acts() -> str:
    STARTED.release()
    while not GO_ON.is_set():
        await asyncio.sleep(0.01)
    return "acted"


@agent(name="stays")
async def staying(ctx: RunContext) -> str:
    told = await ctx.call(stays)
    await ctx.step(lambda: 1, name="after")
    return told


@agent(name="acts")
async def acting(ctx: RunContext) -> str:
    return await ctx.call(acts)


@tool(effect="read", retries=0, timeout=0.5, isolation="process")
def spins(seconds: float) -> int:
    border = time.monotonic() + seconds
    while time.monotonic() < border:
        pass
    return os.getpid()


@agent(name="isolated")
async def isolated(ctx: RunContext, seconds: float) -> int:
    return await ctx.call(spins, seconds)


@tool(effect="transactional")
def write(name: str) -> str:
    from agentops.accounts.models import User

    return User.objects.create(username=name).username


@tool(effect="transactional", timeout=0.3)
def write_for_long(name: str) -> str:
    from django.db import connection

    write(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    return name


@agent(name="writes")
async def writes(ctx: RunContext, names: list[str], beside: int) -> None:
    asked = [ctx.call(write, name) for name in names]
    asked += [ctx.step(lambda: "one", name="beside") for _ in range(beside)]
    await ctx.gather(*asked)


@agent(name="writes-too-long")
async def writes_too_long(ctx: RunContext) -> str:
    with contextlib.suppress(StepFailed):
        await ctx.call(write_for_long, "tx-long")
    return await ctx.step(lambda: "went on", name="after")


@tool(effect="read", retries=1, timeout=30)
async def tells(ctx: ToolContext, text: str, fails: bool) -> str:
    for letter in text:
        ctx.stream(letter)
        await asyncio.sleep(0.05)
    if fails and ctx.attempt == 1:
        raise RuntimeError("lost the thread")
    return text.upper()


@agent(name="tells")
async def telling(ctx: RunContext, text: str, fails: bool = False) -> str:
    return await ctx.call(tells, text, fails)


@agent(name="remembers")
async def remembers(ctx: RunContext, message: str) -> str:
    turns = await ctx.conversation()
    return "".join(str(turn.message) for turn in turns) + message


BROKEN: set[str] = set()
CALLS: list[str] = []
KEYS: list[str] = []


@tool(effect="idempotent", retries=0)
async def act(ctx: ToolContext, name: str) -> str:
    if not CALLS:
        KEYS.clear()
    CALLS.append(name)
    KEYS.append(ctx.idempotency_key)
    if name in BROKEN:
        raise ValueError(f"{name} is broken")
    return name


async def _act(ctx: RunContext, name: str) -> str:
    return await ctx.call(act, name, id=name)


@agent(name="chain")
async def chain(ctx: RunContext) -> str:
    return "".join([await _act(ctx, name) for name in "abc"])


@agent(name="chain-and-listens")
async def chain_and_listens(ctx: RunContext) -> str:
    made = "".join([await _act(ctx, name) for name in "ab"])
    await ctx.wait_event("go")
    return made


@agent(name="abreast")
async def abreast(ctx: RunContext) -> list[object]:
    return await ctx.gather(*(_act(ctx, name) for name in "abc"))


@agent(name="tidies")
async def tidies(ctx: RunContext) -> str:
    try:
        await _act(ctx, "b")
    except StepFailed:
        await _act(ctx, "tidy")
        await _act(ctx, "report")
        raise
    await _act(ctx, "report")
    return "done"


@agent(name="family")
async def family(ctx: RunContext) -> object:
    child = await ctx.spawn(chain, {})
    return await child.result()


@agent(name="stumbles")
async def stumbles(ctx: RunContext) -> str:
    made = await _act(ctx, "a")
    if "own" in BROKEN:
        raise RuntimeError("a bug")
    return made


@agent(name="siblings")
async def siblings(ctx: RunContext) -> object:
    child = await ctx.spawn(listens, {})
    await _act(ctx, "b")
    return await child.result()


@tool(effect="read")
def price(item: str) -> int:
    """The price of an item in cents."""
    return len(item)


def part(request: ModelRequest) -> Answer:
    if request.messages[-1].role is Role.TOOL:
        return f"It costs {request.messages[-1].text} cents."
    return ToolUse("one", "price", {"item": "pear"})


@agent(name="shopkeeper", script=part)
async def shopkeeper(ctx: RunContext, route: str = "fast") -> str:
    return await ctx.model("What does a pear cost?", tools=[price], route=route)


@agent(name="narrow", max_running=2)
async def narrow(ctx: RunContext) -> str:
    return await ctx.call(stays)


@agent(name="only-one", max_running=1)
async def only_one(ctx: RunContext, below: int = 0) -> int:
    if not below:
        return 1
    child = await ctx.spawn("only-one", {"below": below - 1})
    return 1 + int(str(await child.result()))


@agent(name="keeps-notes")
async def keeps_notes(
    ctx: RunContext, says: str, scope: str | None = None, times: int = 1
) -> list[object]:
    before = await ctx.memory.get("said", scope=scope)
    revision = 0
    for _ in range(times):
        revision = await ctx.memory.put("said", says, scope=scope)
    found = await ctx.memory.search(says, scope=scope)
    return [before, revision, len(found)]


@agent(name="keeps-notes-plainly")
def keeps_notes_plainly(ctx: SyncRunContext) -> list[object]:
    remember, recall, forget = memory_tools()
    said = ctx.call(remember, "colour", "green")
    found: Any = ctx.call(recall, "green")
    ctx.call(forget, "colour")
    return [said, [[f.key, f.value] for f in found], ctx.memory.get("colour") is None]


# Requests a model got in this process, for agents below.
HEARD: list[ModelRequest] = []
SPEECH = " ".join(f"word{n}" for n in range(60))


def listener(request: ModelRequest) -> Answer:
    HEARD.append(request)
    if request.messages[0].text.startswith("You keep the memory"):
        return "THE-SUMMARY"
    return SPEECH if request.messages[-1].text == "speak" else f"heard-{len(request.messages)}"


@agent(name="confides", script=listener)
async def confides(ctx: RunContext, message: str, route: str = "fast") -> str:
    said = await ctx.model(message, route=route)
    if message.startswith("wait"):
        await ctx.wait_event("go")
    return said


@agent(name="forgets-nothing", script=listener, compact_at=0)
async def forgets_nothing(ctx: RunContext, message: str, route: str = "fast") -> str:
    return await ctx.model(message, route=route)


# Tests give it its folder before its first run.
_shop = mcp_server(
    "shop",
    [sys.executable, "-m", "tests.mcpserver", "stdio"],
    environment=["MCP_TEST_FOLDER", "PYTHONPATH"],
    tools=["refund"],
    timeout=20.0,
)


@agent
async def cashier(ctx: RunContext, order: str) -> object:
    return await ctx.call(_shop.tool("refund"), order=order)
