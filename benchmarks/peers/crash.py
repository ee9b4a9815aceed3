"""W4 on the peers: a worker process of its own is killed and started again.

``python -m benchmarks.peers.crash SYSTEM start|resume URL LOG RUNS`` is that worker process.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.rig import recovery
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized

ROOT = Path(__file__).resolve().parents[2]
WORKERS = {
    "dbos": ("benchmarks.peers.dbos_peer", "Dbos"),
    "absurd": ("benchmarks.peers.absurd_peer", "Absurd"),
}


async def w4_recovery(system: Any, scale: float) -> Result:
    """50 runs in flight, kill -9, start again at once."""
    runs = sized(recovery.RUNS, scale)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = f"{folder}/effects.log"
        one = _killed_service if system.name == "restate" else _killed_worker
        metrics = await one(system, log, runs)
        ended = {line.run for line in recovery.read(log) if line.kind == "end"}
    result = Result("W4", scale, metrics=metrics)
    result.expect("runs", runs, len(ended))
    return result


async def _killed_worker(system: Any, log: str, runs: int) -> dict[str, float]:
    workers = [_worker(system, "start", log, runs)]

    async def restart() -> None:
        workers.append(_worker(system, "resume", log, runs))

    try:
        return await recovery.crash_and_recover(log, runs, workers[0].kill, restart)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _worker(system: Any, phase: str, log: str, runs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.peers.crash", system.name, phase]
    return subprocess.Popen([*command, system.counters_url, log, str(runs)], cwd=ROOT)


async def _killed_service(system: Any, log: str, runs: int) -> dict[str, float]:
    await system.boot(runs)
    for spec in recovery.specs(log, runs):
        await system.send("effects", spec)

    async def restart() -> None:
        system.start_service()

    return await recovery.crash_and_recover(log, runs, system.kill_service, restart)


async def work(name: str, phase: str, url: str, log: str, runs: int) -> None:
    """The worker process: starts the runs the first time, only waits for them the second."""
    module, made = WORKERS[name]
    system = getattr(importlib.import_module(module), made)(url, [])
    if name == "absurd":
        system.claim_seconds = importlib.import_module(module).SHORT_CLAIM_SECONDS
    await system.boot(64)
    if phase == "start":
        await system.run_all("effects", recovery.specs(log, runs))
    await asyncio.Event().wait()


if __name__ == "__main__":
    # Gone with the measuring process, whatever happens to it.
    parent = os.getppid()
    signal.signal(signal.SIGALRM, lambda *_: os.getppid() == parent or os._exit(1))
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    asyncio.run(work(*sys.argv[1:5], int(sys.argv[5])))
