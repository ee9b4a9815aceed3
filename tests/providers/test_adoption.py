"""Pydantic AI agents, written without a thought of us, run as steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai import RunContext as TheirContext
from pydantic_ai.capabilities import CombinedCapability
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    RetryFeedbackPart,
    TextPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from agentops import Misuse, Turn, adopt
from agentops.execution.records import Phase
from agentops.providers.adoption import Durability
from agentops.testing import BEGINNING, Result, run

requests: list[str] = []
effects: list[str] = []
heard: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    requests.clear()
    effects.clear()


def turn(messages: list[ModelMessage]) -> int:
    return sum(isinstance(message, ModelResponse) for message in messages)


async def says(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | DeltaToolCalls]:
    parts = messages[-1].parts
    heard.extend(str(part.content) for part in parts if isinstance(part, ToolReturnPart))
    requests.append(f"request {turn(messages)}")
    if turn(messages) == 0:
        yield {0: DeltaToolCall("look_up", '{"who": "ada"}', tool_call_id="t1")}
        yield {1: DeltaToolCall("look_up", '{"who": "bob"}', tool_call_id="t2")}
    elif turn(messages) == 1:
        yield {0: DeltaToolCall("send", '{"to": "ada"}', tool_call_id="t3")}
    else:
        for word in ("All ", "is ", "done."):
            yield word


desk = Agent(FunctionModel(stream_function=says), name="help_desk")


@desk.tool_plain
def look_up(who: str) -> str:
    effects.append(f"look up {who}")
    return f"{who}@example.org"


@desk.tool
async def send(ctx: TheirContext[object], to: str) -> str:
    effects.append(f"send {to}")
    return "sent"


@desk.tool_plain
def unused(x: int) -> int:
    return x


def _sorted(keys: list[str], begin: int, end: int) -> list[str]:
    return [*keys[:begin], *sorted(keys[begin:end]), *keys[end:]]


ALL = ["look up ada", "look up bob", "send ada"]
ours = adopt(desk, effects={"look_up": "read"})


def test_it_is_an_agent_of_ours_with_a_prompt() -> None:
    assert ours.name == "help-desk"
    assert ours.input_schema["required"] == ["prompt"]
    result = run(ours, {"prompt": "Tell Ada."})
    assert (result.status, result.output) == ("succeeded", "All is done.")
    assert sorted(effects) == ALL
    # Tools asked for together end as they end; everything else has its order.
    assert _sorted(result.journal.keys(), 2, 4) == [
        "conversation#1", "model:help-desk__model.request_stream", "look_up:t1", "look_up:t2",
        "model:help-desk__model.request_stream#2", "send:t3",
        "model:help-desk__model.request_stream#3",
    ]  # fmt: skip


def test_its_text_is_shown_as_it_comes() -> None:
    result = run(ours, {"prompt": "Tell Ada."})
    assert "All is done." in result.streamed.values()


def test_after_a_crash_at_any_row_nothing_recorded_is_asked_or_done_again() -> None:
    whole = run(ours, {"prompt": "?"})
    for dies_after in range(len(whole.journal.entries)):
        effects.clear()
        requests.clear()
        crashed = run(ours, {"prompt": "?"}, crash_after=dies_after)
        recorded = crashed.journal.keys()
        before = len(requests), len(effects)
        result = run(ours, {"prompt": "?"}, journal=crashed.journal)
        if result.waiting_for == "operator":
            assert result.detail == "uncertain:send:t3"
            assert effects.count("send ada") == 1
            continue
        assert result.output == "All is done."
        asked = sum(key.startswith("model") for key in recorded)
        done = sum(key.startswith(("look_up", "send")) for key in recorded)
        assert len(requests) - before[0] == 3 - asked
        assert len(effects) - before[1] == 3 - done


def test_rows_say_who_answered_and_what_it_took() -> None:
    result = run(ours, {"prompt": "?"})
    told = [e.meta or {} for e in result.journal.entries if e.phase is Phase.OUTCOME]
    models = [facts for facts in told if facts["type"] == "model"]
    assert len(models) == 3
    assert all(facts["usage"] and facts["model"] for facts in models)
    assert [f["effect"] for f in told if f["type"] == "tool"] == ["read", "read", "once"]


def test_earlier_turns_are_its_message_history() -> None:
    seen: list[list[ModelMessage]] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(messages)
        return ModelResponse(parts=[TextPart("Yes.")])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(messages)
        yield "Yes."

    talker = adopt(Agent(FunctionModel(answer, stream_function=stream), name="talker"))
    turns = [Turn("My name is Ada.", "Hello Ada.", "succeeded", BEGINNING)]
    assert run(talker, {"prompt": "Who am I?"}, turns=turns).output == "Yes."
    said = [getattr(part, "content", None) for message in seen[0] for part in message.parts]
    assert said == ["My name is Ada.", "Hello Ada.", "Who am I?"]


@dataclass
class Shop:
    prices: dict[str, int]


class Quote(BaseModel):
    item: str
    cents: int


def test_dependencies_types_and_a_tool_that_wants_another_try() -> None:
    async def stream(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        last = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart) and last.outcome == "success":
            yield {
                0: DeltaToolCall("final_result", '{"item": "pear", "cents": 30}', tool_call_id="z")
            }
        elif isinstance(last, (RetryFeedbackPart, ToolReturnPart)):
            yield {0: DeltaToolCall("price", '{"item": "pear"}', tool_call_id="b")}
        else:
            yield {0: DeltaToolCall("price", '{"item": "paer"}', tool_call_id="a")}

    seller: Agent[Shop, Quote] = Agent(
        FunctionModel(stream_function=stream),
        name="seller", deps_type=Shop, output_type=Quote,
    )  # fmt: skip

    @seller.tool
    def price(ctx: TheirContext[Shop], item: str) -> int:
        if item not in ctx.deps.prices:
            raise ModelRetry(f"There is no {item}.")
        return ctx.deps.prices[item]

    made = adopt(seller, deps=lambda _: Shop({"pear": 30}), effects={"price": "read"})
    result: Result = run(made, {"prompt": "A pear?"})
    assert result.output == {"item": "pear", "cents": 30}
    keys = result.journal.keys()
    assert [key for key in keys if key.startswith("price")] == ["price:a", "price:b"]


def test_a_call_id_that_comes_twice_is_another_call() -> None:
    async def stream(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        if turn(messages) < 2:
            yield {0: DeltaToolCall("count", "{}", tool_call_id="same")}
        else:
            yield "over"

    counter = Agent(FunctionModel(stream_function=stream), name="counter")

    @counter.tool_plain
    def count() -> int:
        effects.append("count")
        return len(effects)

    result = run(adopt(counter), {"prompt": "?"})
    assert result.output == "over"
    assert effects == ["count", "count"]
    keys = result.journal.keys()
    assert "count:same#2" in keys


def test_what_cannot_be_adopted_is_said() -> None:
    with pytest.raises(Misuse, match="needs a name"):
        adopt(Agent(FunctionModel(stream_function=says)))
    with pytest.raises(Misuse, match="read, idempotent or once, not 'twice'"):
        adopt(desk, effects={"send": "twice"})


def test_the_agent_itself_is_left_as_it_was() -> None:
    before = desk.root_capability
    run(ours, {"prompt": "?"})
    assert desk.root_capability is before
    assert desk.model is not None
    assert isinstance(before, CombinedCapability)
    assert not any(isinstance(c, Durability) for c in before.capabilities)


def told_by_tools(result: Result, name: str) -> list[str]:
    rows = [e for e in result.journal.entries if e.phase is Phase.OUTCOME and e.name == name]
    return [e.kind for e in rows]


def test_people_decide_about_calls_of_adopted_agents() -> None:
    definition = adopt(desk, effects={"look_up": "read"})
    waiting = run(definition, {"prompt": "Write to ada."}, asks=["send"])
    assert (waiting.waiting_for, waiting.detail) == ("approval", "send:t3")
    wanted = waiting.journal.desk.wanted["send:t3"]
    assert (wanted.tool, wanted.arguments) == ("send", {"to": "ada"})
    rejected = run(
        definition, {"prompt": "x"}, asks=["send"], journal=waiting.journal, approve=False
    )
    assert rejected.output == "All is done."
    assert "send ada" not in effects
    assert told_by_tools(rejected, "send") == ["step.failed"]


def test_an_edited_call_of_an_adopted_agent_runs_as_edited_and_its_model_hears_of_it() -> None:
    definition = adopt(desk, effects={"look_up": "read"})
    edit: dict[str, object] = {"to": "bob"}
    result = run(definition, {"prompt": "x"}, asks=["send"], approve=lambda _: edit)
    assert result.output == "All is done."
    assert [effect for effect in effects if effect.startswith("send")] == ["send bob"]
    assert heard[-1].startswith("A person changed this call before it ran.")
    assert heard[-1].endswith("\n\nsent")
