"""How ``ctx.model`` is asked, for both kinds of context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

from agentops.sdk import models
from agentops.sdk.errors import Misuse
from agentops.sdk.history import check_share
from agentops.sdk.mcp import McpServer, ServerTool
from agentops.sdk.messages import Message
from agentops.sdk.tools import Tool

Said = str | Message | Sequence[Message]


class HowTo(TypedDict, total=False):
    """How ``ctx.model`` is to ask."""

    route: str
    system: str
    tools: Sequence[Tool[..., object] | McpServer | ServerTool]
    max_turns: int
    repairs: int
    timeout: float
    max_tokens: int
    temperature: float
    id: str
    history: bool
    compact_at: float


def talk_of(prompt: Said, output: object, how: HowTo) -> models.Talk:
    """What the turns begin with. Raises Misuse for what cannot be asked."""
    given = dict(how)
    system, tools = given.pop("system", None), given.pop("tools", ())
    offered = [_offered(tool) for tool in cast("Sequence[object]", tools)]
    said = models.prompt(prompt, cast("str | None", system))
    recall = _recall(prompt, given.pop("history", None), given.pop("compact_at", None))
    return models.Talk(
        messages=said,
        history=recall,
        tools=tuple(tool for tool in offered if isinstance(tool, Tool)),
        servers=tuple(server for server in offered if isinstance(server, McpServer)),
        output=output,
        **given,  # type: ignore[arg-type]  # typed by HowTo
    )


def _recall(prompt: Said, history: object, compact_at: object) -> models.Recall | None:
    """A list of messages is a conversation of its own, unless the agent says otherwise."""
    share = None if compact_at is None else check_share(compact_at)
    if history is None:
        history = isinstance(prompt, (str, Message))
        return models.Recall(share) if history else None
    return models.Recall(share, wanted=True) if history else None


def _offered(tool: object) -> Tool[..., object] | McpServer:
    if isinstance(tool, ServerTool):
        return tool.alone
    if not isinstance(tool, (Tool, McpServer)):
        raise Misuse(f"ctx.model(tools=…): {tool!r} is not a tool. Decorate it with @tool.")
    return tool
