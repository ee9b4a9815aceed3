"""Random agents: small programs of steps, and how an agent plays one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from agentops import (
    Retryable,
    RetryPolicy,
    RunContext,
    StepFailed,
    SyncRunContext,
    ToolContext,
    ToolError,
    agent,
    tool,
)
from agentops.sdk.agents import AgentDefinition

# How long steps take differs from one execution to the next: that is what replay has to stand.
_chance = Random()


@tool(effect="read", retry=RetryPolicy(attempts=4, base_seconds=0.001, cap_seconds=0.002))
async def work(ctx: ToolContext, name: str, failures: int, fatal: bool) -> str:
    for _ in range(_chance.randrange(4)):
        await asyncio.sleep(0)
    if fatal:
        raise ToolError(f"{name} cannot be done")
    if ctx.attempt <= failures:
        raise Retryable("not yet")
    return name


@dataclass(frozen=True)
class Node:
    """A piece of an agent. ``kind`` says how ``parts`` are played."""

    kind: str
    name: str = ""
    parts: tuple[Node, ...] = ()
    failures: int = 0

    @property
    def is_race(self) -> bool:
        return self.kind == "first" or any(part.is_race for part in self.parts)

    @property
    def size(self) -> int:
        return 1 + sum(part.size for part in self.parts)


def leaves() -> st.SearchStrategy[Node]:
    names = st.sampled_from("abc")
    return st.one_of(
        st.builds(Node, st.just("call"), names, failures=st.sampled_from([0, 0, 0, 1, 2])),
        st.builds(Node, st.sampled_from(["fatal", "sleep", "clock", "chance"]), names),
    )


def _groups(inner: st.SearchStrategy[Node], kinds: list[str]) -> st.SearchStrategy[Node]:
    parts = st.lists(inner, min_size=1, max_size=4).map(tuple)
    return st.builds(Node, st.sampled_from(kinds), st.sampled_from("xy"), parts)


def programs(*, plain: bool = False) -> st.SearchStrategy[Node]:
    """Programs for ``async def`` agents, or for plain ones."""
    kinds = ["sequence", "gather", "branch", "try"]
    kinds += ["first"] if plain else ["group", "first"]
    deep = st.recursive(leaves(), lambda inner: _groups(inner, kinds), max_leaves=10)
    body = st.lists(deep, min_size=1, max_size=4).map(tuple)
    return body.map(lambda parts: Node("sequence", parts=parts))


# -- async agents ---------------------------------------------------------------------------------


async def play(ctx: RunContext, node: Node) -> object:
    """What the program does; the value depends on every outcome and on their order in a race."""
    return await _PLAYERS[node.kind](ctx, node)


async def _call(ctx: RunContext, node: Node) -> object:
    return await ctx.call(work, node.name, node.failures, node.kind == "fatal")


async def _inserted(ctx: RunContext, node: Node) -> object:
    return await ctx.step(str, "new", name="inserted")


async def _sleep(ctx: RunContext, node: Node) -> object:
    await ctx.sleep(60)
    return "slept"


async def _clock(ctx: RunContext, node: Node) -> object:
    return ctx.now().isoformat()


async def _chances(ctx: RunContext, node: Node) -> object:
    return [ctx.random().randrange(1000), str(ctx.uuid())]


async def _sequence(ctx: RunContext, node: Node) -> object:
    return [await play(ctx, part) for part in node.parts]


async def _gather(ctx: RunContext, node: Node) -> object:
    return await ctx.gather(*(play(ctx, part) for part in node.parts))


async def _group(ctx: RunContext, node: Node) -> object:
    try:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(play(ctx, part)) for part in node.parts]
    except* StepFailed as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in made]


async def _first(ctx: RunContext, node: Node) -> object:
    branches = {f"b{n}": play(ctx, part) for n, part in enumerate(node.parts)}
    return list(await ctx.first(**branches))


async def _branch(ctx: RunContext, node: Node) -> object:
    with ctx.branch(node.name):
        return await _sequence(ctx, node)


async def _try(ctx: RunContext, node: Node) -> object:
    try:
        return await _sequence(ctx, node)
    except StepFailed as error:
        return f"{type(error).__name__}: {error}"


_PLAYERS: dict[str, Callable[[RunContext, Node], Awaitable[object]]] = {
    "call": _call, "fatal": _call, "sleep": _sleep, "clock": _clock, "chance": _chances,
    "sequence": _sequence, "gather": _gather, "group": _group, "first": _first,
    "branch": _branch, "try": _try, "inserted": _inserted,
}  # fmt: skip


# -- plain agents ---------------------------------------------------------------------------------


def play_plainly(ctx: SyncRunContext, node: Node) -> object:
    """The same in a plain function."""
    match node.kind:
        case "call" | "fatal":
            return ctx.call(work, node.name, node.failures, node.kind == "fatal")
        case "sleep":
            ctx.sleep(60)
            return "slept"
        case "clock":
            return ctx.now().isoformat()
        case "chance":
            return [ctx.random().randrange(1000), str(ctx.uuid())]
        case "gather":
            return ctx.parallel([_bound(part) for part in node.parts])
        case "first":
            return list(ctx.first(**{f"b{n}": _bound(part) for n, part in enumerate(node.parts)}))
        case "try":
            try:
                return [play_plainly(ctx, part) for part in node.parts]
            except StepFailed as error:
                return f"{type(error).__name__}: {error}"
        case "branch":
            with ctx.branch(node.name):
                return [play_plainly(ctx, part) for part in node.parts]
    return [play_plainly(ctx, part) for part in node.parts]


def _bound(node: Node) -> Callable[[SyncRunContext], object]:
    return lambda ctx: play_plainly(ctx, node)


# -- agents ---------------------------------------------------------------------------------------


def player(program: Node, on_code_change: str = "verify") -> AgentDefinition:
    """An agent that plays the program."""

    @agent(tools=[work], max_steps=10_000, on_code_change=on_code_change)
    async def plays(ctx: RunContext) -> object:
        return await play(ctx, program)

    return plays


def plain_player(program: Node) -> AgentDefinition:
    """A plain agent that plays the program."""

    @agent(tools=[work], max_steps=10_000)
    def plays(ctx: SyncRunContext) -> object:
        return play_plainly(ctx, program)

    return plays


def changed(program: Node) -> Node:
    """The same program with one more step before all others."""
    return replace(program, parts=(Node("inserted"), *program.parts))
