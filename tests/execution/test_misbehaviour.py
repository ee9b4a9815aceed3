"""Whatever author code does, the run ends or waits: it never just stands there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agentops import AgentDefinition, Fatal, Misuse, RunContext, SyncRunContext, agent, tool
from agentops.testing import run


class Odd(BaseException):
    """Neither an Exception nor ours."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@tool(effect="read", retries=0)
async def leaves() -> None:
    sys.exit(3)


@tool(effect="read", retries=0)
def leaves_its_thread() -> None:
    sys.exit(3)


@tool(effect="read", retries=0)
async def raises_odd() -> None:
    raise Odd("odd")


@tool(effect="read", retries=0)
async def cancels_itself() -> None:
    raise asyncio.CancelledError


@tool(effect="read", retries=0)
async def awaits_cancelled_work() -> None:
    inner = asyncio.ensure_future(asyncio.sleep(60))
    inner.cancel()
    await inner


@tool(effect="read", retries=0)
async def cannot_say_why() -> None:
    raise Mute


@pytest.mark.parametrize(
    ("called", "kind"),
    [
        (leaves, "SystemExit"),
        (leaves_its_thread, "SystemExit"),
        (raises_odd, "Odd"),
        (cancels_itself, "CancelledError"),
        (awaits_cancelled_work, "CancelledError"),
        (cannot_say_why, "Mute"),
    ],
)
def test_whatever_a_tool_raises_is_a_failed_step(called: Any, kind: str) -> None:
    @agent
    async def calls(ctx: RunContext) -> None:
        await ctx.call(called)

    result = run(calls)

    assert (result.status, result.stop_reason) == ("failed", "retries_exhausted")
    assert result.error is not None
    assert result.error["kind"] == kind
    assert result.journal.entries[-1].kind == "step.failed"


@agent
async def leaves_at_once(ctx: RunContext) -> None:
    sys.exit(2)


@agent
def leaves_in_a_thread(ctx: SyncRunContext) -> None:
    sys.exit(2)


@agent
def runs_out(ctx: SyncRunContext) -> object:
    return next(iter([]))


@agent
async def cancels_its_own_task(ctx: RunContext) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await ctx.sleep(1)


@agent
async def tells_endlessly(ctx: RunContext) -> None:
    raise ValueError("x" * 9_000_000)


@agent
async def says_nothing(ctx: RunContext) -> None:
    raise Mute


@agent
async def raises_odd_itself(ctx: RunContext) -> None:
    raise Odd("odd")


@pytest.mark.parametrize(
    "bad",
    [
        leaves_at_once,
        leaves_in_a_thread,
        runs_out,
        cancels_its_own_task,
        tells_endlessly,
        says_nothing,
        raises_odd_itself,
    ],
    ids=lambda a: a.name,
)
def test_whatever_an_agent_raises_ends_its_run(bad: AgentDefinition) -> None:
    result = run(bad)

    assert (result.status, result.stop_reason) == ("failed", "agent_error")
    assert len(str(result.error)) < 30_000


def test_a_fallback_with_other_arguments_is_explained_to_the_agent() -> None:
    @tool(effect="read", retries=0)
    async def with_argument(x: int) -> int:
        return x

    @tool(effect="read", retries=0, fallback=with_argument)
    async def without() -> None:
        raise Fatal("no")

    @agent
    async def calls(ctx: RunContext) -> str:
        try:
            await ctx.call(without)
        except Misuse as error:
            return str(error)
        return "no error"

    assert "missing a required argument: 'x'" in str(run(calls).output)


def test_a_result_whose_type_refuses_it_is_given_as_plain_data() -> None:
    class Picky:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: object, handler: object) -> object:
            from pydantic_core import core_schema

            def refuse(value: object) -> object:
                raise RuntimeError

            return core_schema.no_info_plain_validator_function(refuse)

    @tool(effect="read")
    async def returns() -> Picky:
        return {"plain": 1}  # type: ignore[return-value]

    @agent
    async def calls(ctx: RunContext) -> object:
        return await ctx.call(returns)

    assert run(calls).output == {"plain": 1}


@agent
async def swallows(ctx: RunContext) -> str:
    for _ in range(3):
        try:
            await ctx.wait_event("never")
        except BaseException:  # noqa: BLE001 - the point of this agent
            """An agent that thinks it knows better."""
    return "the end"


def test_an_agent_that_swallows_its_suspension_waits_all_the_same() -> None:
    result = run(swallows)

    assert (result.status, result.waiting_for, result.detail) == ("waiting", "event", "never")


@agent
async def leaves_steps_behind(ctx: RunContext) -> str:
    ctx.call(slow)
    ctx.call(slow)
    await ctx.sleep(0)
    return "done"


@tool(effect="read")
async def slow() -> None:
    await asyncio.sleep(60)


def test_an_agent_may_return_while_steps_are_under_way() -> None:
    result = run(leaves_steps_behind)

    assert (result.status, result.output) == ("succeeded", "done")
    assert result.journal.keys() == ["sleep#1"]


@agent
async def asks_twice(ctx: RunContext) -> object:
    return await ctx.gather(ctx.call(slow, id="one"), ctx.call(slow, id="one"))


def test_the_same_id_twice_is_explained() -> None:
    result = run(asks_twice)

    assert result.error is not None
    assert "slow:one is asked for twice. Give each call an id of its own." in str(result.error)


@agent
async def from_another_thread(ctx: RunContext) -> str:
    try:
        await asyncio.to_thread(lambda: ctx.sleep(1))
    except Misuse as error:
        return str(error)
    return "no error"


def test_a_context_used_in_another_thread_says_what_to_do() -> None:
    assert "in the task of the agent" in str(run(from_another_thread).output)


KEPT: list[RunContext] = []


@agent
async def keeps_its_context(ctx: RunContext) -> None:
    KEPT.append(ctx)


def test_a_context_is_of_no_use_after_the_end() -> None:
    from agentops.execution.port import Halt

    KEPT.clear()
    run(keeps_its_context)

    async def use(verb: Callable[[RunContext], object]) -> None:
        verb(KEPT[0])

    def attempt(verb: Callable[[RunContext], object]) -> None:
        asyncio.run(use(verb))

    with pytest.raises(Halt):
        attempt(lambda ctx: ctx.sleep(1))
    with pytest.raises(Halt):
        attempt(lambda ctx: ctx.patched("late"))
    attempt(lambda ctx: ctx.progress("late"))


@agent(max_steps=6_000)
async def fans_out(ctx: RunContext) -> int:
    results = await ctx.gather(*(ctx.step(lambda n=n: n, name="one") for n in range(1500)))
    return sum(int(str(r)) for r in results)


def test_a_wide_fan_out_ends() -> None:
    result = run(fans_out)

    assert result.output == sum(range(1500))
    numbers = sorted(e.seq for e in result.journal.entries)
    assert numbers == list(range(1, len(numbers) + 1))


@agent
async def goes_deep(ctx: RunContext) -> str:
    async def down(level: int) -> str:
        with ctx.branch("a branch with a rather long name for its place"):
            if level:
                return await asyncio.create_task(down(level - 1))
            await ctx.sleep(0)
            return "bottom"

    return await down(150)


def test_keys_stay_short_enough_for_the_database_however_deep_the_branches() -> None:
    result = run(goes_deep)

    assert result.output == "bottom"
    assert max(len(e.key.encode()) for e in result.journal.entries) < 2000


@agent
async def names_with_numbers(ctx: RunContext) -> object:
    return await ctx.step(lambda: 1, name=5, id=7)  # type: ignore[call-overload]


def test_names_and_ids_that_are_not_text_are_made_text() -> None:
    result = run(names_with_numbers)

    assert result.journal.keys() == ["5:7"]
    assert {type(e.name) for e in result.journal.entries} == {str}


@agent
async def strange_id(ctx: RunContext) -> object:
    return await ctx.step(lambda: 1, id="a\0b\ud800")


def test_an_id_that_no_column_takes_is_the_same_on_replay() -> None:
    crashed = run(strange_id, crash_after=2)
    assert crashed.journal.keys() == ["<lambda>:a\N{REPLACEMENT CHARACTER}b?"]

    assert run(strange_id, journal=crashed.journal).status == "succeeded"


@agent
async def tells_strange_progress(ctx: RunContext) -> None:
    ctx.progress("a\0b\ud800", float("nan"))


def test_progress_that_no_column_takes_is_made_printable() -> None:
    told = [e for e in run(tells_strange_progress).journal.entries if e.kind == "run.progress"]

    assert [e.meta for e in told] == [{"text": "a\N{REPLACEMENT CHARACTER}b?"}]
