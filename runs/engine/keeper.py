"""The keeper: a thread with its own connection that keeps the worker's lease.

It must not depend on the event loop, because it is also the one that notices a loop that no
longer turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import structlog
from django.db import InterfaceError, OperationalError, connection

from agentops.execution.records import Claim, Entry, Message
from agentops.sdk import codec
from agentops.sdk.catalog import catalog
from runs.engine import statements
from runs.engine.options import Options

if TYPE_CHECKING:
    from runs.engine.host import Host

T = TypeVar("T")
Row = tuple[Any, ...]
Query = Callable[..., list[Row]]
log = structlog.get_logger(__name__)

PULSE_SECONDS = 0.1
NOTICE_SECONDS = 1.0
SWEEP_SECONDS = 2.0
LATE_AGAIN_SECONDS = 1.0
BREAKER_SECONDS = 1.0
GATE_SECONDS = 1.0
PROGRESS_SECONDS = 2.0
LOOP_SLOW_SECONDS = 1.0
ORPHAN_SECONDS = 3.0


def machine_identity() -> str:
    """Host, boot and process namespace: where a process id means one process."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(boot.read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(space.stat().st_ino))
    return "/".join(parts)


def process_started(pid: int) -> int | None:
    """When a process of this machine began, in ticks since boot; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _exists(pid)
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else int(fields[19])


def _exists(pid: int) -> int | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0


class Keeper(threading.Thread):
    """Registers the worker, keeps its lease, and tells the host what reached its runs."""

    def __init__(self, host: Host, options: Options) -> None:
        super().__init__(name="agentops-keeper", daemon=True)
        self._host, self._options = host, options
        self._machine = machine_identity()
        self._connection: psycopg.Connection[Row] | None = None
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._pulse = threading.Event()
        self._kept_at = 0.0
        self._anchor = (datetime.now(UTC), time.monotonic())
        self._unknown: dict[tuple[int, int], float] = {}
        self._loop_seen = time.monotonic()
        self._slow_told = False
        self.worker = 0

    # -- asked from the loop ------------------------------------------------------------------

    def now(self) -> datetime:
        """The time by the database clock, carried on by the monotonic clock."""
        at, since = self._anchor
        return at + timedelta(seconds=time.monotonic() - since)

    def lease_is_fresh(self) -> bool:
        """Whether the last heartbeat is young enough to start an effect."""
        age = time.monotonic() - self._kept_at
        return age < self._options.lease_seconds * 2 / 3

    def hurry(self) -> None:
        """Look at once for what reached the runs."""
        self._pulse.set()

    async def ask(self, question: Callable[[Keeper], T]) -> T:
        """Have the keeper's connection answer; asked again after a lost connection."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def answer() -> None:
            try:
                value = question(self)
            except psycopg.OperationalError:
                self._drop_connection()
                self._calls.put(answer)
            except Exception as error:  # noqa: BLE001 - raised where it was asked
                loop.call_soon_threadsafe(_refuse, future, error)
            else:
                loop.call_soon_threadsafe(_resolve, future, value)

        self._calls.put(answer)
        self._pulse.set()
        return await future

    async def rows(self, question: Callable[[Query], list[Row]]) -> list[Row]:
        """Have the keeper's connection answer a question that needs nothing else of the keeper."""
        return await self.ask(lambda keeper: question(keeper.query))

    def defer(self, duty: Callable[[Query], None]) -> None:
        """Do something with the keeper's connection, soon."""
        self._calls.put(lambda: duty(self.query))

    def is_gone(self, worker: int, deadline: datetime) -> bool:
        """Whether attempts of ``worker`` up to ``deadline`` can act no more."""
        self._look_at_neighbours()
        return bool(self.query(statements.IS_GONE, worker, deadline)[0][0])

    def messages(self, run: int, after: int) -> list[Message]:
        """What reached a run after message ``after``."""
        rows = self.query(statements.MESSAGES, run, after)
        return [Message(n, name, codec.Encoded(c, bytes(data))) for n, name, c, data in rows]

    def called_with(self, run: int, key: str, n: int) -> codec.Encoded | None:
        """The arguments in an intent, if it has any."""
        rows = self.query(statements.CALLED_WITH, run, key, n)
        return next((codec.Encoded(kind, bytes(data)) for kind, data in rows if data), None)

    def tell_late(self, claim: Claim, key: str, n: int, outcome: Entry) -> None:
        """Hand in the outcome of an intent of a run this worker lost."""
        told: dict[str, object] = {"attempt": n}
        value = codec.revive(*outcome.value) if outcome.value else None
        told["error" if outcome.kind == "step.failed" else "value"] = value
        self._calls.put(lambda: self._signal(claim, f"settled:{key}:{n}", told))

    def _signal(self, claim: Claim, name: str, told: dict[str, object]) -> None:
        try:
            self._options.signal(claim.id, name, told, f"worker {self.worker}")
        except (OperationalError, InterfaceError):
            # The database is away: only this process knows what became of the effect.
            again = threading.Timer(
                LATE_AGAIN_SECONDS, self._calls.put, [lambda: self._signal(claim, name, told)]
            )
            again.daemon = True
            again.start()
        finally:
            connection.close()

    # -- life ---------------------------------------------------------------------------------

    def register(self) -> None:
        """Become a new incarnation. Takes over what dead neighbours of this machine left."""
        o = self._options
        row = self.query(
            statements.REGISTER,
            self._machine,
            socket.gethostname(),
            os.getpid(),
            process_started(os.getpid()) or 0,
            list(o.queues),
            o.capacity,
            o.release,
        )[0]
        self.worker = row[0]
        # The database's clock from now on, however far this machine's is off.
        self._anchor = (row[1], time.monotonic())
        self._kept(row[1])
        log.info("worker.registered", worker=self.worker, queues=list(o.queues))
        # Before the first claim: a run must not fail for a route that nobody has read yet, nor
        # begin above a limit.
        self._share_breakers()
        self._look_at_gates()
        agents = [agent.name for agent in catalog().agents()]
        self.query(statements.OFFER_AGAIN, list(o.queues), agents)
        if self._look_at_neighbours():
            o.sweep()

    def sweep(self) -> None:
        """Sweep every now and then; a thread of its own, because a sweep may wait for locks."""
        while not self._stopped.wait(SWEEP_SECONDS):
            try:
                self._options.sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep does what this one could not
                log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")

    def _look_at_neighbours(self) -> int:
        """Note which workers of this machine have exited. Returns how many."""
        gone = 0
        for worker, pid, started in self.query(statements.NEIGHBOURS, self._machine, self.worker):
            if process_started(pid) != started:
                self.query(statements.DEPART, worker)
                gone += 1
        return gone

    def run(self) -> None:
        """Keep the lease until stopped."""
        threading.Thread(target=self.sweep, name="agentops-sweep", daemon=True).start()
        every = {
            self._heartbeat: self._options.heartbeat_seconds,
            self._notice: NOTICE_SECONDS,
            self._tell_progress: PROGRESS_SECONDS,
            self._watch: LOOP_SLOW_SECONDS / 2,
            self._share_breakers: BREAKER_SECONDS,
            self._look_at_gates: GATE_SECONDS,
        }
        due = dict.fromkeys(every, 0.0)
        while not self._stopped.is_set():
            self._pulse.wait(PULSE_SECONDS)
            now = time.monotonic()
            if self._pulse.is_set():
                self._pulse.clear()
                due[self._notice] = 0.0
            for duty in [d for d, at in due.items() if at <= now]:
                due[duty] = now + every[duty]
                self._do(duty)
            for _ in range(self._calls.qsize()):  # what is put back waits for the next turn
                self._do(self._calls.get())
            self._host.check_drain()

    def _do(self, duty: Callable[[], None]) -> None:
        try:
            duty()
        except psycopg.OperationalError as error:
            log.warning("keeper.disconnected", error=type(error).__name__)
            self._drop_connection()
        except Exception:
            log.exception("keeper.failed", duty=getattr(duty, "__name__", "call"))

    def depart(self, *, clean: bool) -> None:
        """The worker is about to exit. ``clean``: nothing of it can act any more."""
        self._stopped.set()
        self.join(timeout=2)
        with contextlib.suppress(psycopg.Error):
            if clean:
                self.query(statements.DEPART, self.worker)
            self._drop_connection()

    # -- duties -------------------------------------------------------------------------------

    def _heartbeat(self) -> None:
        state = "draining" if self._host.draining else "alive"
        rows = self.query(statements.HEARTBEAT, self.worker, state)
        if rows:
            self._kept(rows[0][0])
            self._look_at_neighbours()
            return
        log.error("worker.lost_lease", worker=self.worker)
        self._host.call(self._host.lose_all)
        self.register()

    def _kept(self, database_time: datetime) -> None:
        self._kept_at = time.monotonic()
        self._anchor = (max(database_time, self.now() - timedelta(seconds=1)), self._kept_at)

    def _notice(self) -> None:
        before = self._host.held()
        rows = self.query(statements.NOTICE, self.worker)
        for run, _, signal_seq, cancelled, paused in rows:
            self._host.call(
                functools.partial(self._host.noticed, run, signal_seq, cancelled, paused=paused)
            )
        said: set[tuple[int, int]] = {(row[0], row[1]) for row in rows}
        self._disown(said - self._host.held())
        for pair in before - said:
            self._host.call(functools.partial(self._host.check_lost, *pair))

    def _disown(self, unknown: set[tuple[int, int]]) -> None:
        """Give back runs whose claim was answered over a connection that broke."""
        now = time.monotonic()
        self._unknown = {pair: self._unknown.get(pair, now) for pair in unknown}
        for run, epoch in [p for p, at in self._unknown.items() if now - at >= ORPHAN_SECONDS]:
            self.query(statements.DISOWN, run, epoch, self.worker)
            log.warning("run.disowned", run=run, epoch=epoch)

    def _tell_progress(self) -> None:
        rows = self._host.progress()
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self.query(statements.PROGRESS, *columns)

    def _share_breakers(self) -> None:
        self._host.breakers.share(self.query)
        self._host.models.share(self.query)
        if self._host.caps.share(self.query):
            self._host.ring()

    def _look_at_gates(self) -> None:
        self._host.gates.refresh(self.query)

    def _watch(self) -> None:
        """Notice a loop that does not turn, and threads that never came back."""
        self._host.call(self._seen)
        behind = time.monotonic() - self._loop_seen
        if behind > self._options.stuck_seconds:
            log.critical("loop.stuck", seconds=round(behind, 1), stack=self._loop_stack())
            os._exit(70)
        if behind > LOOP_SLOW_SECONDS * 2 and not self._slow_told:
            self._slow_told = True
            log.error("loop.blocked", seconds=round(behind, 1), stack=self._loop_stack())
        if self._host.threads.leaked > self._options.leak_limit:
            log.critical("threads.leaked", count=self._host.threads.leaked)
            self._host.begin_drain()

    def _seen(self) -> None:
        self._loop_seen = time.monotonic()
        self._slow_told = False

    def _loop_stack(self) -> list[str]:
        frame = sys._current_frames().get(self._host.thread_id)
        return [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)][-8:]

    # -- connection ---------------------------------------------------------------------------

    def query(self, sql: str, *values: object) -> list[Row]:
        """Rows of a statement over the keeper's connection; in its thread only."""
        if self._connection is None:
            self._connection = psycopg.connect(
                self._options.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor
            )
        cursor = self._connection.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _refuse(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
