"""Tools of servers in the turns with a model, and called by name.

What a server offers is asked in a step of its own, so that a replay sees the same tools whatever
became of the server.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace

from agentops.sdk import mcp, models
from agentops.sdk.errors import Misuse, StepFailed
from agentops.sdk.mcp import McpServer, RemoteTool, ServerTool
from agentops.sdk.models import Answers, Batch, Talk, ToolCall
from agentops.sdk.tools import Tool


def talk(asked: Talk, answered: set[str]) -> Generator[Batch, Answers, object]:
    """What ``models.talk`` does, with the tools of the servers among what it may use."""
    if not asked.servers:
        return (yield from models.talk(asked, answered))
    own = None if asked.id is None else f"{asked.id}/tools"
    answers = yield [
        ToolCall(mcp.listing(server), {}, own and f"{own}/{n}")
        for n, server in enumerate(asked.servers, 1)
    ]
    tools: dict[str, Tool[..., object]] = {tool.name: tool for tool in asked.tools}
    for server, (_, listed) in zip(asked.servers, answers, strict=True):
        for tool in _tools(server, listed):
            if tools.setdefault(tool.name, tool) is not tool and tool.name in _own(asked):
                raise Misuse(f"ctx.model(tools=…): two tools are called “{tool.name}”.")
    offered = replace(asked, tools=tuple(tools.values()), servers=())
    return (yield from models.talk(offered, answered))


def call(
    wanted: ServerTool, arguments: Mapping[str, object], id: str | None
) -> Generator[Batch, Answers, object]:
    """Call one tool of a server. Raises StepFailed when it has none of this name."""
    own = None if id is None else f"{id}/tools"
    [(_, listed)] = yield [ToolCall(mcp.listing(wanted.alone), {}, own)]
    found = next(iter(_tools(wanted.alone, listed)), None)
    if found is None and isinstance(listed, dict):
        text = f"The server {wanted.server.name} offers no tool “{wanted.name}”."
        raise StepFailed(text, code="no_such_tool")
    if found is None:
        return listed
    [(_, value)] = yield [ToolCall(found, dict(arguments), id)]
    if isinstance(value, BaseException):
        raise value
    return value


def _own(asked: Talk) -> set[str]:
    return {tool.name for tool in asked.tools}


def _tools(server: McpServer, listed: object) -> list[RemoteTool]:
    """The tools a recorded list tells of; none of an optional server that could not be asked."""
    if isinstance(listed, BaseException):
        raise listed
    offered = listed.get("tools") if isinstance(listed, dict) else None
    return [mcp.remote(server, it) for it in offered or [] if server.allows(str(it["name"]))]
