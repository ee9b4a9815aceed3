"""Agents: functions with a name, a version and limits."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from agentops.sdk.errors import Misuse
from agentops.sdk.history import DEFAULT_COMPACT_AT, check_share
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer
from agentops.sdk.tools import Tool
from agentops.sdk.typing import InputForm, Restorer, input_form, restorer, takes_context

AgentFunction = Callable[..., object | Awaitable[object]]

DEFAULT_MAX_STEPS = 10_000


@dataclass(frozen=True, eq=False)
class AgentDefinition:
    """An agent as its author declared it. Calling it runs the plain function, for tests."""

    fn: AgentFunction
    name: str
    declared_version: str = ""
    tools: tuple[Tool[..., object], ...] = ()
    queue: str = "default"
    timeout: float | None = None
    max_steps: int = DEFAULT_MAX_STEPS
    on_code_change: str = "verify"
    titled: Callable[..., str] | None = None
    script: Callable[[ModelRequest], Answer] | None = None
    max_running: int | None = None
    compact_at: float = DEFAULT_COMPACT_AT

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.fn(*args, **kwargs)

    @property
    def description(self) -> str:
        return inspect.getdoc(self.fn) or ""

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.fn)

    @cached_property
    def form(self) -> InputForm:
        return input_form(self.fn, self.name)

    @property
    def input_schema(self) -> dict[str, object]:
        return self.form.schema

    @cached_property
    def restore(self) -> Restorer:
        return restorer(self.fn)

    @cached_property
    def version(self) -> str:
        """The declared version, or a digest of the source of the module that holds the agent."""
        return self.declared_version or f"src-{_source_digest(self.fn.__module__)}"

    def validate_input(self, value: object) -> dict[str, object]:
        """Keyword arguments for the function. Raises InvalidInput."""
        return self.form.arguments(value)

    def title_for(self, arguments: dict[str, object]) -> str:
        """What this run is about, in the author's words, or nothing."""
        return self.titled(**arguments) if self.titled else ""


@overload
def agent(fn: AgentFunction, /) -> AgentDefinition: ...
@overload
def agent(
    *,
    name: str | None = ...,
    version: str = ...,
    tools: Sequence[Tool[..., object]] = ...,
    queue: str = ...,
    timeout: float | None = ...,
    max_steps: int = ...,
    on_code_change: str = ...,
    title: Callable[..., str] | None = ...,
    script: Callable[[ModelRequest], Answer] | None = ...,
    max_running: int | None = ...,
    compact_at: float = ...,
) -> Callable[[AgentFunction], AgentDefinition]: ...
def agent(
    fn: AgentFunction | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "",
    tools: Sequence[Tool[..., object]] = (),
    queue: str = "default",
    timeout: float | None = None,
    max_steps: int = DEFAULT_MAX_STEPS,
    on_code_change: str = "verify",
    title: Callable[..., str] | None = None,
    script: Callable[[ModelRequest], Answer] | None = None,
    max_running: int | None = None,
    compact_at: float = DEFAULT_COMPACT_AT,
) -> AgentDefinition | Callable[[AgentFunction], AgentDefinition]:
    """Declare a function as an agent. Its first parameter is the context, the rest is its input.

    ``name`` defaults to the function's name with dashes. ``timeout`` bounds the working time in
    seconds, waits excluded. ``max_steps`` bounds recorded steps. ``queue`` names the workers that
    may run it. ``on_code_change`` says what happens to runs begun on another version: ``verify``
    (default: go on when the record fits the new code, otherwise park), ``strict`` (arguments of
    steps must be equal too) or ``pinned`` (only workers of that version go on). ``title`` makes a
    run's title from its input. ``script`` says what a model would, where no provider has a key:
    it gets a ModelRequest and returns a text, ToolUses or an error to raise. ``max_running`` is how
    many runs of the agent hold workers at once, on all machines together; the others stay queued.
    ``compact_at`` is the part of a model's window that a request with its history may fill before
    the oldest turns are summarised; 0 forbids summaries.

    Raises Misuse for a function without a context, or a contradiction.
    """

    def declare(function: AgentFunction) -> AgentDefinition:
        made = AgentDefinition(
            fn=function,
            name=name or getattr(function, "__name__", "").replace("_", "-"),
            declared_version=version,
            tools=tuple(tools),
            queue=queue,
            timeout=timeout,
            max_steps=max_steps,
            on_code_change=on_code_change,
            titled=title,
            script=script,
            max_running=max_running,
            compact_at=check_share(compact_at),
        )
        return _checked(made)

    return declare if fn is None else declare(fn)


def _checked(made: AgentDefinition) -> AgentDefinition:
    """The declaration. Raises Misuse for one that cannot work."""
    label = made.name
    if not takes_context(made.fn):
        raise Misuse(f"Agent {label}: the first parameter is the context: def {label}(ctx, …).")
    if made.on_code_change not in {"verify", "strict", "pinned"}:
        raise Misuse(f"Agent {label}: on_code_change is verify, strict or pinned.")
    if made.max_steps < 1 or (made.timeout is not None and made.timeout <= 0):
        raise Misuse(f"Agent {label}: max_steps and timeout must be above 0.")
    if made.max_running is not None and made.max_running < 1:
        raise Misuse(f"Agent {label}: max_running must be above 0; None sets no limit.")
    return made


def _source_digest(module_name: str) -> str:
    module = sys.modules.get(module_name)
    path = getattr(module, "__file__", None)
    source = Path(path).read_bytes() if path and Path(path).exists() else module_name.encode()
    return hashlib.sha256(source).hexdigest()[:12]
