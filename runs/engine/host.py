"""The worker process: one event loop, one writer, many executions.

A bell, a timer or a finished execution makes the driver claim; each claimed run becomes an
execution on the loop. Nothing here must survive the process: what it holds is taken up by others
when its lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime

import structlog
from django.db import close_old_connections

from agentops.execution.execution import Execution
from agentops.execution.port import Finished, Suspended
from agentops.execution.quiet import QuietLoop
from agentops.execution.records import Claim, History
from agentops.execution.threads import Threads
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import UnknownAgent
from runs.engine.breakers import Breakers
from runs.engine.caps import Caps
from runs.engine.claims import Claims, Unreadable
from runs.engine.gates import Gates
from runs.engine.hints import Hints
from runs.engine.isolation import Processes
from runs.engine.keeper import Keeper
from runs.engine.meaning import Meaning
from runs.engine.models import Models
from runs.engine.options import Options
from runs.engine.partings import Partings
from runs.engine.port import WorkerPort
from runs.engine.servers import Servers
from runs.engine.texts import Texts
from runs.engine.transactions import Transactions
from runs.engine.writer import Writer

log = structlog.get_logger(__name__)

ANNOUNCE_AFTER_SECONDS = 0.25
EXIT_GRACE_SECONDS = 5.0
# What a flush says somebody wants of a run.
_PAUSE = 1
CLAIM_BATCH = 64
# Something due whose row somebody else holds is tried again after so long.
SHORTEST_WAIT_SECONDS = 0.02
PAUSE_SECONDS = 1.0


class Host:
    """One per worker process. Public methods may be called from any thread unless said."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.loop = QuietLoop()
        self.threads = Threads(tidy=close_old_connections)
        self.processes = Processes()
        self.port = WorkerPort(self)
        self.keeper = Keeper(self, options)
        self.breakers = Breakers(self.keeper.rows, self.keeper.defer)
        self.models = Models(self)
        self.meaning = Meaning(self.models)
        self.caps = Caps(options.queues, options.most_per_person)
        self.servers = Servers(self)
        self.gates = Gates(self, options.gates)
        self.draining = False
        self.thread_id = 0
        self._drain_asked = threading.Event()
        self._drained = threading.Event()
        self._drain_since = 0.0
        self._executions: dict[int, Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._gone = False
        self._thread = threading.Thread(target=self._turn, name="agentops-loop", daemon=True)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Register the worker and begin to claim. Returns when the loop turns.

        While the database is not there it is waited for.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def _turn(self) -> None:
        self.thread_id = threading.get_ident()
        asyncio.set_event_loop(self.loop)
        main = self.loop.create_task(self._main())
        main.add_done_callback(self._ended)
        while not self._gone:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                log.error("loop.exit_refused", error=repr(error))
        self._close_loop()

    def _close_loop(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def _ended(self, main: asyncio.Task[None]) -> None:
        """Nothing claims any more: say so to who starts, or leave a process that is of no use."""
        if main.cancelled():
            return
        error = main.exception()
        if self._started.is_set():
            log.critical("worker.died", error=repr(error))
            os._exit(70)
        self._failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self._gone = True
        self.loop.stop()
        self._started.set()

    async def _main(self) -> None:
        self.writer = Writer(self.options.conninfo, self.flagged, self._moved)
        self.writer.rung = self._bell.set
        self.hints = Hints(self.options.redis_url)
        self.texts = Texts(self.options.redis_url)
        self.transactions = Transactions(self.threads)
        self._claims = Claims(self.writer, self.options.queues, self.caps)
        self._partings = Partings(self)
        await self.loop.run_in_executor(None, lambda: catalog().agents())
        await self._register()
        self.keeper.start()
        self._started.set()
        announcer = self.loop.create_task(self._announce())
        try:
            await self._drive()
        finally:
            announcer.cancel()

    async def _register(self) -> None:
        delay = 0.2
        while True:
            try:
                await self.loop.run_in_executor(None, self.keeper.register)
            except Exception as error:  # noqa: BLE001 - the database may come later
                log.warning("worker.waiting_for_database", error=str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
            else:
                return

    def ring(self) -> None:
        """Something may be claimable."""
        self.call(self._bell.set)

    def call(self, action: Callable[[], object]) -> None:
        """Do something on the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self.loop.call_soon_threadsafe(action)

    # -- claiming -----------------------------------------------------------------------------

    async def _drive(self) -> None:
        while True:
            try:
                await self._next_bell()
                self._bell.clear()
                while not self.draining and await self._claim_some():
                    """As long as there is room and something to claim."""
            except Exception:
                log.exception("worker.cannot_claim")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _next_bell(self) -> None:
        """Until rung, or until something falls due, and at the latest after one tick."""
        wait = self.options.tick_seconds
        if self._room() > 0 and not self._bell.is_set():
            due = await self._claims.next_due()
            wait = wait if due is None else min(wait, max(due, SHORTEST_WAIT_SECONDS))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._bell.wait()

    def _room(self) -> int:
        return self.options.capacity - len(self._executions) - len(self._claims.loading)

    async def _claim_some(self) -> bool:
        room = min(self._room(), CLAIM_BATCH)
        if room <= 0:
            return False
        taken = await self._claims.take(self.keeper.worker, room)
        for claim, history in taken:
            task = self.loop.create_task(self._execute(claim, history))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return bool(taken) or self._claims.held_some

    async def _execute(self, claim: Claim, history: History) -> None:
        try:
            agent = self._agent_for(claim)
            if isinstance(claim.input, Unreadable):
                parked = Suspended("operator", "payload", None, claim.signal_seq)
                await self._partings.part(claim, parked)
            elif claim.paused and not claim.cancelled:
                await self._partings.part(claim, None)
            elif agent is None:
                await self._partings.defer(claim, history)
            else:
                await self._run(agent, claim, history)
        except Exception:
            log.exception("run.broken", run=claim.public_id)
        finally:
            self._claims.loading.discard((claim.id, claim.epoch))
            self._bell.set()

    async def _run(self, agent: AgentDefinition, claim: Claim, history: History) -> None:
        execution = Execution(
            agent, claim, history, self.port, self.threads, self.options.max_payload_bytes
        )
        self._executions[claim.id] = execution
        self._claims.loading.discard((claim.id, claim.epoch))
        try:
            ending = await execution.run()
            await self._partings.store(execution, ending)
        finally:
            if self._executions.get(claim.id) is execution:
                del self._executions[claim.id]
            self.texts.forget(claim)

    def _agent_for(self, claim: Claim) -> AgentDefinition | None:
        try:
            agent = catalog().agent(claim.agent)
        except UnknownAgent:
            return None
        begun = claim.seq > 1
        if agent.on_code_change == "pinned" and begun and claim.agent_version != agent.version:
            return None
        return agent

    # -- what reaches the runs (loop thread) --------------------------------------------------

    def flagged(self, run: int, signal_seq: int, wish: int) -> None:
        """A flush learned in passing that the run has signals, or shall pause or stop.

        A pause is heard before the outcome is delivered, so no step begins after it.
        """
        if wish:
            self.keeper.hurry()
        self.noticed(run, signal_seq, "", paused=True if wish == _PAUSE else None)

    def noticed(
        self, run: int, signal_seq: int, cancelled: str, *, paused: bool | None = None
    ) -> None:
        """The run's row says how many signals there are, and whether it shall stop or pause."""
        execution = self._executions.get(run)
        if execution is None:
            return
        if paused is not None:
            execution.pause(wanted=paused)
        if cancelled:
            execution.stop(Finished("cancelled", cancelled))
        elif signal_seq > execution.stepping.seen:
            self._spawn(self._fetch(execution, signal_seq))

    async def _fetch(self, execution: Execution, signal_seq: int) -> None:
        run, seen = execution.claim.id, execution.stepping.seen
        messages = await self.keeper.ask(lambda keeper: keeper.messages(run, seen))
        execution.receive(messages, signal_seq)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def check_lost(self, run: int, epoch: int) -> None:
        """The database says another worker has this run."""
        execution = self._executions.get(run)
        if execution is not None and execution.claim.epoch == epoch and execution.live:
            execution.lose()

    def lose_all(self) -> None:
        """This incarnation was declared dead: nothing of it may be written any more."""
        for execution in list(self._executions.values()):
            execution.lose()

    def held(self) -> set[tuple[int, int]]:
        """Runs executing here or about to, with their epochs."""
        executing = {(x.claim.id, x.claim.epoch) for x in list(self._executions.values())}
        return executing | self._claims.loading.copy()

    def progress(self) -> list[tuple[int, int, int, int, str, datetime | None, datetime | None]]:
        """Figures of the runs executing here, for their rows."""
        rows = []
        for execution in list(self._executions.values()):
            c, claim = execution.counts(), execution.claim
            rows.append(
                (
                    claim.id,
                    claim.epoch,
                    c.steps,
                    c.retries,
                    c.progress,
                    c.last_progress_at,
                    c.step_deadline_at,
                )
            )
        return rows

    def _moved(self, run: int, seq: int) -> None:
        self.hints.add(run, seq)

    async def _announce(self) -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_AFTER_SECONDS)
            for execution in list(self._executions.values()):
                execution.announce(ANNOUNCE_AFTER_SECONDS)

    # -- stopping -----------------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Claim no more, let steps under way end, give runs back. Fit for a signal handler."""
        self._drain_asked.set()

    def check_drain(self) -> None:
        """Called by the keeper: start the drain that was asked for, and end it in time."""
        if not self._drain_asked.is_set():
            return
        now = time.monotonic()
        if not self.draining:
            self.draining = True
            self._drain_since = now
            self.call(self._drain)
        elif now - self._drain_since > self.options.drain_seconds:
            self.call(self._release)
        if now - self._drain_since > self.options.drain_seconds + EXIT_GRACE_SECONDS:
            log.error("worker.left", runs=len(self._executions))
            os._exit(1)

    def _drain(self) -> None:
        log.info("worker.draining", runs=len(self._executions))
        for execution in list(self._executions.values()):
            execution.drain()
        self._spawn(self._wait_drained())

    def _release(self) -> None:
        for execution in list(self._executions.values()):
            execution.release()

    async def _wait_drained(self) -> None:
        while self._executions or self._claims.loading or not self.writer.idle:  # noqa: ASYNC110 - both end by themselves
            await asyncio.sleep(0.02)
        await self.writer.stop()
        await self.hints.close()
        await self.texts.close()
        await self._close_models()
        self._drained.set()

    async def _close_models(self) -> None:
        try:
            async with asyncio.timeout(EXIT_GRACE_SECONDS / 2):
                await self.servers.close()
                await self.models.close()
        except Exception as error:  # noqa: BLE001 - whatever a client raises, the worker is done
            log.warning("models.not_closed", error=f"{type(error).__name__}: {error}")

    def stop(self) -> bool:
        """Drain and leave. True when everything ended in time."""
        self.begin_drain()
        limit = self.options.drain_seconds + EXIT_GRACE_SECONDS + 1
        clean = self._drained.wait(timeout=limit)
        self.processes.close()
        self.keeper.depart(clean=clean)
        self.threads.close()
        self._gone = True
        self.call(self.loop.stop)
        self._thread.join(timeout=EXIT_GRACE_SECONDS)
        log.info("worker.gone", clean=clean)
        return clean
