"""What an execution needs from the world: a journal, a clock, a lease and places to run code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agentops.execution.records import Claim, Entry, Meta
from agentops.sdk.calls import ToolContext
from agentops.sdk.codec import Encoded
from agentops.sdk.errors import Misuse
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.memory import Store
from agentops.sdk.messages import Reply
from agentops.sdk.models import ModelRequest
from agentops.sdk.steps import Ask as Question
from agentops.sdk.steps import Spawn, Work
from agentops.sdk.turns import Turn


class Fenced(BaseException):
    """The run belongs to another worker now; nothing of this execution may be written."""


class Halt(BaseException):
    """The execution is over; the agent's code has to let go."""


def is_ours(error: BaseException) -> bool:
    """Whether the engine itself makes the running task let go; anything else is author code's.

    A CancelledError that nobody asked for comes from inside a tool and is a failure like others.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, (Fenced, Halt))


def presentable(error: BaseException) -> Exception:
    """``error`` as an Exception: others would end the process's loop, or pass handlers by."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    kind = type(error).__name__
    wrapped = Misuse(f"{kind} was raised: {error}. Return, or raise an ordinary exception.")
    wrapped.__cause__ = error
    return wrapped


class Unstorable(Exception):
    """The database refuses a row of this run for what it contains."""


@dataclass(frozen=True, slots=True)
class Child:
    """A run about to be started by another."""

    spawn: Spawn
    version: str
    input: Encoded
    digest: bytes
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """A model that was asked and failed.

    ``until``: it is to be left alone. ``hopeless``: asked the same again it will not do better.
    """

    target: str
    code: str
    until: datetime | None = None
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to ask. ``note`` is recorded: the choice, its reasons, what was passed over."""

    target: str
    note: Meta
    ask: Callable[[ToolContext], Awaitable[Reply]]


# Does the call it was made for.
Ask = Callable[[ToolContext], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Action:
    """Attempt ``n`` of the step ``key``, which is about to begin.

    ``asked``: the journal says that people were, or were about to be, asked about this step.
    """

    claim: Claim
    key: str
    n: int
    work: Work
    asked: bool = False

    @property
    def tool(self) -> str:
        """The name of the tool that is called; nothing for other steps."""
        return self.work.name if self.work.type == "tool" else ""

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments of a tool by name, as live values. Made anew at every look."""
        return (self.work.named_arguments() or {}) if self.work.type == "tool" else {}


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the journal about a step, under ``@<kind>/<key>`` and ``n``; written once."""

    kind: str
    n: int
    meta: Meta
    # Whether what the step was called with is written beside it, for who does it by hand.
    shows: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """The attempt may begin.

    ``note`` is recorded with it. It runs with ``arguments``, where there are any, instead of its
    own. ``told`` is what a model hears besides the result.
    """

    note: Meta = field(default_factory=dict)
    arguments: Mapping[str, object] | None = None
    told: str = ""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Tells:
    """These lines have to be in the journal before there is an answer: ask again then."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Asks:
    """Somebody was asked. The step waits as ``kind`` for ``message`` or until ``due``."""

    kind: str
    message: str
    detail: str
    due: datetime | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The step must not happen: it fails for good, and ``message`` says why."""

    code: str
    message: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """An operator has to do something before the attempt may begin; ``detail`` says what."""

    detail: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What somebody answered, as the form has it. ``note`` is recorded."""

    value: Mapping[str, object]
    note: Meta = field(default_factory=dict)


Permit = Passed | Tells | Asks | Refused | Held
# The line that says that people are asked about a step, before anybody is.
REQUESTED = "approval.requested"
# What nobody had anything to say about.
PASSED = Passed()


@dataclass(frozen=True, slots=True)
class Pause:
    """No model may be asked for so many seconds."""

    seconds: float
    reason: str


class Numbers(Protocol):
    """What a transactional tool needs of the numbering of its run."""

    async def hold(self) -> int: ...
    def release(self, *, used: bool) -> None: ...


class Port(Protocol):
    """The world of one execution. Methods are called on its event loop."""

    def now(self) -> datetime:
        """The time by the database clock."""

    def may_act(self) -> bool:
        """Whether the lease is fresh enough to start something that cannot be taken back."""

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        """Record rows; done when they are durable. Fails with Fenced or Unstorable."""

    def prepare(self, child: Spawn) -> Child:
        """Check and encode what a child begins with. Raises AgentopsError when it cannot."""

    def spawn(
        self, claim: Claim, entry: Entry, child: Child, public_id: str
    ) -> asyncio.Future[None]:
        """Record a row and create the run it speaks of, in one transaction."""

    async def is_gone(self, worker: int, deadline: datetime | None) -> bool:
        """Whether an attempt of ``worker`` can no longer act: it exited, or its time is over."""

    async def transactional(
        self,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        """Run ``work`` and record its entry in one database transaction, fenced."""

    async def in_process(self, work: Work, args: tuple[object, ...], timeout: float) -> object:
        """Run a function in a process that is killed at the timeout."""

    def stream(self, claim: Claim, key: str, attempt: int, text: str) -> None:
        """Show ``text`` of an attempt to whoever watches. From any thread; never waits or fails."""

    def shown(self, claim: Claim, key: str) -> None:
        """The attempt that showed text has ended."""

    def turns(self, claim: Claim, last: int) -> list[Turn]:
        """Up to ``last`` turns before this run in its conversation; called in a thread."""

    def memory(self, claim: Claim) -> Store:
        """What this run may remember and recall; opened and used in a thread."""

    async def permit(self, action: Action) -> Permit:
        """Whether an attempt may begin. Asked before every attempt of every step of work.

        What was permitted once may be asked again, after a crash or before the next attempt.
        """

    async def question(
        self, claim: Claim, key: str, asked: Question, due: datetime | None
    ) -> Answered | Asks | Refused:
        """What people say to a question of the step ``key``, which is asked once."""

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        """Whether an attempt that was permitted must not act after all; see Note [The last look].

        Also true while nobody knows. The attempt then asks for a permit again.
        """

    async def called_with(self, claim: Claim, key: str, n: int) -> Encoded | None:
        """The arguments in the intent of attempt ``n``, if it had any."""

    async def admit(self, target: str) -> float:
        """0 when ``target`` may be called, else seconds to wait, because it failed again and again.

        Whoever is let through reports, or withdraws: it may be the only one who tries.
        """

    def report(self, target: str, *, worked: bool, after: float | None = None) -> None:
        """An attempt reached ``target``, or failed to in a way that speaks of the target.

        ``after``: the seconds for which the target wants to be left alone.
        """

    def withdraw(self, target: str) -> None:
        """An attempt learned nothing about ``target``."""

    async def choose(
        self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Choice | Pause:
        """Whom to ask next, and the right to ask it now. Raises Fatal when there is nobody."""

    def exhausted(self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]) -> bool:
        """Whether nobody is left to ask after these failures, now or later."""

    async def reach(
        self, claim: Claim, tool: RemoteTool, arguments: Mapping[str, object]
    ) -> Ask | Held:
        """Connect to the server of ``tool`` and see that it is what was agreed to.

        Nothing is called by this. Raises what an attempt that failed would.
        """

    def late(self, claim: Claim, key: str, n: int, outcome: Entry) -> None:
        """Hand in the outcome of intent ``n`` after the run was lost."""

    @property
    def worker(self) -> int:
        """Id of this worker, recorded with intents."""

    @property
    def draining(self) -> bool:
        """Whether this worker is about to stop and starts nothing new."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Everything left is waiting; the run becomes a row."""

    waiting_for: str
    detail: str
    wake_at: datetime | None
    seen: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over."""

    status: str
    stop_reason: str
    output: Encoded | None = None
    error: Encoded | None = None
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Released:
    """The worker gives the run back unfinished, to be taken up again at once."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Another worker has the run; nothing is written."""


Ending = Suspended | Finished | Released | Lost


@dataclass(frozen=True, slots=True)
class Counts:
    """Figures of an execution, kept on the run's row."""

    steps: int
    retries: int
    worked_ms: int
    progress: str
    last_progress_at: datetime | None
    step_deadline_at: datetime | None = None
