"""W4 on our engine: kill -9 with runs in flight, then a restart, then another worker instead."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig import recovery
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized

# For the second part only, so that it does not wait 30 s; the first does not depend on the lease.
LEASE_SECONDS = 5.0


async def w4_recovery(system: Agentops, scale: float, folder: Path) -> Result:
    """50 runs in flight; the worker dies and is started again, or another takes over."""
    runs = sized(recovery.RUNS, scale)
    result = Result("W4", scale)
    before = processes.import_seconds()
    restarted = await _restarted(system, str(folder / "restart.log"), runs)
    # Taken on both sides of the crash, because a busy machine imports now faster, now slower.
    imported = (before + processes.import_seconds()) / 2
    taken_over = await _taken_over(system, str(folder / "lease.log"), runs)
    result.metrics = restarted | {
        "import_seconds": imported,
        "resumed_after_import_seconds": restarted["resumed_seconds"] - imported,
        "finished_after_import_seconds": restarted["finished_seconds"] - imported,
        "lease_seconds": LEASE_SECONDS,
        "lease_resumed_seconds": taken_over["resumed_seconds"] - LEASE_SECONDS,
        "lease_finished_seconds": taken_over["finished_seconds"] - LEASE_SECONDS,
    }
    for name in ("outcomes_lost", "once_doubled"):
        result.metrics[name] += taken_over[name]
    result.metrics["lease_idempotent_repeats"] = taken_over["idempotent_repeats"]
    ends = [recovery.read(str(folder / f"{name}.log")) for name in ("restart", "lease")]
    result.expect(
        "runs", 2 * runs, sum(len({e.run for e in log if e.kind == "end"}) for log in ends)
    )
    return result


async def _restarted(system: Agentops, log: str, runs: int) -> dict[str, float]:
    await system.boot(64)
    await _start(system, log, runs)

    async def restart() -> None:
        await system.start_worker()

    try:
        return await recovery.crash_and_recover(log, runs, lambda: _kill(system, 0), restart)
    finally:
        await system.close()


async def _taken_over(system: Agentops, log: str, runs: int) -> dict[str, float]:
    """Two workers share the runs; the one with more of them dies and is not started again.

    The other runs already, so it may go by nothing but the lease.
    """
    os.environ["AGENTOPS_LEASE_SECONDS"] = str(LEASE_SECONDS)
    os.environ["AGENTOPS_HEARTBEAT_SECONDS"] = "1"
    await system.boot(64)
    await system.start_worker()
    await _start(system, log, runs)

    async def nothing() -> None:
        await asyncio.sleep(0)

    try:
        return await recovery.crash_and_recover(
            log, runs, lambda: _kill(system, system.busiest_worker()), nothing
        )
    finally:
        await system.close()
        del os.environ["AGENTOPS_LEASE_SECONDS"], os.environ["AGENTOPS_HEARTBEAT_SECONDS"]


async def _start(system: Agentops, log: str, runs: int) -> None:
    given = [{"spec": spec} for spec in recovery.specs(log, runs)]
    await system.start_all("bench-recovery", given)


def _kill(system: Agentops, number: int) -> None:
    worker = system.workers.pop(number)
    worker.kill()
    worker.wait()
