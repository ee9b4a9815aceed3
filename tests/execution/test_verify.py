from __future__ import annotations

import pytest

from agentops import OutcomeUnknown, RunContext, ToolContext, Verified, agent, tool
from agentops.testing import run

SENT: dict[str, str] = {}


def was_sent(ctx: ToolContext, text: str) -> Verified:
    return Verified.done(text) if SENT.get(ctx.idempotency_key) == text else Verified.not_done()


@tool(effect="once", retries=1, verify=was_sent)
async def send(ctx: ToolContext, text: str) -> str:
    if ctx.attempt == 1 and text == "lost before":
        raise OutcomeUnknown
    SENT[ctx.idempotency_key] = text
    if text == "lost after":
        raise OutcomeUnknown
    return text


@agent(tools=[send])
async def sender(ctx: RunContext, text: str) -> str:
    return await ctx.call(send, text)


@pytest.mark.parametrize("text", ["fine", "lost before", "lost after"])
def test_verify_may_ask_by_the_key_that_the_tool_was_given(text: str) -> None:
    SENT.clear()

    result = run(sender, {"text": text})

    assert (result.status, result.output) == ("succeeded", text)
    assert list(SENT.values()) == [text]


@pytest.mark.parametrize("rows", range(1, 5))
def test_a_crash_anywhere_sends_once(rows: int) -> None:
    SENT.clear()
    crashed = run(sender, {"text": "fine"}, crash_after=rows)

    result = run(sender, {"text": "fine"}, journal=crashed.journal)

    assert (result.status, result.output, len(SENT)) == ("succeeded", "fine", 1)
