"""Promises of servers of tools to authors, with functions in the place of servers."""

from __future__ import annotations

from typing import Any

import pytest

from agentops import Effect, Misuse, RunContext, SyncRunContext, agent, mcp_server
from agentops.execution.records import Phase
from agentops.sdk import mcp
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer
from agentops.testing import ScriptedModel, run

calls: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


def refund(order: str) -> str:
    """Refund an order."""
    calls.append(order)
    if order == "gone":
        raise ValueError("It is gone.")
    return f"refunded {order}"


async def price(item: str) -> int:
    """The price of an item."""
    return len(item)


shop = mcp_server("shop", url="https://shop.example/mcp", effects={"price": "read"})
SHOP = {"shop": {"refund": refund, "price": price}}


@agent
async def desk(ctx: RunContext) -> str:
    return await ctx.model("Refund 7", tools=[shop])


@agent
async def direct(ctx: RunContext) -> object:
    return await ctx.call(shop.tool("refund"), order="7")


@agent
def blocking(ctx: SyncRunContext) -> object:
    return ctx.call(shop.tool("refund"), order="7")


def says(request: ModelRequest) -> Answer:
    if request.messages[-1].role is Role.TOOL:
        return "Done."
    return ToolUse("a", "shop__refund", {"order": "7"})


def model() -> ScriptedModel:
    return ScriptedModel(says)


def test_a_model_uses_the_tools_of_a_server() -> None:
    result = run(desk, models=model(), servers=SHOP)
    assert result.output == "Done.", result.error
    assert calls == ["7"]
    keys = result.journal.keys()
    assert keys[0] == "mcp:shop#1"
    assert keys[2].startswith("shop__refund:")


def test_a_tool_is_called_by_name_from_both_kinds_of_agent() -> None:
    for each in (direct, blocking):
        assert run(each, servers=SHOP).output == "refunded 7"


def test_a_replay_sees_the_tools_of_then() -> None:
    crashed = run(desk, models=model(), servers=SHOP, crash_after=5)
    assert calls == ["7"]
    again = run(desk, models=model(), servers={"shop": {}}, journal=crashed.journal)
    assert again.output == "Done.", again.error


@pytest.mark.parametrize("rows", range(8))
def test_a_crash_after_any_row_repeats_no_once_call(rows: int) -> None:
    crashed = run(desk, models=model(), servers=SHOP, crash_after=rows)
    again = run(desk, models=model(), servers=SHOP, journal=crashed.journal)
    assert calls == ["7"] or (calls == [] and again.waiting_for == "operator")
    assert again.output == "Done." or again.detail.startswith("uncertain:")


def test_a_call_that_may_have_happened_waits_for_an_operator() -> None:
    result = run(desk, models=model(), servers=SHOP)
    [intent] = [e for e in result.journal.entries if e.phase is Phase.INTENT]
    assert intent.name == "shop__refund"
    assert (intent.meta or {})["effect"] == "once"


def test_effects_come_from_the_author_then_from_a_trusted_server() -> None:
    reads, repeats = {"readOnlyHint": True}, {"idempotentHint": True}
    trusted = mcp_server("a", ["x"], trust_annotations=True, effects={"pay": "once"})
    assert trusted.effect("look", reads) is Effect.READ
    assert trusted.effect("put", repeats) is Effect.IDEMPOTENT
    assert trusted.effect("pay", reads) is Effect.ONCE
    assert trusted.effect("other", {}) is Effect.ONCE
    assert trusted.effect("liar", {"readOnlyHint": "yes"}) is Effect.ONCE
    assert mcp_server("a", ["x"]).effect("look", reads) is Effect.ONCE


def test_tools_that_are_not_named_are_not_there() -> None:
    narrow = mcp_server("shop", ["x"], tools=["price"])

    @agent
    async def narrowly(ctx: RunContext) -> str:
        return await ctx.model("Refund 7", tools=[narrow])

    result = run(narrowly, models=model(), servers=SHOP)
    assert calls == []
    assert result.output == "Done."
    with pytest.raises(Misuse, match="does not name “refund”"):
        narrow.tool("refund")


def test_a_tool_the_server_does_not_have_is_said_so() -> None:
    result = run(direct, servers={"shop": {"price": price}})
    assert result.error is not None
    assert "The server shop offers no tool “refund”." in str(result.error["message"])


def test_an_optional_server_that_is_away_leaves_the_run_degraded() -> None:
    spare = mcp_server("spare", ["x"], optional=True)

    @agent
    async def makes_do(ctx: RunContext) -> str:
        return await ctx.model("Hello", tools=[spare, shop])

    result = run(makes_do, models=["Hello."], servers=SHOP)
    assert (result.output, result.degraded) == ("Hello.", ("mcp:spare",))


@pytest.mark.parametrize(
    ("declared", "remedy"),
    [
        ({"name": "Shop"}, "small letters"),
        ({"name": "shop"}, "a command or a url"),
        ({"name": "shop", "command": ["x"], "url": "https://x"}, "a command or a url"),
        ({"name": "shop", "command": "run me"}, "command is a list"),
        ({"name": "shop", "url": "ftp://x"}, "https://"),
        ({"name": "shop", "url": "http://x.example", "credential": "KEY"}, "https://"),
        ({"name": "shop", "command": ["x"], "credential": "sk-123"}, "name of a variable"),
        ({"name": "shop", "command": ["x"], "effects": {"a": "maybe"}}, "read, idempotent or once"),
        ({"name": "shop", "command": ["x"], "timeout": 0}, "above 0"),
        ({"name": "shop", "url": "https://x", "environment": ["HOME"]}, "belongs to a command"),
    ],
)
def test_a_declaration_that_cannot_work_says_what_to_change(
    declared: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(Misuse, match=remedy):
        mcp_server(**declared)


def test_names_fit_every_provider_and_stay_apart() -> None:
    assert mcp.public_name("shop", "refund") == "shop__refund"
    odd = {mcp.public_name("shop", name) for name in ("a.b", "a/b", "a" * 200, "a" * 199 + "b")}
    assert len(odd) == 4
    assert all(len(name) <= 64 for name in odd)
