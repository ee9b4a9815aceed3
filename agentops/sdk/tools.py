"""Tools: functions with a declared effect, so that the runtime knows what it may repeat."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar, overload

from pydantic import ValidationError

from agentops.sdk.errors import Misuse
from agentops.sdk.previews import Preview
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.typing import Restorer, faults, restorer, takes_context, tool_form

if TYPE_CHECKING:
    from typing import Literal

    from pydantic import BaseModel, TypeAdapter

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Told = Preview | str

DEFAULT_TIMEOUT_SECONDS = 60.0


class Effect(enum.StrEnum):
    """What a tool does to the world, and so what a crash in the middle of it means."""

    READ = "read"
    """Changes nothing. Run again after a crash."""
    IDEMPOTENT = "idempotent"
    """May be repeated with the same key, which the tool gets as ``ctx.idempotency_key``."""
    TRANSACTIONAL = "transactional"
    """Writes through Django's database only; effect and outcome commit together."""
    ONCE = "once"
    """Must not be repeated. A durable intent comes first; a crash after it is an uncertain
    outcome, which ``verify`` or an operator settles."""


class Verdict(enum.StrEnum):
    """What ``verify`` found out about an attempt whose outcome was lost."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer of a ``verify`` function; ``result`` stands for the tool's own when it was done."""

    verdict: Verdict
    result: object = None

    @classmethod
    def done(cls, result: object = None) -> Verified:
        return cls(Verdict.DONE, result)

    @classmethod
    def not_done(cls) -> Verified:
        return cls(Verdict.NOT_DONE)

    @classmethod
    def unknown(cls) -> Verified:
        return cls(Verdict.UNKNOWN)


@dataclass(frozen=True, eq=False)
class Tool(Generic[P, R_co]):
    """A function an agent may call. Calling it directly runs it plainly, for tests."""

    fn: Callable[P, R_co | Awaitable[R_co]]
    name: str
    effect: Effect = Effect.ONCE
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    optional: bool = False
    fallback: Tool[..., R_co] | None = None
    verify: Callable[..., Verified | Awaitable[Verified]] | None = None
    isolation: str = ""
    target: str = ""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Arguments that the agent chose, so that no model does; see :meth:`given`."""
    delegate: str = ""
    """The agent that does the work, in a run of its own; see :func:`agentops.agent_tool`."""
    approval: str = "policy"
    """Whether a person is asked before each call: by the rules, always, or not for its own sake."""
    preview: Callable[..., object] | None = None
    """Tells people what a call would do."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co | Awaitable[R_co]:
        return self.fn(*args, **kwargs)

    @property
    def description(self) -> str:
        return inspect.getdoc(self.fn) or ""

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.fn)

    @cached_property
    def takes_context(self) -> bool:
        return takes_context(self.fn)

    @cached_property
    def restore(self) -> Restorer:
        """Turns a recorded result back into the declared return type."""
        return restorer(self.fn)

    @cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.fn)

    @cached_property
    def form(self) -> TypeAdapter[BaseModel]:
        return tool_form(self.fn, self.name, without=frozenset(self.fixed))

    @cached_property
    def schema(self) -> dict[str, object]:
        """JSON schema of the arguments, as a model is told it."""
        return dict(self.form.json_schema())

    def given(self, **fixed: object) -> Tool[..., R_co]:
        """This tool for a model that must not choose some arguments, nor hear of them.

        Raises Misuse for a name that is no parameter of it.
        """
        unknown = [name for name in fixed if name not in self.signature.parameters]
        if unknown:
            raise Misuse(f"Tool {self.name}{self.signature} takes no {', '.join(unknown)}.")
        return dataclasses.replace(self, fixed={**self.fixed, **fixed})

    def arguments(self, given: dict[str, object] | str) -> dict[str, object]:
        """What a model gave, as the function takes it. Raises ValueError with what is wrong."""
        if isinstance(given, str):
            raise ValueError("The arguments are not a JSON object.")
        try:
            checked = self.form.validate_python(given)
        except ValidationError as error:
            raise ValueError(faults(error)) from None
        chosen = {name: getattr(checked, name) for name in type(checked).model_fields}
        return {**chosen, **self.fixed}

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """The arguments by name. Raises Misuse when they do not fit the function."""
        head = (None,) if self.takes_context else ()
        try:
            bound = self.signature.bind(*head, *args, **kwargs)
        except TypeError as error:
            raise Misuse(f"Tool {self.name}{self.signature}: {error}") from None
        named = dict(bound.arguments)
        if self.takes_context:
            named.pop(next(iter(self.signature.parameters)))
        return named

    def spread(self, named: Mapping[str, object]) -> tuple[tuple[object, ...], dict[str, object]]:
        """Arguments by name as the function takes them: what :meth:`bind` made of a call."""
        head = {next(iter(self.signature.parameters)): None} if self.takes_context else {}
        bound = inspect.BoundArguments(self.signature, OrderedDict(head | dict(named)))
        return bound.args[len(head) :], bound.kwargs


class Declare(Protocol):
    """Makes a tool of a function; its result is that of the call, awaited where needed."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(fn: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
@overload
def tool(fn: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = ...,
    effect: Effect | Literal["read", "idempotent", "transactional", "once"] = ...,
    timeout: float = ...,
    retries: int | None = ...,
    retry: RetryPolicy | None = ...,
    optional: bool = ...,
    fallback: Tool[..., object] | None = ...,
    verify: Callable[..., Verified | Awaitable[Verified]] | None = ...,
    isolation: Literal["", "process"] = ...,
    target: str = ...,
    approval: Literal["policy", "always", "never"] = ...,
    preview: Callable[..., Told | Awaitable[Told]] | None = ...,
) -> Declare: ...
def tool(
    fn: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    effect: Effect | str = Effect.ONCE,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    retries: int | None = None,
    retry: RetryPolicy | None = None,
    optional: bool = False,
    fallback: Tool[..., object] | None = None,
    verify: Callable[..., Verified | Awaitable[Verified]] | None = None,
    isolation: str = "",
    target: str = "",
    approval: str = "policy",
    preview: Callable[..., object] | None = None,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Declare a function as a tool.

    ``effect`` says what a crash in the middle means. ``timeout`` is seconds per attempt,
    ``retries`` the further attempts after a failure that trying again can cure (default 3 for
    ``read`` and ``idempotent``, else 0); ``retry`` gives the whole policy. An ``optional`` tool
    that fails for good returns a false :class:`~agentops.Missing`; ``fallback`` takes the same
    arguments and stands in; both leave the run *degraded*. ``verify`` takes the tool's arguments,
    after a ToolContext if it wants one, and answers whether a lost attempt happened.
    ``isolation="process"`` runs it in a process that is killed at the timeout. ``target`` names
    what it depends on, for the shared circuit breaker (default: the tool's name).

    ``approval="always"`` asks a person before each call, ``"never"`` lets pass what no rule speaks
    of. ``preview`` takes the same as ``verify`` and tells who is asked what a call would do, with a
    :class:`~agentops.Preview` or a sentence.

    Raises Misuse for a declaration that contradicts itself.
    """

    def declare(function: Callable[P, R]) -> Tool[P, R]:
        label = name or str(getattr(function, "__name__", ""))
        declared = _effect(label, effect)
        _check_asking(label, approval, preview)
        _check_declaration(label, declared, timeout, verify, isolation, function)
        tries = retry or RetryPolicy(attempts=1 + _retries(declared, retries))
        return Tool(
            function, label, declared, timeout, tries, optional,
            fallback,  # type: ignore[arg-type]  # same arguments is the author's promise
            verify, isolation, target or label, approval=approval, preview=preview,
        )  # fmt: skip

    return declare if fn is None else declare(fn)


def _effect(label: str, effect: str) -> Effect:
    if effect not in list(Effect):
        raise Misuse(f"Tool {label}: effect must be one of {', '.join(Effect)}.")
    return Effect(effect)


def _retries(effect: Effect, retries: int | None) -> int:
    if retries is not None:
        return max(0, retries)
    return 3 if effect in {Effect.READ, Effect.IDEMPOTENT} else 0


def _check_asking(name: str, approval: str, preview: object) -> None:
    if approval not in {"policy", "always", "never"}:
        raise Misuse(f"Tool {name}: approval is policy, always or never, not {approval!r}.")
    if preview is not None and not callable(preview):
        raise Misuse(f"Tool {name}: preview is a function that takes the tool's arguments.")


def _check_declaration(
    name: str, effect: Effect, timeout: float, verified: object, isolation: str, function: object
) -> None:
    if timeout <= 0:
        raise Misuse(f"Tool {name}: timeout is in seconds and must be above 0.")
    if verified and effect is not Effect.ONCE:
        raise Misuse(f"Tool {name}: verify belongs to effect “once”; {effect} is simply repeated.")
    if effect is Effect.TRANSACTIONAL and inspect.iscoroutinefunction(function):
        raise Misuse(
            f"Tool {name}: a transactional tool is a plain def; Django's transactions are."
        )
    if isolation not in {"", "process"}:
        raise Misuse(f"Tool {name}: isolation is “process” or nothing.")
    if isolation and (effect is Effect.TRANSACTIONAL or inspect.iscoroutinefunction(function)):
        raise Misuse(f"Tool {name}: only a plain def that is not transactional can be isolated.")
