"""Run an agent in memory, in milliseconds, with the rules of production.

    from agentops.testing import run

    def test_greets() -> None:
        result = run(greet, {"name": "Ada"})
        assert result.output == "Hello, Ada"

The same execution core as in a worker runs here on a journal in memory; time stands still except
where the agent sleeps, so waits cost nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agentops.execution.execution import Execution
from agentops.execution.notebook import Notebook
from agentops.execution.people import DECIDED, Answers, Approve, Desk, Wanted, names
from agentops.execution.played import Functions, PlayedServers, Reach
from agentops.execution.port import (
    Action,
    Answered,
    Ask,
    Asks,
    Child,
    Choice,
    Ending,
    Fenced,
    Finished,
    Held,
    Lost,
    Numbers,
    Pause,
    Permit,
    Refused,
    Released,
    Suspended,
    Tried,
)
from agentops.execution.quiet import QuietLoop
from agentops.execution.records import Claim, Entry, History, Message, Phase
from agentops.execution.threads import Threads
from agentops.sdk import codec, history
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.calls import ToolContext
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.memory import Store
from agentops.sdk.messages import Reply
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer, ScriptedModel
from agentops.sdk.steps import Ask as Question
from agentops.sdk.steps import Spawn, Work
from agentops.sdk.tools import Tool
from agentops.sdk.turns import Past, Turn

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MAX_CLAIMS = 10_000


@dataclass
class Journal:
    """A run in memory. Hand it to :func:`run` again to go on after a crash or a wait."""

    entries: list[Entry] = field(default_factory=list)
    inbox: list[Message] = field(default_factory=list)
    children: dict[str, tuple[Spawn, str]] = field(default_factory=dict)
    epoch: int = 0
    now: datetime = BEGINNING
    version: str = ""
    turns: list[Turn] = field(default_factory=list)
    # What stands for the first of them in requests to models, and for how many.
    summary: str = ""
    summarised: int = 0
    streamed: dict[str, tuple[int, str]] = field(default_factory=dict)
    memory: Notebook = field(default_factory=Notebook)
    # What people were asked, and what they said.
    desk: Desk = field(default_factory=Desk)

    def send(self, name: str, value: object = None) -> None:
        """Send an event to the run."""
        self.inbox.append(Message(len(self.inbox) + 1, name, codec.encode(value)))

    @property
    def past(self) -> Past | None:
        """What models are told of the conversation."""
        left = self.turns[self.summarised :]
        return Past("conv_test", self.summarised + 1, left, self.summary) if self.turns else None

    def keys(self) -> list[str]:
        """Keys of the recorded outcomes, in the order of recording."""
        return [e.key for e in self.entries if e.phase is Phase.OUTCOME]


@dataclass(frozen=True)
class Result:
    """How a run stands after :func:`run`.

    ``status`` is a status of a run, ``waiting_for`` and ``detail`` say for what a waiting run
    waits, ``error`` is the record of the error of a failed one.
    """

    status: str
    output: object
    error: dict[str, object] | None
    stop_reason: str
    waiting_for: str
    detail: str
    degraded: tuple[str, ...]
    journal: Journal

    @property
    def streamed(self) -> dict[str, str]:
        """What each step showed with ``ctx.stream``, in its last attempt that showed anything."""
        return {key: text for key, (_, text) in self.journal.streamed.items()}


class MemoryPort:
    """The world of an execution, in memory. ``crash_after`` rows the worker dies."""

    draining = False

    def __init__(
        self,
        journal: Journal,
        crash_after: int | None,
        models: ScriptedModel | None = None,
        servers: Reach | None = None,
        asks: Collection[str] = (),
    ) -> None:
        self.journal, self._asks = journal, asks
        self._models = models or ScriptedModel([])
        self._servers = servers or PlayedServers({})
        self.worker = journal.epoch
        self._rows_left = crash_after
        self.execution: Execution | None = None
        self.crashed = False

    def now(self) -> datetime:
        return self.journal.now

    def may_act(self) -> bool:
        return True

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.crashed:
            future.set_exception(Fenced())
            future.exception()  # whoever does not wait for it need not be told
            return future
        for entry in entries:
            if self._dies():
                return future
            self.journal.entries.append(dataclasses.replace(entry))
        future.set_result(None)
        return future

    def prepare(self, child: Spawn) -> Child:
        return Child(child, "", codec.encode(child.input), codec.digest(child.input), None)

    def spawn(
        self, claim: Claim, entry: Entry, child: Child, public_id: str
    ) -> asyncio.Future[None]:
        recorded = self.append(claim, [entry])
        if recorded.done() and recorded.exception() is None:  # row and child are one transaction
            self.journal.children[entry.key] = (child.spawn, public_id)
        return recorded

    async def is_gone(self, worker: int, deadline: datetime | None) -> bool:
        return True

    async def transactional(
        self,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        number = await numbers.hold()
        before = dict(self.journal.memory.entries)
        try:
            entry = record(work())
        except BaseException:
            self.journal.memory.entries = before
            numbers.release(used=False)
            raise
        entry.seq, entry.epoch = number, claim.epoch
        if self._dies():
            self.journal.memory.entries = before
        else:
            self.journal.entries.append(entry)
        numbers.release(used=True)

    async def in_process(self, work: Work, args: tuple[object, ...], timeout: float) -> object:
        return work.fn(*args, **work.kwargs)

    def stream(self, claim: Claim, key: str, attempt: int, text: str) -> None:
        known, before = self.journal.streamed.get(key, (attempt, ""))
        if known <= attempt:
            self.journal.streamed[key] = attempt, (before if known == attempt else "") + text

    def shown(self, claim: Claim, key: str) -> None:
        """What was shown is kept for the test to look at."""

    def turns(self, claim: Claim, last: int) -> list[Turn]:
        return self.journal.turns[-last:]

    def memory(self, claim: Claim) -> Store:
        return self.journal.memory.opened(claim.public_id, claim.agent, self.now)

    async def permit(self, action: Action) -> Permit:
        return self.journal.desk.permit(action, self._asks)

    async def question(
        self, claim: Claim, key: str, asked: Question, due: datetime | None
    ) -> Answered | Asks | Refused:
        return self.journal.desk.question(key, asked, due, self.journal.now)

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        return False

    async def called_with(self, claim: Claim, key: str, n: int) -> codec.Encoded | None:
        rows = self.journal.entries
        intents = (e for e in rows if (e.phase, e.key, e.n) == (Phase.INTENT, key, n))
        return next((e.input for e in intents), None)

    async def admit(self, target: str) -> float:
        return 0.0

    def report(self, target: str, *, worked: bool, after: float | None = None) -> None:
        """Every in-memory run meets a world in which nothing has failed before."""

    def withdraw(self, target: str) -> None:
        """The same."""

    async def choose(
        self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Choice | Pause:
        past = self.journal.past if request.history else None
        if past is None or request.history is None:
            return self._choice(request)
        if request.history.summarise:
            return self._choice_for_summary(request, past)
        chosen = self._choice(history.with_past(request, past))
        share = request.history.compact_at
        recall = dataclasses.replace(
            request.history, compact_at=history.DEFAULT_COMPACT_AT if share is None else share
        )
        settled = dataclasses.replace(request, history=recall)
        note = {**chosen.note, "history": history.reference(past)}
        ask = history.refused_for_size(chosen.ask, settled, past)
        return Choice(chosen.target, note, ask)

    def _choice(self, request: ModelRequest) -> Choice:
        async def ask(_: ToolContext) -> Reply:
            return self._models.answer(request)

        return Choice("scripted", {"target": "scripted"}, ask)

    def _choice_for_summary(self, request: ModelRequest, past: Past) -> Choice:
        """In memory no window is known: the older half is summarised."""
        made = history.compaction(request, past, lambda _: 0, None)
        chosen = self._choice(made.request)

        async def ask(context: ToolContext) -> Reply:
            reply = await chosen.ask(context)
            self.journal.summary, self.journal.summarised = reply.text, made.through
            return reply

        return Choice(chosen.target, chosen.note, ask)

    def exhausted(self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]) -> bool:
        return tried[-1].hopeless

    async def reach(
        self, claim: Claim, tool: RemoteTool, arguments: Mapping[str, object]
    ) -> Ask | Held:
        return await self._servers.reach(tool, arguments)

    def late(self, claim: Claim, key: str, n: int, outcome: Entry) -> None:
        """A lost run in memory has no other owner to tell."""

    def _dies(self) -> bool:
        if self._rows_left is None:
            return False
        self._rows_left -= 1
        if self._rows_left >= 0:
            return False
        self.crashed = True
        if self.execution is not None:
            self.execution.lose()
        return True


def run(
    agent: AgentDefinition,
    input: object = None,
    *,
    journal: Journal | None = None,
    events: dict[str, object] | None = None,
    children: Callable[[str, object], object] | None = None,
    crash_after: int | None = None,
    turns: Sequence[Turn] = (),
    models: ScriptedModel | Sequence[Answer] | None = None,
    memory: Notebook | None = None,
    servers: Functions | Reach | None = None,
    asks: Collection[Tool[..., object] | str] = (),
    approve: Approve | None = None,
    answers: Answers | None = None,
) -> Result:
    """Run ``agent`` until it ends or waits for something nobody gives it.

    Time jumps to the end of each wait. ``events`` are sent when the run first waits for an event.
    ``children(agent name, input)`` stands for the runs it starts. ``crash_after`` makes the worker
    die without a word after so many recorded rows; call again with the result's ``journal`` to
    see the run go on. ``turns`` are what was said before in its conversation, ``models`` what the
    models say, ``memory`` what earlier runs remember, ``servers`` the functions that stand for the
    tools of servers. ``asks`` are tools that rules ask people about, besides those that declare
    ``approval="always"``; ``approve`` decides: true, false, or a function of a :class:`Wanted` that
    returns either, what a person says to a rejection, or other arguments to run it with.
    ``answers`` are those to ``ctx.ask``, by question, in order, or a function of it; None declines.

    Raises InvalidInput when the input does not fit.
    """
    agent.validate_input(input)
    state = journal or Journal(version=agent.version, turns=list(turns))
    state.memory = memory or state.memory
    with asyncio.Runner(loop_factory=QuietLoop) as runner:
        script = models if isinstance(models, ScriptedModel) else ScriptedModel(models or ())
        known = servers or {}
        played = PlayedServers(known) if isinstance(known, Mapping) else known
        world = _World(events or {}, children, script, played, names(asks), approve, answers)
        return runner.run(_drive(agent, input, state, crash_after, world))


@dataclass(frozen=True)
class _World:
    """What goes on around a run."""

    events: dict[str, object]
    children: Callable[[str, object], object] | None
    models: ScriptedModel
    servers: Reach
    asks: Collection[str]
    approve: Approve | None
    answers: Answers | None


async def _drive(
    agent: AgentDefinition,
    input: object,
    journal: Journal,
    crash_after: int | None,
    world: _World,
) -> Result:
    recorded = len(journal.entries)
    for _ in range(MAX_CLAIMS):
        journal.epoch += 1
        left = None if crash_after is None else crash_after - (len(journal.entries) - recorded)
        port = MemoryPort(journal, left, world.models, world.servers, world.asks)
        threads = Threads("agentops-test")
        execution = Execution(
            agent,
            _claim(agent, input, journal),
            _history(journal),
            port,
            threads,
            linger_seconds=0.0,
        )
        port.execution = execution
        _tell_children(journal, world.children)
        ending = await execution.run()
        threads.close()
        if isinstance(ending, Released):
            continue
        if not isinstance(ending, Suspended) or not _wake(journal, ending, world):
            return _result(ending, journal)
    raise RuntimeError(f"{agent.name} was woken {MAX_CLAIMS} times and did not end.")


def _claim(agent: AgentDefinition, input: object, journal: Journal) -> Claim:
    seq = max((e.seq for e in journal.entries), default=0)
    return Claim(
        id=1,
        public_id="run_00000000000000000000",
        epoch=journal.epoch,
        agent=agent.name,
        agent_version=journal.version,
        input=input,
        created_at=BEGINNING,
        signal_seq=len(journal.inbox),
        seq=seq,
    )


def _history(journal: Journal) -> History:
    return History(sorted(journal.entries, key=lambda e: e.seq), list(journal.inbox))


def _wake(journal: Journal, ending: Suspended, world: _World) -> bool:
    """Make happen what the run waits for; False when nobody can."""
    told = _tell_children(journal, world.children)
    if ending.waiting_for == "event" and ending.detail in world.events:
        journal.send(ending.detail, world.events.pop(ending.detail))
        told = True
    for key in journal.desk.decide(world.approve, world.answers):
        journal.send(f"{DECIDED}{key}")
    if len(journal.inbox) > ending.seen or told:
        return True
    if ending.wake_at is None:
        return False
    journal.now = max(journal.now, ending.wake_at)
    return True


def _tell_children(journal: Journal, children: Callable[[str, object], object] | None) -> bool:
    told = False
    for key, (child, public_id) in list(journal.children.items()):
        if children is not None:
            del journal.children[key]
            output = children(child.agent, child.input)
            journal.send(
                f"child:{key}", {"run": public_id, "status": "succeeded", "output": output}
            )
            told = True
    return told


def _result(ending: Ending, journal: Journal) -> Result:
    if isinstance(ending, Lost):
        return Result("running", None, None, "", "", "crashed", (), journal)
    if isinstance(ending, Finished):
        output = codec.decode(*ending.output) if ending.output else None
        error = codec.decode(*ending.error) if ending.error else None
        return Result(
            ending.status,
            output,
            error if isinstance(error, dict) else None,
            ending.stop_reason,
            "",
            "",
            ending.degraded,
            journal,
        )
    if isinstance(ending, Suspended):
        return Result("waiting", None, None, "", ending.waiting_for, ending.detail, (), journal)
    return Result("queued", None, None, "", "", "", (), journal)


__all__ = [
    "BEGINNING",
    "Journal",
    "MemoryPort",
    "Notebook",
    "Result",
    "ScriptedModel",
    "Wanted",
    "run",
]
