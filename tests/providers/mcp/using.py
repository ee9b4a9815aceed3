"""Real servers under agents that run in memory."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from agentops.execution.port import Ask, Held
from agentops.providers.mcp import connections
from agentops.providers.mcp.definitions import Definition, listed
from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import ToolError
from agentops.sdk.mcp import RemoteTool


class RealServers:
    """Does calls as a worker does them; every description is agreed to.

    One loop per run, so connections are closed with each.
    """

    async def reach(self, tool: RemoteTool, arguments: Mapping[str, object]) -> Ask | Held:
        found = await connections.definitions(tool.server, fresh=not tool.remote)
        if not tool.remote:
            return functools.partial(_answer, tool, found)
        if tool.remote not in found:
            raise ToolError(f"{tool.server.name} offers no tool “{tool.remote}” any more.")
        return functools.partial(connections.call, tool.server, tool.remote, arguments)


async def _answer(tool: RemoteTool, found: Mapping[str, Definition], _: ToolContext) -> object:
    return listed(tool.server, [it for it in found.values() if tool.server.allows(it.name)])


def context(seconds: float = 30.0) -> ToolContext:
    """What a call outside of a run is told."""
    import time

    return ToolContext(run_id="run_1", key="k", attempt=1, deadline=time.monotonic() + seconds)
