"""Agents that ask people, tested in memory: who decides, what runs, what an agent hears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from agentops import (
    Denied,
    Misuse,
    RunContext,
    StepFailed,
    SyncRunContext,
    Unanswered,
    Verified,
    agent,
    tool,
)
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import ScriptedModel
from agentops.testing import Wanted, run

DONE: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


def lost(order: int, amount: float = 1.0) -> Verified:
    DONE.append(("verify", order, amount))
    return Verified.not_done()


@tool(effect="once", verify=lost)
async def refund(order: int, amount: float = 1.0) -> str:
    DONE.append((order, amount))
    return f"refunded {amount:g}"


@tool(effect="once", approval="always", optional=True)
async def erase(name: str) -> str:
    DONE.append(name)
    return "erased"


@agent
async def desk(ctx: RunContext, order: int) -> str:
    return await ctx.call(refund, order, 5.0)


@agent
async def eraser(ctx: RunContext) -> object:
    return bool(await ctx.call(erase, "ada"))


@agent
async def talker(ctx: RunContext) -> str:
    return await ctx.model("Refund order 7.", tools=[refund])


def test_a_tool_that_always_asks_waits_for_a_person() -> None:
    waiting = run(eraser)
    assert (waiting.status, waiting.waiting_for, waiting.detail) == (
        "waiting", "approval", "erase#1",
    )  # fmt: skip
    assert waiting.journal.desk.wanted["erase#1"] == Wanted("erase#1", "erase", {"name": "ada"})
    assert run(eraser, journal=waiting.journal, approve=True).output is True
    assert DONE == ["ada"]


def test_others_ask_where_the_test_says_so() -> None:
    assert run(desk, {"order": 7}).output == "refunded 5"
    assert run(desk, {"order": 7}, asks=[refund]).waiting_for == "approval"
    assert run(desk, {"order": 7}, asks=["refund"], approve=True).output == "refunded 5"


def test_a_rejection_is_raised_with_what_the_person_said() -> None:
    result = run(desk, {"order": 7}, asks=[refund], approve=lambda _: "Not without a photo.")
    assert (result.status, result.stop_reason, DONE) == ("failed", "denied", [])
    assert "said: “Not without a photo.”" in str((result.error or {})["message"])


def test_an_optional_tool_that_is_rejected_is_missing() -> None:
    result = run(eraser, approve=False)
    assert (result.output, result.degraded, DONE) == (False, ("erase",), [])


def test_an_edited_call_runs_with_the_types_of_the_tool_and_the_model_hears_of_it() -> None:
    def says(request: ModelRequest) -> Any:
        last = request.messages[-1]
        return last.text if last.role is Role.TOOL else ToolUse("1", "refund", {"order": 7})

    models = ScriptedModel(says)
    edit = {"order": 7, "amount": "2.5"}
    result = run(talker, models=models, asks=[refund], approve=lambda _: edit)
    assert DONE == [(7, 2.5)]
    assert str(result.output).startswith("A person changed this call before it ran.")
    assert str(result.output).endswith("refunded 2.5")


@pytest.mark.parametrize("rows", range(8))
def test_whatever_crashes_an_edited_call_is_settled_with_what_it_ran_with(rows: int) -> None:
    edit = {"order": 7, "amount": 2.5}
    asks: dict[str, Any] = {"asks": [refund], "approve": lambda _: edit}
    crashed = run(desk, {"order": 7}, crash_after=rows, **asks)
    result = run(desk, {"order": 7}, journal=crashed.journal, **asks)
    assert result.output == "refunded 2.5"
    assert {done[-2:] for done in DONE} == {(7, 2.5)}


@pytest.mark.parametrize("rows", range(6))
def test_whatever_crashes_a_rejected_call_never_runs(rows: int) -> None:
    asks: dict[str, Any] = {"asks": [refund], "approve": False}
    crashed = run(desk, {"order": 7}, crash_after=rows, **asks)
    result = run(desk, {"order": 7}, journal=crashed.journal, **asks)
    assert (result.stop_reason, DONE) == ("denied", [])


# -- questions --------------------------------------------------------------------------------


@dataclass
class Choice:
    account: str
    sure: bool = False


@agent
async def wonders(ctx: RunContext) -> list[Any]:
    who = await ctx.ask("Which account is meant?", choices={"eu": "Europe", "us": "America"})
    many = await ctx.ask("How many?", form=int, default=3, timeout=60)
    made = await ctx.ask("And what exactly?", form=Choice)
    return [who, many, made]


@agent
def wonders_in_a_thread(ctx: SyncRunContext) -> list[Any]:
    def both(c: SyncRunContext) -> Any:
        return c.ask("Which?", choices=["a", "b"])

    return [ctx.ask("Say something."), *ctx.parallel([both])]


@agent
async def unheard(ctx: RunContext, default: str | None = None) -> str:
    how = {} if default is None else {"default": default}
    try:
        return str(await ctx.ask("Anybody?", timeout=60, **how))
    except Unanswered as error:
        return error.code


def test_answers_have_the_types_that_were_asked_for() -> None:
    answers = ["eu", 4, {"account": "x", "sure": True}]
    result = run(wonders, answers=answers)
    assert result.output == ["eu", 4, {"account": "x", "sure": True}]
    kept = result.journal
    assert kept.keys() == ["ask#1", "ask#2", "ask#3"]
    form = kept.desk.questions["ask#1"].schema
    assert form["description"] == "Which account is meant?"
    assert form["properties"] == {
        "answer": {
            "type": "string", "title": "Which account is meant?", "enum": ["eu", "us"],
            "enumNames": ["Europe", "America"],
        }
    }  # fmt: skip


def test_plain_agents_ask_in_the_same_way() -> None:
    answers = {"Say something.": "hello", "Which?": "b"}
    assert run(wonders_in_a_thread, answers=answers).output == ["hello", "b"]


def test_a_question_waits_until_somebody_answers() -> None:
    waiting = run(wonders)
    assert (waiting.status, waiting.waiting_for, waiting.detail) == ("waiting", "answer", "ask#1")
    answers = iter(["us", 1, {"account": "y"}])
    result = run(wonders, journal=waiting.journal, answers=lambda _: next(answers))
    assert result.output == ["us", 1, {"account": "y", "sure": False}]


def test_nobody_answers_in_time() -> None:
    assert run(unheard).output == "unanswered"
    assert run(unheard, {"default": "me"}).output == "me"
    assert run(unheard, answers=[None]).output == "declined"


@pytest.mark.parametrize("rows", range(5))
def test_an_answer_survives_crashes(rows: int) -> None:
    crashed = run(unheard, answers=["here"], crash_after=rows)
    result = run(unheard, journal=crashed.journal, answers=["here"])
    assert result.output == "here"


@pytest.mark.parametrize(
    ("how", "cure"),
    [
        ({"question": " "}, "1 to 4,000 characters"),
        ({"timeout": 0}, "must be above 0"),
        ({"choices": ["a"], "form": int}, "choices or a form"),
        ({"form": Choice, "default": 1}, "Give the fields of a form defaults"),
        ({"form": list}, "a pydantic model, a dataclass"),
        ({"choices": [1, 2]}, "enum is a list of 1 to"),
        ({"question": "What is your password?"}, "not asked for secrets"),
        ({"form": int, "default": "x"}, "default does not fit"),
        ({"form": {"type": "object", "properties": {"a": {"type": "array"}}}}, "type is one of"),
    ],
)
def test_what_people_cannot_be_asked_says_what_to_do(how: dict[str, Any], cure: str) -> None:
    @agent
    async def odd(ctx: RunContext) -> object:
        return await ctx.ask(**{"question": "Well?", **how})

    result = run(odd)
    assert (result.status, (result.error or {})["code"]) == ("failed", "misuse")
    assert cure in str((result.error or {})["message"])


def test_answers_that_do_not_fit_are_told_to_the_test() -> None:
    with pytest.raises(Exception, match="one of"):
        run(wonders, answers=["moon", 1, {}])
    with pytest.raises(Misuse, match="has none to"):
        run(wonders, answers={})


@pytest.mark.parametrize("how", [{"approval": "sometimes"}, {"preview": "x"}])
def test_a_declaration_that_means_nothing_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=r"approval is|preview is"):
        tool(**how)(lambda order: order)


def test_a_denial_is_a_failed_step() -> None:
    assert issubclass(Denied, StepFailed)
    assert issubclass(Unanswered, StepFailed)
