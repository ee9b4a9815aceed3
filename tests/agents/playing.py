"""Sample agents in memory, with the part their authors wrote for them and real children."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentops import AgentDefinition
from agentops.testing import Journal, Notebook, Result, ScriptedModel, run


def play(
    agent: AgentDefinition,
    given: object = None,
    *children: AgentDefinition,
    journal: Journal | None = None,
    crash_after: int | None = None,
    models: ScriptedModel | None = None,
    memory: Notebook | None = None,
) -> Result:
    """Run it; the models say what its script does, unless others are given."""
    assert agent.script is not None
    return run(
        agent,
        given,
        journal=journal,
        crash_after=crash_after,
        memory=memory,
        models=models or ScriptedModel(agent.script),
        children=_children(children) if children else None,
    )


def output(result: Result) -> dict[str, Any]:
    assert isinstance(result.output, dict), (result.status, result.error, result.detail)
    return result.output


def _children(agents: tuple[AgentDefinition, ...]) -> Callable[[str, object], object]:
    """Each child runs in a thread, because one loop runs already."""
    known = {agent.name: agent for agent in agents}

    def child(name: str, given: object) -> object:
        with ThreadPoolExecutor(1) as pool:
            return output(pool.submit(play, known[name], given).result())

    return child
