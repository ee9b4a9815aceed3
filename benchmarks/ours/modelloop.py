"""500 agents that talk with a model and its tools at once, through the whole model layer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig.processes import cpu_seconds, resident_kb
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized
from runs.models import Journal, ModelEndpoint, RouteVersion

RUNS, TURNS, ANSWER_SECONDS = 500, 5, 0.2
ROUTE = "bench"


async def w10_model_loop(system: Agentops, scale: float) -> Result:
    """500 runs of five requests each, with a tool called between two, on two worker processes.

    Real HTTP to a server that speaks OpenAI's chat completions, streamed, and takes 200 ms for an
    answer: one second is the ideal. The first run of each worker, which imports the provider's
    client, comes before.
    """
    runs = sized(RUNS, scale)
    with _model_server() as (server, address):
        await system.in_thread(partial(_route_to, address))
        await system.boot(runs)
        await system.start_worker()
        await _warm(system)
        before = _spent(system, server)
        began = time.monotonic()
        started = await system.start_all("bench-talk", [{}] * runs)
        said = await system.results([run.pk for run in started])
        wall = time.monotonic() - began
        spent = {name: now - before[name] for name, now in _spent(system, server).items()}
        memory = max(resident_kb(worker.pid) for worker in system.workers)
        pks = [run.pk for run in started]
        asked = await system.in_thread(partial(_recorded, pks, ROUTE))
        looked = await system.in_thread(partial(_recorded, pks, "bench_look"))
        await system.close()
    result = Result("W10", scale)
    result.expect("answers", runs, sum(text == f"Done after {TURNS - 1} turns." for text in said))
    result.expect("requests", runs * TURNS, asked)
    result.expect("calls", runs * (TURNS - 1), looked)
    result.metrics = {
        "wall_seconds": wall,
        "times_ideal": wall / (TURNS * ANSWER_SECONDS),
        "cpu_seconds": spent["client"] + spent["server"] - spent["model"],
        "cpu_workers_seconds": spent["workers"],
        "cpu_ms_per_request": spent["workers"] * 1000 / (runs * TURNS),
        "cpu_model_server_seconds": spent["model"],
        "worker_memory_mb": memory / 1024,
    }
    return result


async def _warm(system: Agentops) -> None:
    """Let both workers import the client and open connections, as they have after a minute."""
    few = await system.start_all("bench-talk", [{}] * 64)
    await system.results([run.pk for run in few])


def _spent(system: Agentops, server: subprocess.Popen[str]) -> dict[str, float]:
    """CPU so far. The client is this process with all its children: workers and model server."""
    pids = {
        **system.groups(),
        "workers": [worker.pid for worker in system.workers],
        "model": [server.pid],
    }
    return {name: cpu_seconds(group) for name, group in pids.items()}


def _route_to(address: str) -> None:
    ModelEndpoint.objects.create(name=ROUTE, protocol="openai", base_url=f"{address}/v1")
    RouteVersion.objects.create(
        route=ROUTE, number=1, candidates=[{"endpoint": ROUTE, "model": f"loop-{TURNS - 1}"}]
    )


def _recorded(runs: list[int], name: str) -> int:
    found = Journal.objects.filter(run_id__in=runs, kind="step.completed", name=name)
    return int(found.count())


@contextmanager
def _model_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tests.modelserver", "--delay", str(ANSWER_SECONDS)]
    server = subprocess.Popen(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server, server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(10)
