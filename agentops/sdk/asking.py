"""How ``ctx.model`` is asked, for both kinds of context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

from agentops.sdk import models
from agentops.sdk.errors import Misuse
from agentops.sdk.messages import Message
from agentops.sdk.tools import Tool

Said = str | Message | Sequence[Message]


class HowTo(TypedDict, total=False):
    """How ``ctx.model`` is to ask."""

    route: str
    system: str
    tools: Sequence[Tool[..., object]]
    max_turns: int
    repairs: int
    timeout: float
    max_tokens: int
    temperature: float
    id: str


def talk_of(prompt: Said, output: object, how: HowTo) -> models.Talk:
    """What the turns begin with. Raises Misuse for what cannot be asked."""
    given = dict(how)
    system, tools = given.pop("system", None), given.pop("tools", ())
    for tool in cast("Sequence[object]", tools):
        if not isinstance(tool, Tool):
            raise Misuse(f"ctx.model(tools=…): {tool!r} is not a tool. Decorate it with @tool.")
    said = models.prompt(prompt, cast("str | None", system))
    return models.Talk(
        messages=said,
        tools=tuple(cast("Sequence[Tool[..., object]]", tools)),
        output=output,
        **given,  # type: ignore[arg-type]  # typed by HowTo
    )
