"""``ctx.memory`` without a database: the rules, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agentops import (
    Misuse,
    PayloadError,
    PayloadTooLarge,
    RunContext,
    SyncRunContext,
    ToolContext,
    agent,
    memory_tools,
)
from agentops.sdk import codec
from agentops.sdk.memory import note
from agentops.sdk.messages import ToolUse
from agentops.sdk.scripted import Answer
from agentops.testing import BEGINNING, Notebook, run


@agent(name="notes")
async def notes(ctx: RunContext, scope: str | None = None) -> list[object]:
    before = await ctx.memory.get("colour", "none", scope=scope)
    revision = await ctx.memory.put("colour", {"name": "green"}, scope=scope)
    again = await ctx.memory.put("colour", {"name": "blue"}, scope=scope)
    found = await ctx.memory.search("blue", scope=scope)
    return [before, revision, again, [f.value for f in found], found[0].step]


@agent(name="plain-notes")
def plain_notes(ctx: SyncRunContext) -> list[object]:
    ctx.memory.put("a", 1)
    return [ctx.memory.get("a"), ctx.memory.search("a")[0].key, ctx.memory.delete("a"),
            ctx.memory.delete("a"), ctx.memory.get("a")]  # fmt: skip


@pytest.mark.parametrize("scope", [None, "agent", "person"])
def test_what_was_put_is_got_and_found(scope: str | None) -> None:
    result = run(notes, {"scope": scope})
    assert result.output == ["none", 1, 2, [{"name": "blue"}], "memory.put#2"]


def test_a_plain_agent_has_the_same_verbs() -> None:
    assert run(plain_notes).output == [1, "a", True, False, None]


def test_a_second_run_remembers_what_the_first_one_wrote() -> None:
    book = Notebook()
    run(notes, memory=book)
    again: Any = run(notes, memory=book).output
    assert again[:3] == [{"name": "blue"}, 3, 4]
    assert book.values() == {"colour": {"name": "blue"}}


def test_persons_teams_and_agents_do_not_meet() -> None:
    book = Notebook(person="ana", team="finance")
    for scope in ("agent", "person", "team"):
        found: Any = run(notes, {"scope": scope}, memory=book).output
        assert found[0] == "none"
    assert {place[:2] for place in book.entries} == {
        ("agent", "notes"), ("person", "ana"), ("team", "finance"),
    }  # fmt: skip


def test_a_run_for_nobody_writes_to_the_agents_memory() -> None:
    book = Notebook(person="")
    run(notes, memory=book)
    assert {place[0] for place in book.entries} == {"agent"}


@pytest.mark.parametrize(("scope", "why"), [("person", "nobody"), ("team", "no team")])
def test_a_scope_the_run_does_not_have_is_named(scope: str, why: str) -> None:
    result = run(notes, {"scope": scope}, memory=Notebook(person=""))
    assert result.error is not None
    assert result.error["code"] == "no_such_memory"
    assert why in str(result.error["message"])


@pytest.mark.parametrize("rows", range(1, 6))
def test_a_crash_after_any_row_neither_loses_nor_doubles_a_write(rows: int) -> None:
    book = Notebook()
    first = run(notes, crash_after=rows, memory=book)
    assert first.status in {"running", "succeeded"}
    result = run(notes, journal=first.journal)
    assert result.output == ["none", 1, 2, [{"name": "blue"}], "memory.put#2"]
    assert {e.revision for e in book.entries.values()} == {2}


def test_a_replay_sees_what_was_read_and_not_what_is_there_now() -> None:
    book = Notebook()

    @agent(name="reads")
    async def reads(ctx: RunContext) -> object:
        seen = await ctx.memory.get("k")
        await ctx.wait_event("go")
        return seen

    book.opened("r", "x", lambda: BEGINNING).put(None, note("k", "old", None, None), "s")
    parked = run(reads, memory=book)
    book.opened("r", "x", lambda: BEGINNING).put(None, note("k", "new", None, None), "s")
    parked.journal.send("go")
    assert run(reads, journal=parked.journal).output == "old"


def test_an_entry_is_gone_when_its_time_is_over() -> None:
    @agent(name="briefly")
    async def briefly(ctx: RunContext) -> list[object]:
        await ctx.memory.put("code", "1234", ttl=timedelta(minutes=5))
        await ctx.sleep(299)
        alive = await ctx.memory.get("code")
        await ctx.sleep(2)
        gone = [await ctx.memory.get("code"), await ctx.memory.search("1234")]
        return [alive, gone, await ctx.memory.put("code", "5")]

    assert run(briefly).output == ["1234", [None, []], 1]


@pytest.mark.parametrize(
    ("ask", "kind", "says"),
    [
        (lambda m: m.put("", 1), Misuse, "not empty"),
        (lambda m: m.put("x" * 201, 1), Misuse, "201 characters; at most 200"),
        (lambda m: m.put("a\0b", 1), Misuse, "cannot be stored"),
        (lambda m: m.get(7), Misuse, "a key is a text"),
        (lambda m: m.put("k", 1, ttl=0), Misuse, "ttl"),
        (lambda m: m.put("k", 1, ttl=float("nan")), Misuse, "ttl"),
        (lambda m: m.put("k", 1, text=b"x"), Misuse, "text is a str"),
        (lambda m: m.put("k", object()), PayloadError, "Memory 'k'"),
        (lambda m: m.put("k", "x" * 300_000), PayloadTooLarge, "Memory 'k'"),
        (lambda m: m.get("k", scope="world"), Misuse, "agent, person, team"),
        (lambda m: m.search("x", limit=0), Misuse, "between 1 and 100"),
        (lambda m: m.search(3), Misuse, "a text"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_asked(
    ask: Callable[[Any], object], kind: type[Exception], says: str
) -> None:
    @agent(name="asks")
    def asks(ctx: SyncRunContext) -> str:
        with pytest.raises(kind, match=says):
            ask(ctx.memory)
        return "refused"

    assert run(asks).output == "refused"


def test_a_model_remembers_recalls_and_forgets() -> None:
    @agent(name="talks")
    async def talks(ctx: RunContext) -> str:
        return await ctx.model("Hello", tools=memory_tools())

    book = Notebook()
    said: list[Answer] = [
        [ToolUse("1", "remember", {"key": "colour", "text": "Ana likes green"})],
        [ToolUse("2", "recall", {"query": "green"})],
        [ToolUse("3", "forget", {"key": "colour"})],
        "Done",
    ]
    result = run(talks, models=said, memory=book)
    assert result.output == "Done"
    assert book.entries == {}
    recalled = next(e for e in result.journal.entries if e.name == "recall")
    assert recalled.value is not None
    recorded = str(codec.decode(*recalled.value))
    assert "Ana likes green" in recorded
    assert "run_0000" in recorded


def test_a_tool_in_a_process_of_its_own_is_told_that_it_has_no_memory() -> None:
    context = ToolContext(run_id="r", key="k", attempt=1, deadline=0)
    with pytest.raises(Misuse, match="process of its own"):
        pickle.loads(pickle.dumps(context)).memory  # noqa: B018 - asking is what is refused
