"""The steps of one execution: asked for, delivered from the record, started, recorded."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agentops.execution import endings
from agentops.execution.keys import Scope, current_scope, named_branch, running_task
from agentops.execution.outcomes import Call, Outcome
from agentops.execution.pauses import Pauses
from agentops.execution.port import Fenced, Halt, Unstorable, is_ours, presentable
from agentops.execution.records import Entry, Message, Phase, error_from
from agentops.execution.waits import Wait, Waits
from agentops.sdk import codec
from agentops.sdk.errors import Denied, Missing, Misuse
from agentops.sdk.models import Noted
from agentops.sdk.steps import Ask, AwaitChild, AwaitEvent, Spawn, Step, Work, tool_call
from agentops.sdk.tools import Effect
from agentops.sdk.turns import Turn

if TYPE_CHECKING:
    from agentops.execution.execution import Execution

FAILED_KINDS = frozenset(
    {"step.failed", "event.expired", "child.failed", "question.declined", "question.unanswered"}
)


@dataclass(slots=True)
class Asked:
    """A step the agent asked for."""

    key: str
    step: Step
    future: asyncio.Future[object]
    fingerprint: str


class Stepping:
    """Backend of the contexts of one run: every verb ends here."""

    def __init__(self, execution: Execution) -> None:
        self._x = execution
        self.run_id = execution.claim.public_id
        self.root = Scope("", None)
        self.waits = Waits()
        self.seen = execution.claim.signal_seq
        self.recorded = len(execution.replay.outcomes)
        self.last_progress_at: datetime | None = None
        self._now = execution.claim.created_at
        self._asked: dict[str, Asked] = {}
        self._answered: set[str] = set()
        # Outcomes on their way into the journal, in the order of their numbers.
        self._recording: dict[str, Entry] = {}
        self._held: dict[str, Asked] = {}
        self._ready: list[tuple[int, Asked, Entry, object]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._patches: dict[str, bool] = {}
        self._pauses = Pauses(execution)
        self._closed = False

    # -- the verbs ----------------------------------------------------------------------------

    def ask(self, step: Step) -> tuple[str, asyncio.Future[object]]:
        """The agent, in its task, asks for a step."""
        key = self._scope().key(_label(step), step.id)
        return key, self.ask_as(key, step)

    def ask_as(self, key: str, step: Step) -> asyncio.Future[object]:
        """The agent asks for the step with this key."""
        if self._closed or not self._x.live:
            raise Halt
        key = self._x.replay.key_of(key)
        if key in self._asked or key in self._answered:
            raise Misuse(f"Step {key} is asked for twice. Give each call an id of its own.")
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        asked = Asked(key, step, future, self._fingerprint(step))
        self._admit(asked)
        return future

    def now(self) -> datetime:
        return self._now

    def seed(self, name: str) -> str:
        return f"{self.run_id}/{self._scope().key('@' + name)}"

    def patched(self, id: str) -> bool:
        if not self._x.live:
            raise Halt
        if id not in self._patches:
            key = f"patched:{id}"
            recorded = self._x.replay.outcomes.get(key)
            self._patches[id] = recorded is not None or not self._x.replay.behind
            if self._patches[id] and recorded is None:
                self._mark(key, id)
        return self._patches[id]

    def progress(self, text: str, fraction: float | None) -> None:
        if self._x.live:
            self._x.tell_progress(text, fraction)

    def turns(self, last: int) -> list[Turn]:
        """Read in a thread, as the work of a step."""
        return self._x.port.turns(self._x.claim, last)

    def branch(self, name: str) -> contextlib.AbstractContextManager[None]:
        return named_branch(self.root, running_task(), name)

    def label(self, step: Step) -> str:
        """What a step is called in its key."""
        return _label(step)

    def _scope(self) -> Scope:
        return current_scope(self.root, running_task())

    def _mark(self, key: str, id: str) -> None:
        entry = Entry(
            key,
            Phase.OUTCOME,
            "patch.marked",
            id,
            self._x.port.now(),
            fingerprint="patch",
            value=codec.NULL,
            meta={"type": "patch"},
        )
        self._x.watch(self._x.numbers.append([entry]))

    # -- asking and starting ------------------------------------------------------------------

    def _admit(self, asked: Asked) -> None:
        self._asked[asked.key] = asked
        if len(self._asked) + len(self._answered) > self._x.agent.max_steps:
            text = f"The agent asked for more than {self._x.agent.max_steps} steps (max_steps)."
            self._x.stop(endings.failed("max_steps", "max_steps", text))
        self._x.replay.reached(asked.key)
        self._x.replay.fetch(asked.key)
        asked.future.add_done_callback(
            lambda f: self._give_up(asked.key) if f.cancelled() else None, context=self._x.outside
        )
        recorded = self._x.replay.outcomes.get(asked.key)
        if recorded is not None and recorded.fingerprint != asked.fingerprint:
            self._x.diverged(recorded, [f"{asked.key} as {asked.fingerprint}"])
        elif recorded is not None or self._x.replay.replaying or self._x.starts_nothing:
            if recorded is None:
                self._held[asked.key] = asked
            self._x.arm()
        elif self._x.live:
            self._start(asked)

    def _fingerprint(self, step: Step) -> str:
        if isinstance(step, Work) and self._x.agent.on_code_change == "strict":
            return step.type + self._x.digest(codec.canonical(step.named_arguments()))
        return step.type

    def asks(self, entry: Entry) -> bool:
        """Whether the agent asked for this recorded step."""
        return entry.key in self._asked or entry.key in self._answered

    @property
    def open_questions(self) -> list[str]:
        """Steps the agent waits for. None: it waits for something of its own."""
        return list(self._asked)

    @property
    def asked_beyond_record(self) -> list[str]:
        """Steps the agent wants that are not recorded."""
        return list(self._held)

    def proceed(self) -> bool:
        """Deliver one outcome, or start what was asked for. False when there is neither."""
        while self._may_deliver():
            _, asked, entry, value = heapq.heappop(self._ready)
            if not asked.future.done():
                self._deliver(asked, entry, value)
                return True
            self._give_back(entry)
        if self._ready or not self._held or self._x.starts_nothing:
            return False
        held, self._held = self._held, {}
        for asked in held.values():
            self._start(asked)
        return True

    def _may_deliver(self) -> bool:
        """Whether the recorded outcome with the lowest number is here.

        One with a lower number may still be on its way; the order of the journal is the order of
        every replay.
        """
        arriving = next(iter(self._recording.values()), None)
        if not self._ready or arriving is None or not arriving.seq:
            return bool(self._ready)
        return self._ready[0][0] < arriving.seq

    def _start(self, asked: Asked) -> None:
        task = self._x.start_task(self._work(asked))
        self._tasks[asked.key] = task
        task.add_done_callback(lambda t: self._worked(asked.key, t), context=self._x.outside)

    async def _work(self, asked: Asked) -> None:
        try:
            result = await self._perform(asked)
            if isinstance(result, Wait):
                self._wait(asked, result)
            else:
                await self._record(asked, result)
        except Fenced:
            self._x.lose()
        except Unstorable:
            self._x.end(endings.unstorable(self.seen))
        except BaseException as error:
            if is_ours(error):
                raise
            if not asked.future.done():
                asked.future.set_exception(presentable(error))

    def _worked(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        self._x.arm()
        if self._x.port.draining:
            self._x.drain()
        self._x.settle_pause()

    async def _perform(self, asked: Asked) -> Outcome | Wait:
        step = asked.step
        if isinstance(step, Work):
            call = Call(asked.key, step, asked.fingerprint)
            return await self._x.attempts.perform(call)
        return await self._pauses.perform(asked.key, step, asked.fingerprint)

    async def _record(self, asked: Asked, outcome: Outcome) -> None:
        if not outcome.recorded:
            self._recording[asked.key] = outcome.entry
            try:
                await self._x.numbers.append([outcome.entry])
            except (Fenced, asyncio.CancelledError):
                # Losing the run cancels this wait, often before the writer has said "fenced".
                if self._x.ended:
                    self._tell_late(asked, outcome)
                raise
            finally:
                del self._recording[asked.key]
        self.recorded += 1
        self.last_progress_at = outcome.entry.at
        heapq.heappush(self._ready, (outcome.entry.seq, asked, outcome.entry, outcome.value))
        self._x.arm()

    def _tell_late(self, asked: Asked, outcome: Outcome) -> None:
        """See Note [Late settlement and quarantine]."""
        step = asked.step
        if isinstance(step, Work) and step.effect is Effect.ONCE:
            n = int(str((outcome.entry.meta or {}).get("attempt", 0)))
            self._x.port.late(self._x.claim, asked.key, n, outcome.entry)

    # -- delivery -----------------------------------------------------------------------------

    def deliver_recorded(self, entry: Entry) -> bool:
        """Give the agent a recorded outcome; False when it has not asked for it."""
        asked = self._asked.get(entry.key)
        if asked is None or asked.future.done():
            unwanted = entry.key in self._answered or asked is not None
            if unwanted:
                self._give_back(entry)
            return unwanted
        value = codec.revive(*entry.value) if entry.value else None
        self._deliver(asked, entry, value)
        return True

    def _give_back(self, entry: Entry) -> None:
        """An event came for a wait the agent had given up: the next one who waits gets it."""
        arrival = (entry.meta or {}).get("inbox")
        if entry.kind == "event.received" and isinstance(arrival, int) and entry.value is not None:
            self._x.replay.give_back(Message(arrival, entry.name, entry.value))
            wait = self.waits.waiting_for(entry.name)
            if wait is not None:
                self._wake(wait)

    def _deliver(self, asked: Asked, entry: Entry, value: object) -> None:
        self._now = max(self._now, entry.at)
        self._answer(asked.key)
        step = asked.step
        if entry.kind in FAILED_KINDS or "error" in (entry.meta or {}):
            self._deliver_failure(asked, step, value)
        else:
            asked.future.set_result(self._returned(step, entry, value))
        self._x.arm()

    def _returned(self, step: Step, entry: Entry, value: object) -> object:
        """The outcome as the agent gets it: of the declared type, with what a model is to hear."""
        if not isinstance(step, (Work, Ask)):
            return value
        value = value if step.restore is None else step.restore(value)
        if isinstance(step, Ask):
            return value
        told = self._x.replay.told(entry) if step.noted else ""
        return Noted(value, told) if told else value

    def _answer(self, key: str) -> None:
        """The step has its answer, or needs none any more: only its key is remembered."""
        if self._asked.pop(key, None) is not None:
            self._answered.add(key)

    def _deliver_failure(self, asked: Asked, step: Step, record: object) -> None:
        error = error_from(record, asked.key)
        tool = step.tool if isinstance(step, Work) else None
        # What must not happen does not happen in another way either.
        stand_in = None if tool is None or isinstance(error, Denied) else tool.fallback
        if tool is not None and stand_in is not None and isinstance(step, Work):
            self._degrade(tool.name)
            try:
                self._fall_back(asked, tool_call(stand_in, step.args, step.kwargs, None))
            except Misuse as misuse:
                asked.future.set_exception(misuse)
        elif tool is not None and tool.optional:
            self._degrade(tool.name)
            asked.future.set_result(Missing(tool.name, str(error)))
        else:
            asked.future.set_exception(error)

    def _fall_back(self, asked: Asked, work: Work) -> None:
        """The same question to the tool that stands in; a step of its own, after the failed one."""
        key = self._x.replay.key_of(f"{asked.key}/{work.name}")
        standing_in = Asked(key, work, asked.future, self._fingerprint(work))
        self._admit(standing_in)

    def _degrade(self, name: str) -> None:
        if name not in self._x.degraded:
            self._x.degraded.append(name)

    # -- waits --------------------------------------------------------------------------------

    def _wait(self, asked: Asked, wait: Wait) -> None:
        if asked.future.done():
            return
        self.waits.add(wait)
        if wait.due is not None:
            seconds = (wait.due - self._x.port.now()).total_seconds()
            self._x.later(max(0.0, seconds), lambda: self._fire(wait))
        if wait.message and any(m.name == wait.message for m in self._x.replay.messages):
            self._wake(wait)

    def _fire(self, wait: Wait) -> None:
        if self.waits.get(wait.key) is wait:
            self._pauses.fired.add(wait.key)
            self._wake(wait)

    def _wake(self, wait: Wait) -> None:
        """Look again at a step whose wait may be over."""
        if self.waits.get(wait.key) is wait and self._x.live:
            self.waits.drop(wait.key)
            self._start(self._asked[wait.key])

    def receive(self, messages: list[Message], seen: int) -> None:
        """Take in messages and wake what waits for them."""
        fresh = [m for m in messages if m.n > self.seen]
        self.seen = max([self.seen, seen, *(m.n for m in fresh)])
        self._x.replay.add_messages(fresh)
        for message in fresh:
            wait = self.waits.waiting_for(message.name)
            if wait is not None:
                self._wake(wait)

    # -- the end ------------------------------------------------------------------------------

    @property
    def working(self) -> bool:
        """Whether steps are under way."""
        return bool(self._tasks)

    def _give_up(self, key: str) -> None:
        """The agent no longer wants this step."""
        self._answer(key)
        self._held.pop(key, None)
        self._cancel_work(key)

    def _cancel_work(self, key: str) -> None:
        self.waits.drop(key)
        self._x.attempts.unwanted.add(key)
        # What is on its way into the journal will be there: it is dealt with when it has arrived.
        arriving = key in self._recording and not self._closed
        if key in self._tasks and not self._is_acting(key) and not arriving:
            self._tasks[key].cancel()

    def cut(self) -> None:
        """Cancel what may be cancelled; acting ``once`` tools go on."""
        self._held.clear()
        for key in list(self._tasks):
            self._cancel_work(key)

    def close(self) -> list[asyncio.Task[object]]:
        """Let go of everything. The tasks returned are on their way out."""
        self._closed = True
        ending = [t for k, t in self._tasks.items() if not self._is_acting(k)]
        self.cut()
        for asked in list(self._asked.values()):
            asked.future.cancel()
        return list(ending)

    def _is_acting(self, key: str) -> bool:
        flight = self._x.attempts.flights.get(key)
        return flight is not None and flight.acting


def _label(step: Step) -> str:
    if isinstance(step, Spawn):
        return f"spawn:{step.agent}"
    if isinstance(step, AwaitChild):
        return f"result:{step.spawn_key}"
    if isinstance(step, AwaitEvent):
        return f"event:{step.name}"
    return step.name
