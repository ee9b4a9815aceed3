"""Agents as tools, agents without a function, and tools of which the agent fixes arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field

from agentops import (
    InvalidInput,
    Misuse,
    RunContext,
    StepFailed,
    SyncRunContext,
    Turn,
    agent,
    agent_tool,
    assistant,
    tool,
)
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer
from agentops.testing import BEGINNING, ScriptedModel, run

Pieces = Annotated[int, Field(ge=1, description="How many.")]

looked_up: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    looked_up.clear()


@tool(effect="read")
async def look_up(shop: str, article: str) -> str:
    """The price of an article."""
    looked_up.append(f"{shop}/{article}")
    return "4.50"


@dataclass
class Price:
    article: str
    cents: int


clerk = assistant(
    name="price-clerk",
    instructions="Say what things cost.",
    tools=[look_up.given(shop="north")],
    output=Price,
    description="Knows what things cost.",
)
writer = assistant(name="writer", instructions="Write well.", route="smart")


@agent
async def buyer(ctx: RunContext, wish: str) -> str:
    return await ctx.model(wish, tools=[agent_tool(clerk), look_up])


@agent
def blocking_buyer(ctx: SyncRunContext, wish: str) -> str:
    return ctx.model(wish, tools=[agent_tool(clerk), look_up])


def told(model: ScriptedModel, turn: int = 1) -> dict[str, str]:
    return {m.use_id: m.text for m in model.requests[turn].messages if m.role is Role.TOOL}


TWO = [
    ToolUse("a", "price_clerk", {"message": "a bolt?"}),
    ToolUse("b", "price_clerk", {"message": "a nut?"}),
]


def priced(name: str, given: object) -> object:
    assert name == "price-clerk"
    return {"article": str(given), "cents": 450}


@pytest.mark.parametrize("which", [buyer, blocking_buyer])
def test_a_model_hands_work_to_agents_that_run_as_children(which: Any) -> None:
    model = ScriptedModel([TWO, "Both cost 4.50."])
    result = run(which, {"wish": "a bolt and a nut"}, models=model, children=priced)
    assert result.output == "Both cost 4.50."
    assert told(model)["a"] == """{"article": "{'message': 'a bolt?'}", "cents": 450}"""
    keys = result.journal.keys()
    spawned = [key for key in keys if "/spawn:" in f"/{key}"]
    assert len([key for key in spawned if "result:" not in key]) == 2
    [spec] = [t for t in model.requests[0].tools if t.name == "price_clerk"]
    assert spec.description == "Knows what things cost."
    assert spec.schema["required"] == ["message"]


@pytest.mark.parametrize("which", [buyer, blocking_buyer])
def test_a_crash_after_any_row_starts_no_child_twice(which: Any) -> None:

    def answers(request: ModelRequest) -> Answer:
        return "Done" if request.messages[-1].role is Role.TOOL else TWO

    whole = run(which, {"wish": "both"}, models=ScriptedModel(answers), children=priced)
    for rows in range(len(whole.journal.entries)):
        started: list[object] = []

        def child(name: str, given: object, started: list[object] = started) -> object:
            started.append(given)
            return priced(name, given)

        crashed = run(
            which, {"wish": "both"}, models=ScriptedModel(answers), children=child, crash_after=rows
        )
        result = run(
            which, {"wish": "both"}, models=ScriptedModel(answers), children=child,
            journal=crashed.journal,
        )  # fmt: skip
        assert result.output == "Done", rows
        assert sorted(map(str, started)) == ["{'message': 'a bolt?'}", "{'message': 'a nut?'}"]


def test_children_and_tools_are_begun_before_any_is_waited_for() -> None:
    model = ScriptedModel(
        [[*TWO, ToolUse("c", "look_up", {"shop": "south", "article": "bolt"})], "Done"]
    )
    waiting = run(buyer, {"wish": "?"}, models=model)
    assert (waiting.status, waiting.waiting_for) == ("waiting", "child")
    assert len(waiting.journal.children) == 2
    assert looked_up == ["south/bolt"]


def test_the_model_hears_of_input_that_does_not_fit_the_agent() -> None:
    model = ScriptedModel([ToolUse("a", "price_clerk", {"text": "?"}), "Sorry"])
    assert run(buyer, {"wish": "?"}, models=model).output == "Sorry"
    assert "/message" in told(model)["a"]


def test_an_agent_is_no_tool_for_ctx_call() -> None:
    @agent
    async def wrong(ctx: RunContext) -> object:
        return await ctx.call(agent_tool(clerk), message="a bolt?")

    result = run(wrong)
    assert result.error is not None
    assert "ctx.spawn" in str(result.error["message"])
    with pytest.raises(Misuse):
        agent_tool(clerk).given(message="a bolt?")


def test_an_assistant_needs_no_function() -> None:
    model = ScriptedModel(
        [
            ToolUse("a", "look_up", {"article": "bolt"}),
            ToolUse("b", "answer", {"article": "bolt", "cents": 450}),
        ]
    )
    result = run(clerk, {"message": "What is a bolt?\nThanks"}, models=model)
    assert result.output == {"article": "bolt", "cents": 450}
    assert looked_up == ["north/bolt"]
    said = [(m.role, m.text) for m in model.requests[0].messages]
    assert said == [(Role.SYSTEM, "Say what things cost."), (Role.USER, "What is a bolt?\nThanks")]
    assert clerk.title_for({"message": "\nWhat is a bolt?\nThanks"}) == "What is a bolt?"
    assert clerk.fn.__module__ == __name__
    assert clerk.restore({"article": "bolt", "cents": 450}) == Price("bolt", 450)


def test_an_assistant_sees_the_turns_before() -> None:
    turns = [
        Turn({"message": "Name a colour."}, "Blue.", "succeeded", BEGINNING),
        Turn("Shorter.", None, "failed", BEGINNING),
    ]
    model = ScriptedModel(["Red."])
    assert run(writer, {"message": "Another."}, turns=turns, models=model).output == "Red."
    assert [m.text for m in model.requests[0].messages] == [
        "Write well.", "Name a colour.", "Blue.", "Shorter.", "Another.",
    ]  # fmt: skip
    assert model.requests[0].route == "smart"


def test_no_model_sees_or_overrules_what_the_agent_fixed() -> None:
    bound = look_up.given(shop="north")
    schema: Any = bound.schema
    assert list(schema["properties"]) == ["article"]
    assert bound.arguments({"article": "bolt"}) == {"article": "bolt", "shop": "north"}
    with pytest.raises(ValueError, match="/shop"):
        bound.arguments({"article": "bolt", "shop": "south"})
    with pytest.raises(Misuse, match="takes no colour"):
        look_up.given(colour="red")
    whole: Any = look_up.schema
    assert "shop" in whole["properties"]


def test_limits_and_descriptions_of_inputs_hold_for_models_and_people() -> None:
    @tool
    async def order(pieces: Pieces) -> Annotated[str, {"unhashable": "metadata"}]:
        return "ordered"

    @agent
    async def ordering(ctx: RunContext, pieces: Pieces, wish: str = "") -> None:
        return None

    with pytest.raises(ValueError, match="/pieces: Input should be greater"):
        order.arguments({"pieces": 0})
    with pytest.raises(InvalidInput, match="Input at /pieces"):
        ordering.validate_input({"pieces": 0})
    schemas: list[Any] = [order.schema, ordering.input_schema]
    for schema in schemas:
        assert schema["properties"]["pieces"]["description"] == "How many."


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_run_knows_which_models_answered_it_also_on_replay(kind: str) -> None:
    @agent
    async def asking(ctx: RunContext) -> list[str]:
        before = ctx.answered_by
        await ctx.model("Hi")
        await ctx.sleep(60)
        return [*before, "then", *ctx.answered_by]

    @agent
    def blocking(ctx: SyncRunContext) -> list[str]:
        before = ctx.answered_by
        ctx.model("Hi")
        ctx.sleep(60)
        return [*before, "then", *ctx.answered_by]

    result = run(asking if kind == "async" else blocking, models=["Hello"])
    assert result.output == ["then", "scripted"]


def test_a_child_that_fails_is_told_to_the_model() -> None:
    @agent
    async def forgiving(ctx: RunContext) -> str:
        child = await ctx.spawn(clerk, {"message": "?"})
        try:
            await child.result()
        except StepFailed as error:
            return error.code
        return "came"

    waiting = run(forgiving)
    [key] = waiting.journal.children
    del waiting.journal.children[key]
    waiting.journal.send(f"child:{key}", {"run": "r", "status": "failed", "stop_reason": "loop"})
    assert run(forgiving, journal=waiting.journal).output == "child_failed"
