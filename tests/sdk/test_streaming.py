"""Text shown as it is produced, and turns of a conversation, as authors test them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from agentops import Retryable, RunContext, SyncRunContext, ToolContext, Turn, agent, tool
from agentops.testing import run

THEN = datetime(2026, 11, 23, tzinfo=UTC)


@tool(effect="read")
async def drafts(ctx: ToolContext, topic: str) -> str:
    for word in ("About ", topic, "."):
        ctx.stream(word)
    return f"About {topic}."


@tool(effect="read")
def drafts_in_a_thread(ctx: ToolContext, topic: str) -> str:
    other = threading.Thread(target=ctx.stream, args=("from elsewhere",))
    other.start()
    other.join()
    return topic


async def polishes(ctx: ToolContext, text: str) -> str:
    ctx.stream(text.upper())
    return text.upper()


@agent
async def writes(ctx: RunContext, topic: str) -> str:
    draft = await ctx.call(drafts, topic)
    await ctx.call(drafts_in_a_thread, topic)
    return await ctx.step(polishes, draft)


def test_what_tools_and_steps_show_is_collected_by_step() -> None:
    result = run(writes, {"topic": "bolts"})
    assert result.output == "ABOUT BOLTS."
    assert result.streamed == {
        "drafts#1": "About bolts.",
        "drafts_in_a_thread#1": "from elsewhere",
        "polishes#1": "ABOUT BOLTS.",
    }


def test_text_leaves_no_trace_in_the_journal() -> None:
    result = run(writes, {"topic": "bolts"})
    assert [entry.kind for entry in result.journal.entries] == [
        "run.started",
        *["step.completed"] * 3,
    ]


def test_another_attempt_begins_anew() -> None:
    tries: list[int] = []

    @tool(effect="read", retries=1)
    async def stumbles(ctx: ToolContext) -> str:
        tries.append(ctx.attempt)
        ctx.stream("Half a ")
        if ctx.attempt == 1:
            raise Retryable("once more")
        ctx.stream("sentence.")
        return "Half a sentence."

    @agent
    async def goes_on(ctx: RunContext) -> str:
        return await ctx.call(stumbles)

    result = run(goes_on)
    assert tries == [1, 2]
    assert result.streamed == {"stumbles#1": "Half a sentence."}


def test_only_text_is_shown() -> None:
    @tool(effect="read", retries=0)
    async def mistakes(ctx: ToolContext) -> str:
        ctx.stream(b"bytes")  # type: ignore[arg-type]
        return ""

    @agent
    async def calls(ctx: RunContext) -> str:
        return await ctx.call(mistakes)

    result = run(calls)
    assert result.error is not None
    assert "takes text, not bytes" in str(result.error["message"])


def test_a_step_gets_a_context_only_where_it_is_annotated() -> None:
    def named_so(ctx: str) -> str:
        return f"got {ctx}"

    @agent
    async def passes(ctx: RunContext) -> list[object]:
        return [await ctx.step(named_so, "mine"), await ctx.step(lambda ctx="own": ctx, name="l")]

    assert run(passes).output == ["got mine", "own"]


def test_streaming_outside_of_a_run_does_nothing() -> None:
    context = ToolContext(run_id="run_x", key="k#1", attempt=1, deadline=0.0)
    context.stream("nobody")


def test_an_attempt_that_was_given_up_shows_nothing_more() -> None:
    heard: list[str] = []
    context = ToolContext(run_id="r", key="k#1", attempt=1, deadline=0.0, sink=heard.append)
    context.stream("a")
    context.stop()
    context.stream("b")
    assert heard == ["a"]


TURNS = [Turn(f"q{i}", f"a{i}", "succeeded", THEN) for i in range(5)]


@agent
async def remembers(ctx: RunContext, message: str) -> list[str]:
    turns = await ctx.conversation(last=2)
    assert all(turn.at.tzinfo is not None for turn in turns)
    return [f"{turn.message}:{turn.answer}" for turn in turns]


@agent(name="remembers-too")
def remembers_too(ctx: SyncRunContext, message: str) -> list[str]:
    return [f"{turn.message}:{turn.answer}" for turn in ctx.conversation(last=2)]


@pytest.mark.parametrize("which", [remembers, remembers_too])
def test_an_agent_reads_the_last_turns_before_it(which: object) -> None:
    result = run(which, {"message": "and?"}, turns=TURNS)  # type: ignore[arg-type]
    assert result.output == ["q3:a3", "q4:a4"]


def test_turns_are_read_once_and_stay_as_they_were() -> None:
    crashed = run(remembers, {"message": "and?"}, turns=TURNS, crash_after=2)
    crashed.journal.turns[:] = []
    assert run(remembers, {"message": "and?"}, journal=crashed.journal).output == [
        "q3:a3",
        "q4:a4",
    ]


def test_asking_for_no_turns_is_a_mistake() -> None:
    @agent
    async def asks(ctx: RunContext) -> object:
        return await ctx.conversation(last=0)

    result = run(asks)
    assert result.error is not None
    assert "at least one" in str(result.error["message"])
