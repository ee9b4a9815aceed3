"""What models are told of earlier turns, on a journal in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentops import RunContext, SyncRunContext, agent
from agentops.sdk import history
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.errors import Misuse, ModelError
from agentops.sdk.history import ContextOverflow, HistoryTooLong
from agentops.sdk.messages import Role, user
from agentops.sdk.models import ModelRequest, Recall
from agentops.sdk.scripted import Answer
from agentops.sdk.turns import Past, Turn
from agentops.testing import ScriptedModel, run

AT = datetime(2026, 1, 1, tzinfo=UTC)
TOO_LONG = ModelError("context_overflow", "HTTP 400: too many tokens", sent=False)


def turn(n: int, answer: object = "", status: str = "succeeded") -> Turn:
    return Turn(f"question {n}", answer or f"answer {n}", status, AT)


@agent
async def chat(ctx: RunContext, message: str) -> str:
    return await ctx.model(message, system="Be brief.")


@agent
def blocking(ctx: SyncRunContext, message: str) -> str:
    return ctx.model(message, system="Be brief.")


@agent
async def alone(ctx: RunContext, message: str) -> str:
    return await ctx.model(message, history=False)


@agent
async def own(ctx: RunContext, message: str) -> str:
    return await ctx.model([user(message)])


@agent
async def both(ctx: RunContext, message: str) -> str:
    return await ctx.model([user(message)], history=True)


@agent
async def named(ctx: RunContext, message: str) -> str:
    return await ctx.model(message, id="reply")


@agent
async def strict(ctx: RunContext, message: str) -> str:
    return await ctx.model(message, compact_at=0)


def told(model: ScriptedModel, request: int = 0) -> list[tuple[Role, str]]:
    return [(m.role, m.text) for m in model.requests[request].messages]


@pytest.mark.parametrize("talker", [chat, blocking], ids=["async", "def"])
def test_earlier_turns_stand_between_system_and_request(talker: AgentDefinition) -> None:
    model = ScriptedModel(["done"])
    result = run(talker, {"message": "now"}, turns=[turn(1), turn(2)], models=model)
    assert told(model) == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "question 1"),
        (Role.ASSISTANT, "answer 1"),
        (Role.USER, "question 2"),
        (Role.ASSISTANT, "answer 2"),
        (Role.USER, "now"),
    ]
    [step] = [e for e in result.journal.entries if e.kind == "step.completed"]
    assert (step.meta or {})["history"] == {"conversation": "conv_test", "turns": [1, 2]}
    assert step.input is not None
    assert b"question" not in step.input.data


@pytest.mark.parametrize(("talker", "count"), [(alone, 1), (own, 1), (both, 3)])
def test_who_brings_messages_or_says_no_gets_none(talker: AgentDefinition, count: int) -> None:
    model = ScriptedModel(["done"])
    run(talker, {"message": "now"}, turns=[turn(1)], models=model)
    assert len(model.requests[0].messages) == count


def test_a_message_without_an_answer_stays_and_says_so() -> None:
    model = ScriptedModel(["done"])
    run(chat, {"message": "now"}, turns=[turn(1, status="failed")], models=model)
    assert told(model)[2] == (
        Role.USER,
        "[This message got no answer: its run ended as failed.]",
    )


@pytest.mark.parametrize("talker", [chat, blocking, named], ids=["async", "def", "named"])
def test_what_is_refused_for_size_is_summarised_and_asked_again(talker: AgentDefinition) -> None:
    model = ScriptedModel([TOO_LONG, "a summary", "done"])
    turns = [turn(n) for n in range(1, 5)]
    result = run(talker, {"message": "now"}, turns=turns, models=model)
    assert result.output == "done"
    summing = model.requests[1].messages
    assert summing[0].role is Role.SYSTEM
    assert "Turn 1\nUser: question 1\n\nAssistant: answer 1" in summing[1].text
    assert "Turn 3" not in summing[1].text
    again = [text for role, text in told(model, 2) if role is not Role.SYSTEM]
    assert again[0].endswith("a summary")
    assert again[1:] == ["question 3", "answer 3", "question 4", "answer 4", "now"]


def test_a_replay_takes_the_same_way_and_asks_nobody() -> None:
    model = ScriptedModel([TOO_LONG, "a summary", "done"])
    before = run(chat, {"message": "now"}, turns=[turn(1), turn(2)], models=model)
    keys = before.journal.keys()
    assert keys == ["fast", "compact", "fast#2"] or len(keys) == 3
    again = run(chat, {"message": "now"}, journal=before.journal, models=ScriptedModel([]))
    assert again.output == "done"
    assert again.journal.keys() == keys


@pytest.mark.parametrize("rows", range(1, 4))
def test_a_crash_between_these_steps_repeats_none_that_is_recorded(rows: int) -> None:
    first = ScriptedModel([TOO_LONG, "a summary", "done"])
    turns = [turn(1), turn(2)]
    died = run(chat, {"message": "now"}, turns=turns, models=first, crash_after=rows)
    answers: list[Answer] = [TOO_LONG, "a summary", "done"]
    left = answers[len(died.journal.keys()) :]
    second = ScriptedModel(left)
    ended = run(chat, {"message": "now"}, journal=died.journal, models=second)
    assert ended.output == "done"
    assert len(second.requests) == len(left)


def test_a_summary_that_fails_ends_the_request_and_says_why() -> None:
    model = ScriptedModel([TOO_LONG, ModelError("request_rejected", "no", sent=False)])
    result = run(chat, {"message": "now"}, turns=[turn(1)], models=model)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "compaction_failed"
    assert "could not be summarised" in str(result.error["message"])


@pytest.mark.parametrize(("talker", "turns"), [(strict, [turn(1)]), (chat, [])])
def test_without_summaries_the_error_is_the_overflow(
    talker: AgentDefinition, turns: list[Turn]
) -> None:
    result = run(talker, {"message": "now"}, turns=turns, models=[TOO_LONG])
    assert result.error is not None
    assert result.error["code"] == "context_overflow"
    assert len(result.journal.keys()) == 1


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(Misuse, match=r"compact_at=1\.5"):
        agent(compact_at=1.5)(lambda ctx: None)


# -- how much is summarised -------------------------------------------------------------------


def size(request: ModelRequest) -> int:
    return sum(len(m.text) for m in request.messages)


def past(*lengths: int) -> Past:
    said = [Turn("q" * n, "a" * n, "succeeded", AT) for n in lengths]
    return Past("conv_test", 1, said)


ASKED = ModelRequest("fast", (user("now"),), history=Recall(0.8))


def test_enough_is_summarised_to_halve_what_is_left() -> None:
    made = history.compaction(ASKED, past(*[100] * 50), size, 10_000)
    assert (made.first, made.through) == (1, 34)
    assert size(made.request) <= 10_000


def test_no_more_is_asked_at_once_than_fits() -> None:
    made = history.compaction(ASKED, past(*[1000] * 50), size, 10_000)
    assert size(made.request) <= 10_000
    assert made.through == 3


def test_a_turn_that_fits_nowhere_is_named() -> None:
    with pytest.raises(ContextOverflow, match="Turn 1 alone has about"):
        history.compaction(ASKED, past(9_000), size, 10_000)


def test_the_share_of_the_window_counts_only_with_a_history() -> None:
    history.check_size(ASKED, None, 9_000, 10_000)
    history.check_size(ASKED, past(1), 8_000, 10_000)
    history.check_size(ASKED, past(1), 10**9, None)
    with pytest.raises(HistoryTooLong, match="9,000 tokens; the model takes 10,000, of which 80%"):
        history.check_size(ASKED, past(1), 9_000, 10_000)
    with pytest.raises(ContextOverflow, match="nothing of its history is left"):
        history.check_size(ASKED, past(), 9_000, 10_000)
