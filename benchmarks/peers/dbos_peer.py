"""DBOS Transact: async workflows and steps, system database on the same PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import psycopg
from dbos import DBOS, DBOSConfig, SetWorkflowID

from benchmarks.rig.bodies import BODIES, StepFunction
from benchmarks.rig.recovery import Spec

POOL = 20
waiting = 0


async def step(name: str, work: StepFunction) -> Any:
    """One durable step as its documentation writes it for code that is not decorated."""
    return await DBOS.run_step_async({"name": name}, work)


@DBOS.workflow()
async def run_body(body: str, spec: Spec) -> Any:
    """Any body of the benchmark as one workflow."""
    return await BODIES[body](step, spec)


@DBOS.workflow()
async def wait_for_message() -> Any:
    """A workflow that waits for a message, in memory, as DBOS does."""
    global waiting
    waiting += 1
    return await DBOS.recv_async("go", timeout_seconds=3600)


class Dbos:
    """One process that starts and executes workflows."""

    name = "dbos"

    def __init__(self, database_url: str, server_pids: list[int]) -> None:
        self._url = database_url
        self._server_pids = server_pids
        self._at_once = asyncio.Semaphore(64)
        self._closed = False

    def versions(self) -> dict[str, str]:
        return {"dbos": version("dbos"), "sqlalchemy": version("sqlalchemy")}

    def settings(self) -> dict[str, object]:
        return {"sys_db_pool_size": POOL, "use_listen_notify": True, "api": "async workflows"}

    def groups(self) -> dict[str, list[int]]:
        return {"client": [os.getpid()], "server": self._server_pids}

    @property
    def counters_url(self) -> str:
        return self._url

    async def boot(self, at_once: int) -> None:
        self._at_once = asyncio.Semaphore(at_once)
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": self._url.replace("postgresql://", "postgresql+psycopg://"),
            "sys_db_pool_size": POOL,
            "log_level": "ERROR",
            "application_version": "bench",
        }
        DBOS(config=config)
        await asyncio.to_thread(DBOS.launch)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            DBOS.destroy()

    async def run(self, body: str, spec: Spec) -> Any:
        handle = await DBOS.start_workflow_async(run_body, body, spec)
        return await handle.get_result()

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        return await asyncio.gather(*(self._in_turn(body, spec) for spec in specs))

    async def _in_turn(self, body: str, spec: Spec) -> Any:
        async with self._at_once:
            return await self.run(body, spec)

    async def recorded(self) -> int | None:
        return await asyncio.to_thread(self._count)

    def _count(self) -> int:
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT count(*) FROM dbos.operation_outputs").fetchone()
        assert row is not None
        return int(row[0])

    async def suspend(self, count: int, first: int = 0) -> None:
        self._handles = []
        for n in range(first, first + count):
            with SetWorkflowID(f"wait-{n}"):
                self._handles.append(await DBOS.start_workflow_async(wait_for_message))
        while waiting < first + count:
            await asyncio.sleep(0.05)

    async def wake(self) -> int:
        for handle in self._handles:
            await DBOS.send_async(handle.get_workflow_id(), "go", "go")
        answers = await asyncio.gather(*(handle.get_result() for handle in self._handles))
        return sum(answer == "go" for answer in answers)

    def worker_pid(self) -> int:
        return os.getpid()
