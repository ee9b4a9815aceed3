"""The verbs of a ``def`` agent: those of ``context``, for a thread that blocks."""

from __future__ import annotations

import contextlib
import functools
import random
import uuid
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, Unpack, cast, overload

from agentops.sdk import models, questions, serving, steps
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.asking import HowTo, Said, talk_of
from agentops.sdk.context import Backend
from agentops.sdk.errors import AgentopsError, Misuse
from agentops.sdk.mcp import ServerTool
from agentops.sdk.remembering import SyncMemory
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Tool
from agentops.sdk.turns import Turn

R = TypeVar("R")


class Bridge(Protocol):
    """How a ``def`` agent in its thread reaches the runtime's loop."""

    @property
    def backend(self) -> Backend: ...
    def ask(self, step: steps.Step) -> tuple[str, object]: ...
    def seed(self, name: str) -> str: ...
    def on_loop(self, call: Callable[[], R]) -> R: ...
    def parallel(self, branches: Sequence[Callable[[], object]]) -> list[object]: ...
    def first(self, branches: Sequence[Callable[[], object]]) -> tuple[int, object]: ...
    def branch(self, name: str) -> contextlib.AbstractContextManager[None]: ...


class SyncChildRun:
    """A run that a ``def`` agent started."""

    def __init__(self, id: str, key: str, agent: str, bridge: Bridge) -> None:
        self.id = id
        self._key, self._agent, self._bridge = key, agent, bridge

    def result(self) -> object:
        """Wait for what it returns. Raises ChildFailed when it ended without a result."""
        return self._bridge.ask(steps.AwaitChild(self._key, self._agent))[1]


class SyncRunContext:
    """The verbs of a ``def`` agent: those of :class:`RunContext`, blocking."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._answered: set[str] = set()

    @property
    def run_id(self) -> str:
        """Public id of the run."""
        return self._bridge.backend.run_id

    @property
    def answered_by(self) -> list[str]:
        """Names of the models that have answered; see :attr:`RunContext.answered_by`."""
        return sorted(self._answered)

    @overload
    def call(self, tool: ServerTool, *, id: str | None = ..., **kwargs: object) -> object: ...
    @overload
    def call(
        self, tool: Tool[..., R], *args: object, id: str | None = ..., **kwargs: object
    ) -> R: ...
    def call(
        self,
        tool: Tool[..., R] | ServerTool,
        *args: object,
        id: str | None = None,
        **kwargs: object,
    ) -> object:
        """Call a tool; see :meth:`RunContext.call`."""
        if isinstance(tool, ServerTool):
            steps.by_name(tool, args)
            return _walk_in_thread(self._bridge, serving.call(tool, kwargs, id))
        return self._bridge.ask(steps.tool_call(tool, args, kwargs, id))[1]

    @overload
    def step(
        self,
        fn: Callable[..., Coroutine[object, object, R]],
        *args: object,
        name: str | None = ...,
        id: str | None = ...,
        retries: int = ...,
        timeout: float = ...,
        **kwargs: object,
    ) -> R: ...
    @overload
    def step(
        self,
        fn: Callable[..., R],
        *args: object,
        name: str | None = ...,
        id: str | None = ...,
        retries: int = ...,
        timeout: float = ...,
        **kwargs: object,
    ) -> R: ...
    def step(
        self,
        fn: Callable[..., Coroutine[object, object, R] | R],
        *args: object,
        name: str | None = None,
        id: str | None = None,
        retries: int = 0,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        **kwargs: object,
    ) -> R:
        """Run ``fn`` and record what it returns; see :meth:`RunContext.step`."""
        work = steps.inline_step(
            fn, args, kwargs, name=name, id=id, retries=retries, timeout=timeout
        )
        return cast("R", self._bridge.ask(work)[1])

    @overload
    def model(self, prompt: Said, **how: Unpack[HowTo]) -> str: ...
    @overload
    def model(self, prompt: Said, *, output: type[R], **how: Unpack[HowTo]) -> R: ...
    def model(self, prompt: Said, *, output: object = None, **how: Unpack[HowTo]) -> object:
        """Ask a model; see :meth:`RunContext.model`."""
        turns = serving.talk(talk_of(prompt, output, how), self._answered)
        return _walk_in_thread(self._bridge, turns)

    def ask(
        self,
        question: str,
        *,
        choices: Sequence[str] | Mapping[str, str] | None = None,
        form: object = str,
        default: object = questions.NOTHING,
        timeout: float | None = None,
        id: str | None = None,
    ) -> Any:
        """Ask people; see :meth:`RunContext.ask`."""
        step = questions.question(
            question, choices=choices, form=form, default=default, timeout=timeout, id=id
        )
        return self._bridge.ask(step)[1]

    def sleep(self, seconds: float) -> None:
        """Wait; a long wait holds no worker and survives restarts."""
        self._bridge.ask(steps.Sleep(max(0.0, seconds)))

    def wait_event(self, name: str, *, timeout: float | None = None) -> object:
        """Wait for an event sent to this run. Raises EventTimeout after ``timeout`` seconds."""
        return self._bridge.ask(steps.AwaitEvent(str(name), timeout))[1]

    def spawn(
        self,
        agent: AgentDefinition | str,
        input: object = None,
        *,
        title: str = "",
        queue: str | None = None,
        id: str | None = None,
    ) -> SyncChildRun:
        """Start another agent as a run of its own."""
        what = steps.spawn(agent, input, title=title, queue=queue, id=id)
        key, public_id = self._bridge.ask(what)
        return SyncChildRun(str(public_id), key, what.agent, self._bridge)

    @property
    def memory(self) -> SyncMemory:
        """What is remembered from one run to the next; see :class:`RunContext`."""
        return SyncMemory(self._bridge.ask)

    def conversation(self, *, last: int = 20) -> list[Turn]:
        """The turns before this one; see :meth:`RunContext.conversation`."""
        work = steps.conversation(self._bridge.backend.turns, last)
        return cast("list[Turn]", self._bridge.ask(work)[1])

    def parallel(self, branches: Sequence[Callable[[SyncRunContext], object]]) -> list[object]:
        """Run the branches at once, each in a thread of its own; results in the order given."""
        return self._bridge.parallel([_bound(branch, self) for branch in branches])

    def first(self, **branches: Callable[[SyncRunContext], object]) -> tuple[str, object]:
        """Run the branches at once; name and result of the first to end. The others stop."""
        if not branches:
            raise Misuse("ctx.first(name=function, …) needs at least one branch.")
        names = list(branches)
        winner, result = self._bridge.first([_bound(b, self) for b in branches.values()])
        return names[winner], result

    def branch(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name the place of the steps inside, so that neighbours cannot renumber them."""
        return self._bridge.branch(name)

    def now(self) -> datetime:
        """The time of the last recorded outcome, in UTC: the same on every replay."""
        return self._bridge.on_loop(self._bridge.backend.now)

    def random(self) -> random.Random:
        """A random generator seeded from run and place: the same on every replay."""
        return random.Random(self._bridge.seed("random"))  # noqa: S311 - not for secrets

    def uuid(self) -> uuid.UUID:
        """A UUID made from run and place: the same on every replay."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self._bridge.seed("uuid"))

    def patched(self, id: str) -> bool:
        """Whether this run has the patch ``id``; see :meth:`RunContext.patched`."""
        return self._bridge.on_loop(lambda: self._bridge.backend.patched(id))

    def progress(self, text: str, fraction: float | None = None) -> None:
        """Tell people how far it is, in words and optionally as a fraction of 1."""
        self._bridge.on_loop(lambda: self._bridge.backend.progress(text, fraction))


def _walk_in_thread(
    bridge: Bridge, turns: Generator[models.Batch, models.Answers, object]
) -> object:
    """What :func:`_walk` does, for a thread that blocks."""
    answers: models.Answers | None = None
    while True:
        try:
            batch = turns.send(answers) if answers is not None else next(turns)
        except StopIteration as over:
            return over.value
        asking = [functools.partial(_ask_in_thread, bridge, steps.of(part)) for part in batch]
        if len(asking) == 1:
            answers = [asking[0]()]
        else:
            answers = cast("models.Answers", bridge.parallel(asking))


def _ask_in_thread(bridge: Bridge, step: steps.Step) -> tuple[str, object]:
    try:
        return bridge.ask(step)
    except AgentopsError as error:
        return "", error


def _bound(
    branch: Callable[[SyncRunContext], object], context: SyncRunContext
) -> Callable[[], object]:
    return lambda: branch(context)
