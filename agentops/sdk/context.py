"""The verbs an agent has. The runtime stands behind them; a test can stand there too."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from datetime import datetime
from typing import Protocol, TypedDict, TypeVar, Unpack, cast, overload

from agentops.sdk import models, steps
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.errors import AgentopsError, Misuse
from agentops.sdk.messages import Message
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Tool
from agentops.sdk.turns import Turn

R = TypeVar("R")


class Backend(Protocol):
    """What the runtime offers to the contexts of one run."""

    run_id: str

    def ask(self, step: steps.Step) -> tuple[str, asyncio.Future[object]]: ...
    def now(self) -> datetime: ...
    def seed(self, name: str) -> str: ...
    def patched(self, id: str) -> bool: ...
    def progress(self, text: str, fraction: float | None) -> None: ...
    def turns(self, last: int) -> list[Turn]: ...
    def branch(self, name: str) -> contextlib.AbstractContextManager[None]: ...


Said = str | Message | Sequence[Message]


class HowTo(TypedDict, total=False):
    """How ``ctx.model`` is to ask."""

    route: str
    system: str
    tools: Sequence[Tool[..., object]]
    max_turns: int
    repairs: int
    timeout: float
    max_tokens: int
    temperature: float
    id: str


class ChildRun:
    """A run this run started. ``id`` is its public id."""

    def __init__(self, id: str, key: str, agent: str, backend: Backend) -> None:
        self.id = id
        self._key, self._agent, self._backend = key, agent, backend
        self._result: asyncio.Future[object] | None = None

    def result(self) -> Awaitable[object]:
        """Wait for what it returns. Raises ChildFailed when it ended without a result."""
        if self._result is None or self._result.cancelled():
            self._result = self._backend.ask(steps.AwaitChild(self._key, self._agent))[1]
        return self._result


class RunContext:
    """The verbs of an ``async def`` agent.

    Every verb that does work records its outcome; when the agent starts again after a crash or a
    wait, a recorded outcome is returned at once. Do work only through the verbs: what an agent
    does beside them is done again on every replay.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def run_id(self) -> str:
        """Public id of the run."""
        return self._backend.run_id

    def call(
        self, tool: Tool[..., R], *args: object, id: str | None = None, **kwargs: object
    ) -> Awaitable[R]:
        """Call a tool. Its effect, timeout and retries are those of its declaration.

        ``id`` names this call where order does not (a model's ``tool_call_id``). Raises
        StepFailed when it failed for good, Misuse when the arguments do not fit.
        """
        work = steps.tool_call(tool, args, kwargs, id)
        return cast("Awaitable[R]", self._backend.ask(work)[1])

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
    ) -> Awaitable[R]: ...
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
    ) -> Awaitable[R]: ...
    def step(
        self,
        fn: Callable[..., Coroutine[object, object, R] | R],
        *args: object,
        name: str | None = None,
        id: str | None = None,
        retries: int = 0,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        **kwargs: object,
    ) -> Awaitable[R]:
        """Run ``fn`` and record what it returns. A crash in the middle runs it again."""
        work = steps.inline_step(
            fn, args, kwargs, name=name, id=id, retries=retries, timeout=timeout
        )
        return cast("Awaitable[R]", self._backend.ask(work)[1])

    @overload
    def model(self, prompt: Said, **how: Unpack[HowTo]) -> Awaitable[str]: ...
    @overload
    def model(self, prompt: Said, *, output: type[R], **how: Unpack[HowTo]) -> Awaitable[R]: ...
    def model(
        self, prompt: Said, *, output: object = None, **how: Unpack[HowTo]
    ) -> Awaitable[object]:
        """Ask a model; what it says, or a value of the type ``output``.

        ``prompt`` is a text, a message or a list of messages, ``system`` what the model is to be.
        ``route`` names the choice of models (default ``fast``). With ``tools`` the model may have
        them called, several at once, for up to ``max_turns`` requests; each call is a step with
        the rules of its tool, and the model is told of failures. An answer that does not fit
        ``output`` is sent back ``repairs`` times, then a bigger model of the route is asked.
        ``timeout`` is seconds per request. ``id`` names this question where order does not.

        Raises StepFailed: when no model of the route answers, when the answer does not fit
        (``output_invalid``), when there is no end (``max_turns``).
        """
        return _walk(self._backend, models.talk(_talk(prompt, output, how)))

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait; a long wait holds no worker and survives restarts."""
        return cast("Awaitable[None]", self._backend.ask(steps.Sleep(max(0.0, seconds)))[1])

    def wait_event(self, name: str, *, timeout: float | None = None) -> Awaitable[object]:
        """Wait for an event sent to this run. Raises EventTimeout after ``timeout`` seconds."""
        return self._backend.ask(steps.AwaitEvent(str(name), timeout))[1]

    async def spawn(
        self,
        agent: AgentDefinition | str,
        input: object = None,
        *,
        title: str = "",
        queue: str | None = None,
        id: str | None = None,
    ) -> ChildRun:
        """Start another agent as a run of its own; ``await child.result()`` waits for it."""
        what = steps.spawn(agent, input, title=title, queue=queue, id=id)
        key, started = self._backend.ask(what)
        return ChildRun(str(await started), key, what.agent, self._backend)

    def conversation(self, *, last: int = 20) -> Awaitable[list[Turn]]:
        """The turns before this one, oldest first; none outside of a conversation.

        Recorded with this run, so that a replay sees the same whatever happens to the others.
        """
        work = steps.conversation(self._backend.turns, last)
        return cast("Awaitable[list[Turn]]", self._backend.ask(work)[1])

    async def gather(self, *awaitables: Awaitable[object]) -> list[object]:
        """Wait for all; results in the order given. The first error is raised."""
        return list(await asyncio.gather(*awaitables))

    async def first(self, **branches: Awaitable[object]) -> tuple[str, object]:
        """Wait for the first to end: its name and result. The others are cancelled."""
        if not branches:
            raise Misuse("ctx.first(name=awaitable, …) needs at least one branch.")
        futures = {name: asyncio.ensure_future(branch) for name, branch in branches.items()}
        try:
            await asyncio.wait(futures.values(), return_when=asyncio.FIRST_COMPLETED)
            winner = next(name for name, future in futures.items() if future.done())
            return winner, futures[winner].result()
        finally:
            for future in futures.values():
                future.cancel()

    def branch(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name the place of the steps inside, so that neighbours cannot renumber them."""
        return self._backend.branch(name)

    def now(self) -> datetime:
        """The time of the last recorded outcome, in UTC: the same on every replay."""
        return self._backend.now()

    def random(self) -> random.Random:
        """A random generator seeded from run and place: the same on every replay."""
        return random.Random(self._backend.seed("random"))  # noqa: S311 - not for secrets

    def uuid(self) -> uuid.UUID:
        """A UUID made from run and place: the same on every replay."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self._backend.seed("uuid"))

    def patched(self, id: str) -> bool:
        """True for runs that reach this place on code that has the patch ``id``.

        Runs recorded before the patch get False and keep to the old way.
        """
        return self._backend.patched(id)

    def progress(self, text: str, fraction: float | None = None) -> None:
        """Tell people how far it is, in words and optionally as a fraction of 1."""
        self._backend.progress(text, fraction)


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

    @property
    def run_id(self) -> str:
        """Public id of the run."""
        return self._bridge.backend.run_id

    def call(self, tool: Tool[..., R], *args: object, id: str | None = None, **kwargs: object) -> R:
        """Call a tool; see :meth:`RunContext.call`."""
        return cast("R", self._bridge.ask(steps.tool_call(tool, args, kwargs, id))[1])

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
        return _walk_in_thread(self._bridge, models.talk(_talk(prompt, output, how)))

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


def _talk(prompt: Said, output: object, how: HowTo) -> models.Talk:
    given = dict(how)
    system, tools = given.pop("system", None), given.pop("tools", ())
    for tool in cast("Sequence[object]", tools):
        if not isinstance(tool, Tool):
            raise Misuse(f"ctx.model(tools=…): {tool!r} is not a tool. Decorate it with @tool.")
    said = models.prompt(prompt, cast("str | None", system))
    return models.Talk(
        messages=said,
        tools=tuple(cast("Sequence[Tool[..., object]]", tools)),
        output=output,
        **given,  # type: ignore[arg-type]  # typed by HowTo
    )


async def _walk(backend: Backend, turns: Generator[models.Batch, models.Answers, object]) -> object:
    """Do the steps the turns ask for, those of one batch at once, until they are over."""
    answers: models.Answers | None = None
    while True:
        try:
            batch = turns.send(answers) if answers is not None else next(turns)
        except StopIteration as over:
            return over.value
        asked = [backend.ask(steps.of(part)) for part in batch]
        answers = [(key, await _settled(future)) for key, future in asked]


async def _settled(future: asyncio.Future[object]) -> object:
    try:
        return await future
    except AgentopsError as error:
        return error


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


class ToolContext:
    """What a tool may know about the call it serves."""

    def __init__(
        self,
        *,
        run_id: str,
        key: str,
        attempt: int,
        deadline: float,
        sink: Callable[[str], None] | None = None,
        known_as: str = "",
    ) -> None:
        self.run_id = run_id
        self.key = key
        # The key it had before the run failed here and went on: to the outside the same call.
        self.known_as = known_as or key
        self.attempt = attempt
        self.deadline = deadline
        self._sink = sink
        # A flag is enough: nobody waits for it, and one is made for every attempt.
        self._stopped = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """For a tool that runs in a process of its own; the deadline counts from there."""
        left = self.deadline - time.monotonic()
        return _context_in_process, (self.run_id, self.key, self.attempt, left, self.known_as)

    @property
    def seconds_left(self) -> float:
        """Seconds until the time of this attempt is over; negative when it is."""
        return self.deadline - time.monotonic()

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt and replay of this call; hand it to the other side."""
        return f"{self.run_id}/{self.known_as}"

    def stream(self, text: str) -> None:
        """Show people ``text`` as it is produced, after what was shown of this attempt before.

        It passes beside the journal: nothing waits for it, it may be lost, and what the step
        returns takes its place. May be called from any thread. A tool with ``isolation="process"``
        shows nothing.
        """
        if not isinstance(text, str):
            raise Misuse(f"ctx.stream takes text, not {type(text).__name__}. Decode or join it.")
        if self._sink is not None and text and not self._stopped:
            self._sink(text)

    def check(self) -> None:
        """Raise TimeoutError once the time of this attempt is over. For loops in plain tools."""
        if self._stopped:
            raise TimeoutError("The time of this attempt is over.")

    def stop(self) -> None:
        """The runtime gave this attempt up; :meth:`check` raises from now on."""
        self._stopped = True


def _context_in_process(
    run_id: str, key: str, attempt: int, left: float, known_as: str
) -> ToolContext:
    deadline = time.monotonic() + left
    return ToolContext(
        run_id=run_id, key=key, attempt=attempt, deadline=deadline, known_as=known_as
    )
