"""Functions that stand for the tools of servers, in tests of agents."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Protocol

from agentops.execution.port import Ask, Held
from agentops.sdk import mcp
from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import Misuse, ToolError
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.typing import tool_form

Functions = Mapping[str, Mapping[str, Callable[..., object]]]


class Reach(Protocol):
    """Whatever does the calls of an execution's servers; see ``Port.reach``."""

    async def reach(self, tool: RemoteTool, arguments: Mapping[str, object]) -> Ask | Held: ...


class PlayedServers:
    """Servers by name, each with its tools by name."""

    def __init__(self, servers: Functions) -> None:
        self._servers = servers

    async def reach(self, tool: RemoteTool, arguments: Mapping[str, object]) -> Ask | Held:
        functions = self._servers.get(tool.server.name)
        if functions is None:
            raise Misuse(
                f"No server {tool.server.name} is played. "
                f"Say run(…, servers={{{tool.server.name!r}: {{“tool”: function}}}})."
            )
        if tool.remote and tool.remote not in functions:
            raise ToolError(f"{tool.server.name} offers no tool “{tool.remote}” any more.")

        async def ask(_: ToolContext) -> object:
            if not tool.remote:
                return {"tools": [_offer(tool, name, fn) for name, fn in functions.items()]}
            value = functions[tool.remote](**arguments)
            return await value if inspect.isawaitable(value) else value

        return ask


def _offer(tool: RemoteTool, name: str, fn: Callable[..., object]) -> dict[str, object]:
    schema = dict(tool_form(fn, name).json_schema())
    return mcp.offer(tool.server, name, inspect.getdoc(fn) or "", schema, {})
