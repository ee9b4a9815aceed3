"""Promises of ctx.model, on a journal in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentops import (
    Fatal,
    Retryable,
    RunContext,
    StepFailed,
    SyncRunContext,
    ToolError,
    agent,
    tool,
)
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.messages import Reply, Role, ToolUse, assistant
from agentops.testing import ScriptedModel, run

calls: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


@tool(effect="read")
async def find_orders(customer: str, last: int = 3) -> list[str]:
    """Orders of a customer, newest first."""
    calls.append(f"{customer}/{last}")
    return [f"{customer}-{n}" for n in range(last)]


@tool(effect="once")
def refund(order: str) -> str:
    calls.append(f"refund {order}")
    if order == "gone":
        raise ToolError("There is no such order.")
    return "refunded"


@dataclass
class Verdict:
    order: str
    amount: int


@agent
async def plain(ctx: RunContext, question: str) -> str:
    return await ctx.model(question, system="Be brief.")


@agent
async def with_tools(ctx: RunContext, question: str) -> str:
    return await ctx.model(question, tools=[find_orders, refund])


@agent
def blocking(ctx: SyncRunContext, question: str) -> str:
    return ctx.model(question, tools=[find_orders, refund])


@agent
async def judged(ctx: RunContext, question: str) -> Verdict:
    return await ctx.model(question, output=Verdict, tools=[find_orders])


def test_a_model_says_something() -> None:
    model = ScriptedModel(["Hello"])
    result = run(plain, {"question": "Hi"}, models=model)
    assert result.output == "Hello"
    assert [(m.role, m.text) for m in model.requests[0].messages] == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "Hi"),
    ]


BOTH = [ToolUse("a", "find_orders", {"customer": "ada"}), ToolUse("b", "refund", {"order": "7"})]


@pytest.mark.parametrize("which", [with_tools, blocking])
def test_tools_are_called_at_once_and_their_results_told(which: AgentDefinition) -> None:
    model = ScriptedModel([BOTH, "Done"])
    result = run(which, {"question": "?"}, models=model)
    assert result.output == "Done"
    assert sorted(calls) == ["ada/3", "refund 7"]
    told = model.requests[1].messages[-2:]
    assert [(m.use_id, m.text) for m in told] == [
        ("a", '["ada-0", "ada-1", "ada-2"]'),
        ("b", "refunded"),
    ]


@pytest.mark.parametrize("which", [with_tools, blocking])
def test_a_crash_after_any_row_repeats_no_request_and_no_effect(which: AgentDefinition) -> None:
    rows = len(run(which, {"question": "?"}, models=[BOTH, "Done"]).journal.entries)
    for dies_after in range(1, rows):
        calls.clear()
        model = ScriptedModel([BOTH, "Done"])
        crashed = run(which, {"question": "?"}, models=model, crash_after=dies_after)
        left = ScriptedModel(
            lambda request: "Done" if request.messages[-1].role is Role.TOOL else BOTH
        )
        result = run(which, {"question": "?"}, models=left, journal=crashed.journal)
        assert result.status in {"succeeded", "waiting"}, dies_after
        assert calls.count("refund 7") <= 1
        keys = result.journal.keys()
        recorded = [key for key in keys if key.startswith("fast")]
        assert len(recorded) == (2 if result.status == "succeeded" else 1)


def test_the_record_of_a_long_talk_holds_each_message_once() -> None:
    turns = [ToolUse(str(n), "find_orders", {"customer": "x" * 2000}) for n in range(10)]
    result = run(with_tools, {"question": "?"}, models=[*turns, "Done"])
    inputs = [e.input for e in result.journal.entries if e.name == "fast" and e.input]
    assert len(inputs) == 11
    assert max(len(i.data) for i in inputs[1:]) < 2 * len(inputs[1].data)


def test_the_model_hears_of_tools_that_fail_do_not_exist_or_do_not_fit() -> None:
    model = ScriptedModel(
        [
            [
                ToolUse("a", "refund", {"order": "gone"}),
                ToolUse("b", "delete_everything", {}),
                ToolUse("c", "find_orders", {"last": "many"}),
                ToolUse("d", "find_orders", "{not json"),
            ],
            "Sorry",
        ]
    )
    assert run(with_tools, {"question": "?"}, models=model).output == "Sorry"
    told = {m.use_id: m for m in model.requests[1].messages if m.role is Role.TOOL}
    assert all(m.failed for m in told.values())
    assert "no such order" in told["a"].text
    assert "no tool called “delete_everything”" in told["b"].text
    assert "/customer" in told["c"].text
    assert "/last" in told["c"].text
    assert "not a JSON object" in told["d"].text


def test_ids_that_come_twice_are_told_apart() -> None:
    same = [ToolUse("x", "find_orders", {"customer": c}) for c in ("ada", "bob")]
    again = [ToolUse("x", "find_orders", {"customer": "cid"})]
    result = run(with_tools, {"question": "?"}, models=[same, again, "Done"])
    assert result.output == "Done"
    assert sorted(calls) == ["ada/3", "bob/3", "cid/3"]


def answer(**fields: object) -> ToolUse:
    return ToolUse("z", "answer", fields)


def test_a_structured_answer_has_the_type_asked_for() -> None:
    result = run(judged, {"question": "?"}, models=[answer(order="7", amount=3)])
    assert result.output == {"order": "7", "amount": 3}


def test_an_answer_that_does_not_fit_is_sent_back_with_its_faults() -> None:
    model = ScriptedModel([answer(order="7", amount="much"), "words", answer(order="7", amount=1)])
    assert run(judged, {"question": "?"}, models=model).output == {"order": "7", "amount": 1}
    assert "/amount" in model.requests[1].messages[-1].text
    assert "calling the tool" in model.requests[2].messages[-1].text
    assert [r.bigger for r in model.requests] == [0, 0, 0]


def test_after_the_repairs_a_bigger_model_is_asked_and_then_it_is_over() -> None:
    model = ScriptedModel(lambda request: answer(order="7"))
    result = run(judged, {"question": "?"}, models=model)
    assert [r.bigger for r in model.requests] == [0, 0, 0, 1]
    assert result.error is not None
    assert result.error["code"] == "output_invalid"
    assert "/amount" in str(result.error["message"])


def test_a_talk_without_end_is_ended() -> None:
    @agent
    async def endless(ctx: RunContext) -> str:
        try:
            return await ctx.model("?", tools=[find_orders], max_turns=3)
        except StepFailed as error:
            return error.code

    forever = ScriptedModel(lambda request: ToolUse("a", "find_orders", {"customer": "ada"}))
    assert run(endless, models=forever).output == "max_turns"
    assert len(forever.requests) == 3


def test_numbers_and_lists_are_answers_too() -> None:
    @agent
    async def counts(ctx: RunContext) -> list[int]:
        return await ctx.model("?", output=list[int])

    assert run(counts, models=[answer(value=[1, 2])]).output == [1, 2]


def test_a_model_that_fails_for_good_fails_the_step() -> None:
    result = run(plain, {"question": "?"}, models=[Fatal("No key.")])
    assert result.status == "failed"
    assert "No key." in str(result.error)


def test_a_model_that_stumbles_is_asked_again() -> None:
    result = run(plain, {"question": "?"}, models=[Retryable("Busy."), "Hello"])
    assert result.output == "Hello"
    retried = [e for e in result.journal.entries if e.kind == "step.retrying"]
    assert [(e.meta or {})["target"] for e in retried] == ["scripted"]


@pytest.mark.parametrize(
    ("finish", "code"), [("length", "output_truncated"), ("filtered", "content_filtered")]
)
def test_half_an_answer_is_none(finish: str, code: str) -> None:
    @agent
    async def asks(ctx: RunContext) -> str:
        try:
            return await ctx.model("?")
        except StepFailed as error:
            return error.code

    assert run(asks, models=[Reply(assistant("Once upon a"), finish)]).output == code


def test_an_empty_answer_is_asked_for_again() -> None:
    model = ScriptedModel(["", "Hello"])
    assert run(plain, {"question": "?"}, models=model).output == "Hello"
    assert model.requests[1].messages[-1].text == "Give an answer."
