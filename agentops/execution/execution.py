"""One claim of one run: from the first replayed step to suspension or end."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import math
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentops.execution import endings
from agentops.execution.attempts import Attempts
from agentops.execution.bridge import LET_GO_SECONDS, ThreadBridge
from agentops.execution.keys import scope_var
from agentops.execution.numbering import Numbering
from agentops.execution.port import (
    Counts,
    Ending,
    Fenced,
    Finished,
    Lost,
    Port,
    Released,
    Suspended,
    Unstorable,
    presentable,
)
from agentops.execution.quiet import Activity, activity_var
from agentops.execution.records import Claim, Entry, History, Message, Phase, printable
from agentops.execution.replay import Replay
from agentops.execution.stepping import Stepping
from agentops.execution.threads import Threads
from agentops.execution.waits import LINGER_SECONDS
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.blocking import SyncRunContext
from agentops.sdk.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Callable

DIVERGENCE_GRACE_SECONDS = 0.1
# How long an acting ``once`` tool may go on after a cancel before it counts as uncertain.
ACTING_GRACE_SECONDS = 10.0
ASKED_SHOWN = 20


class Execution:
    """Runs an agent on what its journal says, until it ends or everything left is waiting.

    :meth:`run` returns how it ended; the caller stores that, fenced. All methods belong to the
    loop's thread.
    """

    def __init__(
        self,
        agent: AgentDefinition,
        claim: Claim,
        history: History,
        port: Port,
        threads: Threads,
        payload_limit: int | None = None,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self.claim, self.agent, self.port = claim, agent, port
        self._loop = asyncio.get_running_loop()
        self.outside = contextvars.copy_context()
        self.threads, self._payload_limit = threads, payload_limit
        self.linger_seconds = linger_seconds
        self.replay = Replay(history)
        self.numbers = Numbering(claim, port)
        self.attempts = Attempts(claim, port, self.replay, self.numbers, threads, payload_limit)
        self.stepping = Stepping(self)
        self.bridge = None if agent.is_async else ThreadBridge(self, self._loop)
        self._activity = Activity(self._loop, self.quiet)
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._agent_task: asyncio.Task[object] | None = None
        self._stopping: Finished | None = None
        self._pausing = False
        self._since = time.monotonic()
        self._timers: list[asyncio.TimerHandle] = []
        self._doubt: asyncio.TimerHandle | None = None
        self._progress_told = 0.0
        self.progress_text = ""
        self.degraded: list[str] = []
        self.beyond: list[str] = []

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Execute until the run ends, waits, is given back or is lost."""
        self._tell_start()
        if self.claim.cancelled:
            return Finished("cancelled", self.claim.cancelled)
        self._limit_time()
        context = self.outside.copy()
        if self.bridge is None:
            context.run(activity_var.set, self._activity)
            context.run(scope_var.set, self.stepping.root)
        self._agent_task = self._loop.create_task(self._agent(), context=context)
        if self.bridge is None:
            self.stepping.root.owner = self._agent_task
        self._agent_task.add_done_callback(lambda _: self.arm(), context=self.outside)
        self.arm()
        ending = await self._ended
        await self._let_go()
        return ending

    async def _agent(self) -> object:
        arguments = self.agent.validate_input(self.claim.input)
        if self.bridge is None:
            try:
                return await self.agent.fn(RunContext(self.stepping), **arguments)  # type: ignore[misc]
            except (SystemExit, KeyboardInterrupt) as error:
                raise presentable(error) from None
        context = SyncRunContext(self.bridge)
        return await self.bridge.run(lambda: self.agent.fn(context, **arguments))

    def _tell_start(self) -> None:
        claim, now = self.claim, self.port.now()
        kind = "run.recovered" if claim.crash_count else "run.started"
        meta: dict[str, object] = {"worker": self.port.worker, "version": self.agent.version}
        self.note(kind, claim.epoch, now, meta)

    def note(self, kind: str, n: int, at: datetime, meta: dict[str, object]) -> None:
        """Tell something that no step returns; nobody waits for it."""
        entry = Entry(f"@{kind}", Phase.NOTE, kind, self.agent.name, at, n=n, meta=meta)
        self.watch(self.numbers.append([entry]))

    def _limit_time(self) -> None:
        if self.claim.timeout_seconds is not None:
            left = self.claim.timeout_seconds - self.claim.worked_ms / 1000
            over = endings.failed("timeout", "timeout", "The working time of this run is over.")
            self.later(max(0.0, left), lambda: self.stop(over))

    def later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back in a while, unless this execution ended before."""
        handle = self._loop.call_later(seconds, call, context=self.outside)
        self._timers.append(handle)
        return handle

    async def _let_go(self) -> None:
        """End whatever still runs for this execution; acting ``once`` tools are not cut."""
        for timer in self._timers:
            timer.cancel()
        tasks = self.stepping.close()
        if self._agent_task is not None:
            self._agent_task.cancel()
            tasks.append(self._agent_task)
        if self.bridge is not None:
            self.bridge.close()
        if tasks:
            await asyncio.wait(tasks, timeout=LET_GO_SECONDS)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()

    def end(self, ending: Ending) -> None:
        """The execution is over; the first ending counts."""
        if not self._ended.done():
            self.beyond = self.stepping.asked_beyond_record
            self._ended.set_result(ending)

    @property
    def ended(self) -> bool:
        return self._ended.done()

    @property
    def live(self) -> bool:
        """Whether the agent still decides what happens."""
        return not self.ended and self._stopping is None

    # -- from outside -------------------------------------------------------------------------

    def receive(self, messages: list[Message], seen: int) -> None:
        """Messages arrived; ``seen`` is the run's signal counter that covers them."""
        if not self.ended:
            self.stepping.receive(messages, seen)

    def stop(self, ending: Finished) -> None:
        """End the run from outside; acting ``once`` tools may finish within a grace."""
        if not self.live:
            return
        self._stopping = ending
        self.stepping.cut()
        self.later(ACTING_GRACE_SECONDS, self._stopped)
        self._settle_stop()

    def lose(self) -> None:
        """Another worker has the run, or this one was declared dead."""
        self.end(Lost())

    def drain(self) -> None:
        """The worker stops: let steps under way end, start none, give the run back."""
        if self.live and not self.stepping.working:
            self.end(Released())

    def pause(self, *, wanted: bool) -> None:
        """Somebody wants the run to stop at its next step boundary, or no longer wants it.

        Steps under way end and are recorded, none is started; then the run is given back, and its
        row says whether it is paused by then or goes on.
        """
        if wanted is not self._pausing:
            self._pausing = wanted
            self.settle_pause()
            self.arm()

    def settle_pause(self) -> None:
        """Give the run back if it shall pause and no step is under way."""
        if self._pausing and self.live and not self.stepping.working:
            waits = self.stepping.waits
            self.end(waits.suspension(self.stepping.seen) if waits.ask_operator else Released())

    @property
    def starts_nothing(self) -> bool:
        """Whether steps that are asked for have to wait: the worker or the run is to stop."""
        return self._pausing or self.port.draining

    def release(self) -> None:
        """The grace of a drain is over: give the run back as it is."""
        if self.live:
            self.end(Released())

    def _settle_stop(self) -> None:
        if self._stopping is not None and not self.stepping.working:
            self._stopped()

    def _stopped(self) -> None:
        if self._stopping is not None:
            self.end(self._stopping)

    def watch(self, written: asyncio.Future[None]) -> None:
        """End this execution when rows cannot be written."""
        written.add_done_callback(self._written, context=self.outside)

    def _written(self, written: asyncio.Future[None]) -> None:
        if written.cancelled():
            return
        error = written.exception()
        if isinstance(error, Fenced):
            self.lose()
        elif isinstance(error, Unstorable):
            self.end(endings.unstorable(self.stepping.seen))
        elif error is None:
            self.arm()

    def arm(self) -> None:
        """Call :meth:`quiet` as soon as the agent has nothing more to do on its own."""
        (self.bridge or self._activity).arm()

    # -- what to do when the agent is quiet ---------------------------------------------------

    def quiet(self) -> None:
        """The agent has nothing more to do on its own: give it the next outcome."""
        try:
            self._go_on()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here must not stall the run
            text = f"The runtime could not go on: {type(error).__name__}: {error}"
            self.stop(endings.failed("agent_error", "internal_error", text))

    def _go_on(self) -> None:
        if self._stopping is not None:
            self._settle_stop()
        if not self.live:
            return
        if self._agent_task is not None and self._agent_task.done():
            self._conclude(self._agent_task)
        elif self.replay.replaying:
            self._deliver_recorded()
        elif not self.stepping.proceed():
            self._rest()

    def _deliver_recorded(self) -> None:
        entry = self.replay.pending[0]
        if self.stepping.deliver_recorded(entry):
            self.replay.pending.popleft()
            self._forget_doubt()
            self.arm()
        elif self.replay.is_loose(entry) and self.stepping.open_questions:
            self.replay.set_aside()
            self.arm()
        elif self._doubt is None and self.stepping.open_questions:
            self._doubt = self.later(DIVERGENCE_GRACE_SECONDS, self._diverge)

    def _forget_doubt(self) -> None:
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    def _diverge(self) -> None:
        """The code no longer asks for what is recorded: a person decides."""
        self._doubt = None
        if self.live and self.replay.replaying and not self.stepping.asks(self.replay.pending[0]):
            self.diverged(self.replay.pending[0], self.stepping.open_questions)

    def diverged(self, expected: Entry | None, asked: list[str]) -> None:
        """Park the run with a readable difference between record and code."""
        meta: dict[str, object] = {
            "expected": f"{expected.key} (number {expected.seq})" if expected else "the end",
            "asked": asked[:ASKED_SHOWN] or ["the end of the agent"],
            "recorded_version": self.claim.agent_version,
            "version": self.agent.version,
        }
        self.note("run.diverged", self.claim.epoch, self.port.now(), meta)
        self.end(Suspended("operator", "code_changed", None, self.stepping.seen))

    def _conclude(self, task: asyncio.Task[object]) -> None:
        unasked = [
            e
            for e in self.replay.pending
            if not self.stepping.asks(e) and not self.replay.is_loose(e)
        ]
        error = None if task.cancelled() else task.exception()
        if unasked:
            self.diverged(unasked[0], [])
            return
        if task.cancelled():
            self.stop(endings.failed("agent_error", "agent_error", "The agent cancelled itself."))
        elif error is not None:
            self.stop(endings.failure_of(error))
        else:
            degraded = tuple(self.degraded)
            self.stop(endings.finished_ok(task.result(), degraded, self._payload_limit))

    def _rest(self) -> None:
        """Nothing to deliver and nothing to start: wait in memory, or become a row."""
        if self.stepping.working or self.numbers.busy:
            return
        if self.port.draining:
            self.end(Released())
        elif self.stepping.waits:
            due = self.stepping.waits.next_due()
            if due is None or due - self.port.now() > timedelta(seconds=self.linger_seconds):
                self.end(self.stepping.waits.suspension(self.stepping.seen))

    # -- figures ------------------------------------------------------------------------------

    def start_task(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """A task that does not belong to the agent's own activity."""
        return self._loop.create_task(work, context=self.outside.copy())

    def announce(self, older_than: float) -> None:
        """Record attempts that take a while, so that people see them running."""
        rows = self.attempts.announce(older_than) if self.live else []
        if rows:
            self.watch(self.numbers.append(rows))

    def counts(self) -> Counts:
        """What the run's row shows."""
        flights = list(self.attempts.flights.values())  # asked from other threads as well
        return Counts(
            steps=self.stepping.recorded,
            retries=self.replay.retries + self.attempts.retries,
            worked_ms=int((time.monotonic() - self._since) * 1000),
            progress=self.progress_text,
            last_progress_at=self.stepping.last_progress_at,
            step_deadline_at=min((f.deadline_at for f in flights), default=None),
        )

    def tell_progress(self, text: str, fraction: float | None) -> None:
        """At most one line a second; the newest text always reaches the run's row."""
        self.progress_text = text = printable(text)
        now = time.monotonic()
        if self.replay.replaying or now - self._progress_told < 1.0:
            return
        self._progress_told = now
        self.replay.progress_notes += 1
        meta: dict[str, object] = {"text": text[:500]}
        if fraction is not None and math.isfinite(fraction):
            meta["fraction"] = fraction
        self.note("run.progress", self.replay.progress_notes, self.port.now(), meta)

    def digest(self, arguments: bytes) -> str:
        """Part of a fingerprint under the code-change policy ``strict``."""
        strict = self.agent.on_code_change == "strict"
        return ":" + hashlib.sha256(arguments).hexdigest()[:16] if strict else ""
