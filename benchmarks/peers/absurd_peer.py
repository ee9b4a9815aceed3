"""Absurd: tasks and steps in PostgreSQL functions, asynchronous workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd
from absurdctl import BUNDLED_SCHEMA_SQL

from benchmarks.rig.bodies import BODIES, StepFunction
from benchmarks.rig.recovery import Spec

QUEUE = "bench"
# Each asynchronous worker shares one connection between its tasks, so several workers are faster
# than one with a high concurrency; the best of 4, 8, 16, 32 and 64 on the machine of the reference.
WORKERS = 8
POLL_SECONDS = 0.02
CLAIM_SECONDS = 120
# The lease where workers are killed: there the default would be all that is measured.
SHORT_CLAIM_SECONDS = 5


class Absurd:
    """One process with several asynchronous workers and a client."""

    name = "absurd"

    def __init__(self, database_url: str, server_pids: list[int]) -> None:
        self._url = database_url
        self._server_pids = server_pids
        self.claim_seconds = CLAIM_SECONDS
        self._workers: list[tuple[AsyncAbsurd, asyncio.Task[None]]] = []
        self._results: dict[str, asyncio.Future[Any]] = {}

    def versions(self) -> dict[str, str]:
        return {"absurd-sdk": version("absurd-sdk"), "absurd schema": version("absurdctl")}

    def settings(self) -> dict[str, object]:
        return {
            "workers": WORKERS,
            "poll_interval": POLL_SECONDS,
            "claim_timeout": self.claim_seconds,
            "api": "async tasks",
        }

    def groups(self) -> dict[str, list[int]]:
        return {"client": [os.getpid()], "server": self._server_pids}

    @property
    def counters_url(self) -> str:
        return self._url

    async def boot(self, at_once: int) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            if connection.execute("SELECT to_regnamespace('absurd')").fetchone() == (None,):
                connection.execute(BUNDLED_SCHEMA_SQL.encode())
        self._client = AsyncAbsurd(self._url, queue_name=QUEUE)
        await self._client.create_queue(QUEUE)
        workers = min(WORKERS, at_once)
        for _ in range(workers):
            self._workers.append(await self._worker(max(1, at_once // workers)))

    async def _worker(self, concurrency: int) -> tuple[AsyncAbsurd, asyncio.Task[None]]:
        app = AsyncAbsurd(self._url, queue_name=QUEUE)
        app.register_task("body")(self._body)
        app.register_task("wait")(self._wait)
        work = app.start_worker(
            concurrency=concurrency, poll_interval=POLL_SECONDS, claim_timeout=self.claim_seconds
        )
        return app, asyncio.create_task(work)

    async def _body(self, params: Any, ctx: Any) -> Any:
        async def step(name: str, work: StepFunction) -> Any:
            return await ctx.step(name, work)

        return await BODIES[params["body"]](step, params["spec"])

    async def _wait(self, params: Any, ctx: Any) -> Any:
        return await ctx.await_event(params["event"])

    async def close(self) -> None:
        workers, self._workers = self._workers, []
        for app, work in workers:
            app.stop_worker()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await app.close()
        if workers:
            await self._client.close()

    async def run(self, body: str, spec: Spec) -> Any:
        return (await self.run_all(body, [spec]))[0]

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        tasks = [
            (await self._client.spawn("body", {"body": body, "spec": spec}, queue=QUEUE))["task_id"]
            for spec in specs
        ]
        await self._until_completed(len(tasks), tasks)
        return [
            snapshot.result
            for snapshot in [await self._client.fetch_task_result(str(t)) for t in tasks]
        ]

    async def _until_completed(self, count: int, tasks: Sequence[Any]) -> None:
        query = (
            f"SELECT count(*) FROM absurd.t_{QUEUE} WHERE task_id = ANY(%s) AND state = 'completed'"
        )
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while (await (await connection.execute(query.encode(), [tasks])).fetchone()) != (
                count,
            ):
                await asyncio.sleep(POLL_SECONDS)

    async def recorded(self) -> int | None:
        return await self._scalar(f"SELECT count(*) FROM absurd.c_{QUEUE}")

    async def _scalar(self, query: str) -> int:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            row = await (await connection.execute(query.encode())).fetchone()
        assert row is not None
        return int(row[0])

    async def suspend(self, count: int, first: int = 0) -> None:
        self._first = first
        self._waiting = [
            (await self._client.spawn("wait", {"event": f"go-{n}"}, queue=QUEUE))["task_id"]
            for n in range(first, first + count)
        ]
        while await self._scalar(f"SELECT count(*) FROM absurd.w_{QUEUE}") < count:
            await asyncio.sleep(0.1)

    async def wake(self) -> int:
        for n in range(self._first, self._first + len(self._waiting)):
            await self._client.emit_event(f"go-{n}", "go", queue_name=QUEUE)
        await self._until_completed(len(self._waiting), self._waiting)
        return len(self._waiting)

    def worker_pid(self) -> int:
        return os.getpid()
