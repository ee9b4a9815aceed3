"""Agents without a function: instructions, tools, and the loop between a model and the tools."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import cast

from agentops.sdk import messages, models
from agentops.sdk.agents import AgentDefinition, agent
from agentops.sdk.context import RunContext
from agentops.sdk.messages import Message
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer
from agentops.sdk.tools import Tool
from agentops.sdk.turns import Turn

REMEMBERED_TURNS = 20
_LONGEST_TITLE = 80


def assistant(
    *,
    name: str,
    instructions: str,
    tools: Sequence[Tool[..., object]] = (),
    output: object = str,
    route: str = models.DEFAULT_ROUTE,
    description: str = "",
    turns: int = REMEMBERED_TURNS,
    max_turns: int = models.DEFAULT_MAX_TURNS,
    timeout: float | None = None,
    queue: str = "default",
    version: str = "",
    script: Callable[[ModelRequest], Answer] | None = None,
) -> AgentDefinition:
    """An agent that answers a message by asking a model, with tools, until it has an answer.

    Its input is ``{"message": text}``; in a conversation it sees the last ``turns`` turns. It
    returns the text, or a value of the type ``output``. ``max_turns`` bounds the requests to the
    model; the rest is as for :func:`agentops.agent`, which also takes a function where this loop
    is not enough.
    """

    async def answer(ctx: RunContext, message: str) -> object:
        said = _said(await ctx.conversation(last=turns)) if turns else []
        return await ctx.model(
            [*said, messages.user(message)],
            system=instructions,
            tools=tools,
            output=cast("type[object]", output),
            route=route,
            max_turns=max_turns,
        )

    answer.__name__ = answer.__qualname__ = name.replace("-", "_")
    answer.__doc__ = description or instructions
    # The version is made from the module that declares it, not from this one.
    answer.__module__ = str(sys._getframe(1).f_globals.get("__name__", __name__))
    answer.__annotations__ = {"ctx": RunContext, "message": str, "return": output}
    declare = agent(
        name=name, version=version, tools=tools, queue=queue, timeout=timeout, title=_title,
        script=script,
    )  # fmt: skip
    return declare(answer)


def _title(message: str) -> str:
    """The first line of what was asked."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1]}…"


def _said(turns: Sequence[Turn]) -> list[Message]:
    """The turns as a model reads them; one that came to no answer is a message without one."""
    said = []
    for turn in turns:
        given = turn.message
        if isinstance(given, dict) and set(given) == {"message"}:
            given = given["message"]
        said.append(messages.user(models.as_text(given)))
        if turn.answer is not None:
            said.append(messages.assistant(models.as_text(turn.answer)))
    return said
