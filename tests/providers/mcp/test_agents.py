"""Agents over a real server: a crash after any row, and toolsets of Pydantic AI."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from agentops import RunContext, adopt, agent
from agentops.testing import run
from tests.mcpserver import FOLDER, Stage
from tests.providers.mcp.using import RealServers

pytestmark = pytest.mark.slow


def test_a_crash_after_any_row_repeats_no_once_call(stage: Stage) -> None:
    shop = stage.server()

    @agent
    async def cashier(ctx: RunContext, order: str) -> object:
        return await ctx.call(shop.tool("refund"), order=order)

    for rows in range(4):
        order = {"order": str(rows)}
        crashed = run(cashier, order, servers=RealServers(), crash_after=rows)
        again = run(cashier, order, servers=RealServers(), journal=crashed.journal)
        assert stage.done.count(f"refund {rows}") <= 1
        done = again.output == {"result": f"refunded {rows}"}
        assert done or again.detail.startswith("uncertain:shop__refund")


async def says(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    if any(isinstance(message, ModelResponse) for message in messages):
        yield "Done."
    else:
        yield {0: DeltaToolCall("refund", '{"order": "7"}', tool_call_id="t1")}


def test_an_adopted_agent_keeps_its_mcp_toolset(stage: Stage) -> None:
    args = ["-m", "tests.mcpserver", "stdio"]
    env = {FOLDER: str(stage.folder)}
    toolset = MCPToolset(StdioTransport(sys.executable, args, env=env), id="shop")
    theirs = Agent(
        FunctionModel(stream_function=says),
        name="desk",
        toolsets=[toolset],
    )
    result = run(adopt(theirs), {"prompt": "Refund 7"})
    assert result.output == "Done.", result.error
    assert stage.done == ["refund 7"]
    assert result.journal.keys().count("refund:t1") == 1
