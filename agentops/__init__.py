"""The self-hosted runtime that takes an AI agent from demo to production.

Authors import from here. Importing it needs no Django, no settings and no database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agentops.sdk.agents import AgentDefinition, agent
from agentops.sdk.assistants import assistant
from agentops.sdk.blocking import SyncRunContext
from agentops.sdk.calls import ToolContext
from agentops.sdk.context import ChildRun, RunContext
from agentops.sdk.delegating import agent_tool
from agentops.sdk.errors import (
    AgentopsError,
    ChildFailed,
    Denied,
    EventTimeout,
    Fatal,
    InvalidInput,
    Missing,
    Misuse,
    OutcomeUnknown,
    PayloadError,
    PayloadTooLarge,
    Retryable,
    StepFailed,
    StepTimeout,
    ToolError,
    Unanswered,
    UnknownAgent,
)
from agentops.sdk.mcp import McpServer, mcp_server
from agentops.sdk.memory import MemoryScope, Remembered
from agentops.sdk.previews import Preview
from agentops.sdk.remembering import memory_tools
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.tools import Effect, Tool, Verified, tool
from agentops.sdk.turns import Turn

if TYPE_CHECKING:
    from agentops.providers.foreign import adopt

__all__ = [
    "AgentDefinition",
    "AgentopsError",
    "ChildFailed",
    "ChildRun",
    "Denied",
    "Effect",
    "EventTimeout",
    "Fatal",
    "InvalidInput",
    "McpServer",
    "MemoryScope",
    "Missing",
    "Misuse",
    "OutcomeUnknown",
    "PayloadError",
    "PayloadTooLarge",
    "Preview",
    "Remembered",
    "RetryPolicy",
    "Retryable",
    "RunContext",
    "StepFailed",
    "StepTimeout",
    "SyncRunContext",
    "Tool",
    "ToolContext",
    "ToolError",
    "Turn",
    "Unanswered",
    "UnknownAgent",
    "Verified",
    "adopt",
    "agent",
    "agent_tool",
    "assistant",
    "mcp_server",
    "memory_tools",
    "tool",
]


def __getattr__(name: str) -> object:
    # The façade imports the SDK and nothing else; this one name is from a storey above.
    if name == "adopt":
        return import_module("agentops.providers.foreign").adopt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
