"""Agents as tools of a model: each call is a run of its own, seen and steered like any other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agentops.sdk.agents import AgentDefinition
from agentops.sdk.errors import InvalidInput, Misuse
from agentops.sdk.tools import Tool


@dataclass(frozen=True, eq=False, kw_only=True)
class AgentTool(Tool[..., object]):
    """What a model is told of an agent: its input is that of the agent."""

    agent: AgentDefinition
    told: str = ""

    @property
    def description(self) -> str:
        return self.told or self.agent.description

    @cached_property
    def schema(self) -> dict[str, object]:
        """JSON schema of the agent's input."""
        return dict(self.agent.input_schema)

    def given(self, **fixed: object) -> Tool[..., object]:  # noqa: ARG002 - it takes none
        raise Misuse(f"{self.name} is an agent: it chooses its own arguments.")

    def arguments(self, given: dict[str, object] | str) -> dict[str, object]:
        """The input a model gave, unchanged. Raises ValueError with what is wrong."""
        if isinstance(given, str):
            raise ValueError("The arguments are not a JSON object.")
        try:
            self.agent.validate_input(given)
        except InvalidInput as error:
            raise ValueError(f"{error.path}: {error.reason}") from None
        return given


def agent_tool(
    agent: AgentDefinition, *, name: str | None = None, description: str = ""
) -> Tool[..., object]:
    """Let a model hand work to ``agent``.

    Each call starts a child run and the model is told what it returns, or why it failed. Several
    asked for at once run at once. ``name`` defaults to the agent's with underscores,
    ``description`` to its docstring; the worker must know the agent (``AGENTOPS_AGENTS``).
    """
    return AgentTool(
        fn=agent.fn,
        name=name or agent.name.replace("-", "_"),
        delegate=agent.name,
        agent=agent,
        told=description,
    )
