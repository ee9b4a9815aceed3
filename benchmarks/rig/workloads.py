"""The workloads that run alike on every system. W4 kills processes and lives beside each system."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.rig import processes
from benchmarks.rig.measure import ZERO, Cost, cost_of, p50_p99
from benchmarks.rig.model_server import model_server
from benchmarks.rig.result import Result
from benchmarks.rig.system import System

Workload = Callable[[System, float], Awaitable[Result]]


def sized(count: int, scale: float) -> int:
    """The count of the full workload, made smaller or larger, never less than one."""
    return max(1, round(count * scale))


async def w1_sequence(system: System, scale: float) -> Result:
    """Workflows of 100 no-op steps, one after the other: what a single run feels."""
    workflows, steps = sized(10, scale), 100
    await system.boot(1)
    await system.run("sequence", {"steps": 10})
    cost = await cost_of(system, lambda: _one_by_one(system, workflows, {"steps": steps}))
    result, laps = Result("W1", scale), [lap for run in cost.result for lap in run["laps_us"]]
    result.expect("steps", workflows * steps, len(laps))
    result.expect("recorded", workflows * steps, cost.recorded)
    result.metrics = {"steps_per_second": len(laps) / (sum(laps) / 1e6)}
    result.metrics |= p50_p99([lap / 1000 for lap in laps], "step") | cost.per(len(laps))
    return result


async def w2_concurrent(system: System, scale: float) -> Result:
    """200 workflows of 20 steps, 64 at once, in one worker process."""
    workflows, steps = sized(200, scale), 20
    await system.boot(64)
    await system.run_all("sequence", [{"steps": 5}] * min(workflows, 8))
    cost = await cost_of(system, lambda: system.run_all("sequence", [{"steps": steps}] * workflows))
    result, total = Result("W2", scale), sum(len(run["laps_us"]) for run in cost.result)
    result.expect("runs", workflows, len(cost.result))
    result.expect("steps", workflows * steps, total)
    result.expect("recorded", workflows * steps, cost.recorded)
    result.metrics = {
        "steps_per_second": total / _stepping_seconds(cost.result),
        "steps_per_second_with_starts": total / cost.wall_seconds,
        "wall_seconds": cost.wall_seconds,
        **cost.per(total),
    }
    return result


async def w3_start(system: System, scale: float) -> Result:
    """From asking for a run to the first line of its first step, with nothing else going on."""
    starts = sized(100, scale)
    await system.boot(64)
    for _ in range(3):
        await _start_latency(system)
    cost = await cost_of(system, lambda: _repeat(starts, lambda: _start_latency(system)))
    result = Result("W3", scale)
    result.expect("runs", starts, len(cost.result))
    result.metrics = p50_p99(cost.result, "start")
    return result


async def w5_suspended(system: System, scale: float) -> Result:
    """10,000 runs that wait: what each costs while it waits, and how fast all can go on."""
    count = sized(10_000, scale)
    await system.boot(64)
    # What the process needs once, whatever the number of runs, is not a cost of each run.
    warm = min(count, 500)
    await system.suspend(warm)
    await system.wake()
    empty = processes.resident_kb(system.worker_pid())
    began = time.monotonic()
    await system.suspend(count, warm)
    suspended = time.monotonic() - began
    held = processes.resident_kb(system.worker_pid())
    idle = await _idle_cores(system, 5.0 if scale >= 0.1 else 0.5)
    cost = await cost_of(system, system.wake)
    result = Result("W5", scale)
    result.expect("runs", count, cost.result)
    result.metrics = {
        "memory_kb_per_run": max(0.0, (held - empty) / count),
        "idle_cores": idle,
        "suspend_seconds": suspended,
        "signal_and_finish_seconds": cost.wall_seconds,
        "cpu_seconds": sum(cost.cpu_seconds.values()),
    }
    return result


async def w6_payloads(system: System, scale: float) -> Result:
    """Steps that return 100 KB, eight runs at once: text made of random bytes, then prose."""
    runs, steps = 8, sized(25, scale)
    await system.boot(runs)
    await system.run("payload", {"kind": "raw", "steps": 1})
    result = Result("W6", scale)
    for kind in ("raw", "packed"):
        specs = [{"kind": kind, "steps": steps}] * runs
        cost = await cost_of(system, partial(system.run_all, "payload", specs), last=kind != "raw")
        result.expect(f"{kind}_bytes", runs * steps * 100_000, sum(r["size"] for r in cost.result))
        result.expect(f"{kind}_recorded", runs * steps, cost.recorded)
        result.metrics |= _payload_metrics(kind, cost, runs * steps)
    return result


def _payload_metrics(kind: str, cost: Cost, steps: int) -> dict[str, float]:
    began = min(run["began"] for run in cost.result)
    ended = max(run["ended"] for run in cost.result)
    metrics = {
        f"{kind}_steps_per_second": steps / ((ended - began) / 1e9),
        f"{kind}_cpu_ms_per_step": cost.per(steps)["cpu_ms_per_step"],
    }
    if cost.database != ZERO:
        metrics[f"{kind}_database_bytes_per_step"] = cost.database.database_bytes / steps
    return metrics


async def w7_agent_loop(system: System, scale: float) -> Result:
    """500 runs of a five-turn loop of model and tool; the model takes 200 ms for each answer."""
    runs, turns = sized(500, scale), 5
    with model_server(0.2) as url:
        await system.boot(runs)
        await system.run("loop", {"url": url, "turns": 1})
        specs = [{"url": url, "turns": turns}] * runs
        cost = await cost_of(system, lambda: system.run_all("loop", specs))
    result = Result("W7", scale)
    result.expect("turns", runs * turns, sum(cost.result))
    result.expect("recorded", runs * turns * 2, cost.recorded)
    result.metrics = {
        "wall_seconds": cost.wall_seconds,
        "cpu_seconds": sum(cost.cpu_seconds.values()),
        "cpu_client_seconds": cost.cpu_seconds.get("client", 0.0),
    }
    return result


async def memory_in_flight(system: System, scale: float) -> Result:
    """500 runs inside a step: memory that each of them takes in the process that runs it."""
    runs = sized(500, scale)
    await system.boot(runs)
    await system.run_all("hold", [{"seconds": 0.1}] * 8)
    empty = processes.resident_kb(system.worker_pid())
    seconds = 6.0 if scale >= 0.1 else 1.0
    work = asyncio.ensure_future(system.run_all("hold", [{"seconds": seconds}] * runs))
    peak = empty
    while not work.done():
        peak = max(peak, processes.resident_kb(system.worker_pid()))
        await asyncio.sleep(0.2)
    result = Result("MEMORY", scale)
    result.expect("runs", runs, sum(work.result()))
    await system.close()
    result.metrics = {"memory_kb_per_run": (peak - empty) / runs}
    return result


async def _one_by_one(system: System, count: int, spec: dict[str, int]) -> list[object]:
    return [await system.run("sequence", spec) for _ in range(count)]


async def _repeat(count: int, work: Callable[[], Awaitable[float]]) -> list[float]:
    return [await work() for _ in range(count)]


async def _start_latency(system: System) -> float:
    began = time.monotonic_ns()
    first = await system.run("stamp", {})
    # Idle again before the next one: the end of a run must not be part of the next start.
    await asyncio.sleep(0.03)
    return (int(first) - began) / 1e6


def _stepping_seconds(runs: list[dict[str, object]]) -> float:
    """From the first step of any run to the last step of any run."""
    spans = [(int(str(run["began"])), run["laps_us"]) for run in runs]
    ends = [began + sum(laps) * 1000 for began, laps in spans if isinstance(laps, list)]
    return (max(ends) - min(began for began, _ in spans)) / 1e9


async def _idle_cores(system: System, seconds: float) -> float:
    pids = [pid for group in system.groups().values() for pid in group]
    began = processes.cpu_seconds(pids)
    await asyncio.sleep(seconds)
    return (processes.cpu_seconds(pids) - began) / seconds


BY_NAME: dict[str, Workload] = {
    "W1": w1_sequence,
    "W2": w2_concurrent,
    "W3": w3_start,
    "W5": w5_suspended,
    "W6": w6_payloads,
    "W7": w7_agent_loop,
    "MEMORY": memory_in_flight,
}
