"""The verbs an agent has. The runtime stands behind them; a test can stand there too."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, Unpack, cast, overload

from agentops.sdk import models, questions, serving, steps
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.asking import HowTo, Said, talk_of
from agentops.sdk.errors import AgentopsError, Misuse
from agentops.sdk.mcp import ServerTool
from agentops.sdk.remembering import Memory
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Tool
from agentops.sdk.turns import Turn

R = TypeVar("R")


class Backend(Protocol):
    """What the runtime offers to the contexts of one run."""

    run_id: str

    def ask(self, step: steps.Step) -> tuple[str, asyncio.Future[object]]: ...
    def ask_as(self, key: str, step: steps.Step) -> asyncio.Future[object]: ...
    def now(self) -> datetime: ...
    def seed(self, name: str) -> str: ...
    def patched(self, id: str) -> bool: ...
    def progress(self, text: str, fraction: float | None) -> None: ...
    def turns(self, last: int) -> list[Turn]: ...
    def branch(self, name: str) -> contextlib.AbstractContextManager[None]: ...


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
        self._answered: set[str] = set()

    @property
    def run_id(self) -> str:
        """Public id of the run."""
        return self._backend.run_id

    @property
    def answered_by(self) -> list[str]:
        """Names of the models that have answered this run so far; ``scripted`` is none."""
        return sorted(self._answered)

    @overload
    def call(
        self, tool: ServerTool, *, id: str | None = ..., **kwargs: object
    ) -> Awaitable[object]: ...
    @overload
    def call(
        self, tool: Tool[..., R], *args: object, id: str | None = ..., **kwargs: object
    ) -> Awaitable[R]: ...
    def call(
        self,
        tool: Tool[..., R] | ServerTool,
        *args: object,
        id: str | None = None,
        **kwargs: object,
    ) -> Awaitable[object]:
        """Call a tool. Its effect, timeout and retries are those of its declaration.

        ``id`` names this call where order does not (a model's ``tool_call_id``). Raises
        StepFailed when it failed for good, Misuse when the arguments do not fit.
        """
        if isinstance(tool, ServerTool):
            steps.by_name(tool, args)
            return _walk(self._backend, serving.call(tool, kwargs, id))
        return self._backend.ask(steps.tool_call(tool, args, kwargs, id))[1]

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

    def unit(self, key: str, step: steps.Step) -> Awaitable[object]:
        """Do a step under a key of the caller's own. For adapters of frameworks, which know
        their units by better names than the order in which they come."""
        return self._backend.ask_as(key, step)

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
        ``timeout`` is seconds per request. In a run of a conversation the turns before it go
        first, unless ``prompt`` is a list or ``history`` is false; where they would fill more than
        ``compact_at`` of the model's window, the oldest are summarised. ``id`` names this question
        where order does not.

        Raises StepFailed: when no model of the route answers, when the answer does not fit
        (``output_invalid``), when there is no end (``max_turns``), when the request does not fit
        the model (``context_overflow``) or its history cannot be made to (``compaction_failed``).
        """
        return _walk(self._backend, serving.talk(talk_of(prompt, output, how), self._answered))

    def ask(
        self,
        question: str,
        *,
        choices: Sequence[str] | Mapping[str, str] | None = None,
        form: object = str,
        default: object = questions.NOTHING,
        timeout: float | None = None,
        id: str | None = None,
    ) -> Awaitable[Any]:
        """Ask people, and wait for as long as it takes without a worker.

        The answer is a text, one of ``choices`` (texts, or what is shown for each), a number or yes
        or no (``form=int``, ``float``, ``bool``), or a value of a ``form``: a flat pydantic model,
        dataclass, TypedDict or JSON schema, that asks for no secret. Whom the run is for, or an
        operator, answers. After ``timeout`` seconds the answer is the ``default``. Raises
        Unanswered when somebody declined, or nobody answered in time and there is no default.
        """
        step = questions.question(
            question, choices=choices, form=form, default=default, timeout=timeout, id=id
        )
        return self._backend.ask(step)[1]

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

    @property
    def memory(self) -> Memory:
        """What is remembered from one run to the next; see :class:`Memory`."""
        return Memory(self._backend.ask)

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
