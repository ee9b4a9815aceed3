"""Agents of Pydantic AI as agents of ours: adopted by name, or found in authors' modules.

Imports nothing of Pydantic AI, so that a process that only lists agents does not pay for it. What
runs them is loaded with the first run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from agentops.sdk.agents import AgentDefinition
from agentops.sdk.context import RunContext
from agentops.sdk.errors import Misuse
from agentops.sdk.tools import Effect

if TYPE_CHECKING:
    from pydantic_ai import Agent

_MACHINERY = "agentops.providers.adoption"

# Which agent of ours stands for which of theirs. They cannot be hashed, and stay as long as the
# process does.
_known: dict[int, tuple[object, AgentDefinition]] = {}


class MakeDeps(Protocol):
    """Makes what an agent's tools depend on, for one run."""

    def __call__(self, ctx: RunContext) -> object: ...


def adopt(
    theirs: Agent[Any, Any],
    *,
    name: str = "",
    version: str = "",
    queue: str = "default",
    timeout: float | None = None,
    deps: MakeDeps | None = None,
    effects: Mapping[str, str] | None = None,
    title: Callable[..., str] | None = None,
) -> AgentDefinition:
    """A Pydantic AI agent as an agent of ours; it is not changed.

    Its input is ``prompt``. ``deps`` makes its dependencies, anew after every restart. Its tools
    count as ``once``, which are never repeated unasked, unless ``effects`` says otherwise by the
    name of the tool: ``read`` or ``idempotent``. Earlier turns of a conversation become its
    message history. Raises Misuse for an agent without a name, or an effect that is not known.
    """
    label = name or (theirs.name or "").replace("_", "-")
    if not label:
        raise Misuse("A Pydantic AI agent needs a name: Agent(…, name=“support”) or adopt(name=…).")
    known = {tool: _effect(tool, effect) for tool, effect in (effects or {}).items()}

    async def run(ctx: RunContext, prompt: str) -> object:
        machinery = import_module(_MACHINERY)
        made = deps(ctx) if deps else None
        return await machinery.run(theirs, label, ctx, prompt, made, known)

    # The version of an agent is that of the module that holds it, which is not this one.
    run.__module__ = sys._getframe(1).f_globals.get("__name__", __name__)
    run.__doc__ = str(theirs.description or "") or "A Pydantic AI agent."
    ours = AgentDefinition(
        fn=run, name=label, declared_version=version, queue=queue, timeout=timeout, titled=title
    )
    _known[id(theirs)] = theirs, ours
    return ours


def _effect(tool: str, effect: str) -> Effect:
    if effect not in {Effect.READ, Effect.IDEMPOTENT, Effect.ONCE}:
        raise Misuse(f"adopt(effects={{{tool!r}: …}}): read, idempotent or once, not {effect!r}.")
    return Effect(effect)


def find(module: ModuleType) -> Iterator[AgentDefinition | str]:
    """The Pydantic AI agents of a module as ours; a sentence for each that has no name.

    One that somebody adopted is left as it was adopted. Variables that begin with an underscore
    are the module's own business.
    """
    pydantic_ai = sys.modules.get("pydantic_ai")
    if pydantic_ai is None:
        return
    for variable, value in list(vars(module).items()):
        if variable.startswith("_") or not isinstance(value, pydantic_ai.Agent):
            continue
        if id(value) in _known:
            yield _known[id(value)][1]
        elif value.name:
            ours = adopt(value)
            ours.fn.__module__ = module.__name__
            yield ours
        else:
            yield (
                f"{module.__name__}.{variable} is a Pydantic AI agent without a name. Say "
                f"Agent(…, name=“{variable}”), or call it _{variable} if only your code runs it."
            )
