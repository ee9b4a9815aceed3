"""Servers of tools from a worker: connected, and what they say compared with what was agreed to.

# Note [Pinned descriptions]
A model does what the description of a tool says, and the description is text by the server's
owner. One that was harmless when somebody looked at it can be changed later into one that is not.
So the digest of name, description, input schema and annotations is kept from the first use, or
from an operator's word. A model is told what was accepted, never what a server says since; a call
of a tool that is described differently by now waits for an operator.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentops.execution.port import Ask, Held
from agentops.execution.records import Claim
from agentops.providers.mcp.definitions import Definition, listed, read
from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import ToolError
from agentops.sdk.mcp import McpServer, RemoteTool
from runs.engine.store import TOOL_CHANGED

if TYPE_CHECKING:
    from runs.engine.host import Host

Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]
_CONNECTIONS = "agentops.providers.mcp.connections"

_KNOWN = """
SELECT tool, accepted_digest, refused_digest, accepted FROM tool_pin
 WHERE server = $1 AND tool = ANY($2::text[])
"""
# The first is accepted as it comes, or offered to an operator.
_FIRST = """
INSERT INTO tool_pin (server, tool, accepted_digest, accepted, accepted_by, accepted_at,
                      offered_digest, offered, offered_at, refused_digest, refused, refused_by)
SELECT $1, o.tool,
       CASE WHEN $5 THEN o.digest ELSE '' END, CASE WHEN $5 THEN o.told ELSE '{}' END, '',
       CASE WHEN $5 THEN clock_timestamp() END,
       CASE WHEN $5 THEN '' ELSE o.digest END, CASE WHEN $5 THEN '{}' ELSE o.told END,
       CASE WHEN NOT $5 THEN clock_timestamp() END, '', '{}', ''
  FROM unnest($2::text[], $3::text[], $4::text[]) AS o(tool, digest, told)
ON CONFLICT (server, tool) DO NOTHING
"""
_CHANGED = """
UPDATE tool_pin p SET offered_digest = o.digest, offered = o.told, offered_at = clock_timestamp()
  FROM unnest($2::text[], $3::text[], $4::text[]) AS o(tool, digest, told)
 WHERE p.server = $1 AND p.tool = o.tool
   AND o.digest NOT IN (p.accepted_digest, p.offered_digest, p.refused_digest)
"""


@dataclass(frozen=True, slots=True)
class Pin:
    """What was agreed to about a tool."""

    accepted: str
    refused: str
    told: Definition

    def state(self, digest: str) -> str:
        """What holds for the description with this digest."""
        if digest == self.accepted:
            return "accepted"
        return "refused" if digest == self.refused else "offered"


class Servers:
    """The servers as this process may use them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def reach(
        self, _: Claim, tool: RemoteTool, arguments: Mapping[str, object]
    ) -> Ask | Held:
        """See ``Port.reach``. A list is asked anew; a call goes by what its connection was told."""
        client = await asyncio.to_thread(import_module, _CONNECTIONS)
        found = await client.definitions(tool.server, fresh=not tool.remote)
        if not tool.remote:
            return await self._offer(tool.server, found)
        if tool.remote not in found:
            raise ToolError(f"{tool.server.name} offers no tool “{tool.remote}” any more.")
        definition = found[tool.remote]
        pins = await self._pins(tool.server.name, [definition])
        state = pins[tool.remote].state(definition.digest)
        if state == "refused":
            raise ToolError(
                f"An operator refused what {tool.server.name} says of {tool.remote} by now."
            )
        if state == "offered":
            return _held(tool.server, tool.remote)
        return functools.partial(client.call, tool.server, tool.remote, arguments)

    async def _offer(self, server: McpServer, found: Mapping[str, Definition]) -> Ask | Held:
        """The tools of a server as they were agreed to; a changed one as it was before."""
        allowed = [it for name, it in sorted(found.items()) if server.allows(name)]
        pins = await self._pins(server.name, allowed)
        shown: list[Definition] = []
        for definition in allowed:
            pin = pins[definition.name]
            state = pin.state(definition.digest)
            if state == "offered" and not pin.accepted:
                return _held(server, definition.name)
            if state != "refused":
                shown.append(pin.told)
        value = listed(server, shown)

        async def answer(_: ToolContext) -> object:
            return value

        return answer

    async def _pins(self, server: str, definitions: Sequence[Definition]) -> dict[str, Pin]:
        first = self._host.options.pins_first
        return await self._host.keeper.ask(
            lambda keeper: _learned(keeper.query, server, definitions, pin_first=first)
        )

    async def close(self) -> None:
        """Let go of the servers, before the loop ends."""
        client = _loaded()
        if client is not None:
            await client.close()


def _held(server: McpServer, tool: str) -> Held:
    return Held(f"{TOOL_CHANGED}{server.name}/{tool}")


def _learned(
    query: Query, server: str, definitions: Sequence[Definition], *, pin_first: bool
) -> dict[str, Pin]:
    """The pins of these tools, after what is new about them was written down."""
    known = _known(query, server, definitions)
    news = [d for d in definitions if _is_news(known.get(d.name), d.digest)]
    if not news:
        return known
    offered = ([d.name for d in news], [d.digest for d in news], [_kept(d) for d in news])
    query(_FIRST, server, *offered, pin_first)
    query(_CHANGED, server, *offered)
    return _known(query, server, definitions)


def _is_news(pin: Pin | None, digest: str) -> bool:
    return pin is None or pin.state(digest) == "offered"


def _known(query: Query, server: str, definitions: Sequence[Definition]) -> dict[str, Pin]:
    rows = query(_KNOWN, server, [d.name for d in definitions])
    return {
        tool: Pin(accepted, refused, read(json.loads(told)))
        for tool, accepted, refused, told in rows
    }


def _kept(definition: Definition) -> str:
    return json.dumps(definition.plain, sort_keys=True)


def _loaded() -> Any:
    """The module, if this process ever used it."""
    return sys.modules.get(_CONNECTIONS)
