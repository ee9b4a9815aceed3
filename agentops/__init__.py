"""The self-hosted runtime that takes an AI agent from demo to production.

Authors import from here. Importing it needs no Django, no settings and no database.
"""

from agentops.sdk.agents import AgentDefinition, agent
from agentops.sdk.blocking import SyncRunContext
from agentops.sdk.calls import ToolContext
from agentops.sdk.context import ChildRun, RunContext
from agentops.sdk.errors import (
    AgentopsError,
    ChildFailed,
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
    UnknownAgent,
)
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.tools import Effect, Tool, Verified, tool
from agentops.sdk.turns import Turn

__all__ = [
    "AgentDefinition",
    "AgentopsError",
    "ChildFailed",
    "ChildRun",
    "Effect",
    "EventTimeout",
    "Fatal",
    "InvalidInput",
    "Missing",
    "Misuse",
    "OutcomeUnknown",
    "PayloadError",
    "PayloadTooLarge",
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
    "UnknownAgent",
    "Verified",
    "agent",
    "tool",
]
