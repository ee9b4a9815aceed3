"""Wall time, CPU and database cost of one stretch of work, and the arithmetic on them."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.rig import counters, processes
from benchmarks.rig.counters import Counters
from benchmarks.rig.system import System

ZERO = Counters(0, 0, 0, 0)


@dataclass
class Cost:
    """What the work took. ``database`` is all zero for a system with a store of its own."""

    result: Any = None
    wall_seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    recorded: int | None = None
    database: Counters = ZERO

    def per(self, steps: int) -> dict[str, float]:
        """The costs of one step, by the names the reports use."""
        found = {
            f"cpu_{name}_ms_per_step": used * 1000 / steps
            for name, used in self.cpu_seconds.items()
        }
        found["cpu_ms_per_step"] = sum(self.cpu_seconds.values()) * 1000 / steps
        if self.database != ZERO:
            found["commits_per_step"] = self.database.commits / steps
            found["fsyncs_per_step"] = self.database.fsyncs / steps
            found["wal_bytes_per_step"] = self.database.wal_bytes / steps
        return found


async def cost_of(system: System, work: Callable[[], Awaitable[Any]], *, last: bool = True) -> Cost:
    """Runs the work, then (if it is the last) closes the system: only ended sessions tell all."""
    url = system.counters_url
    had = await system.recorded()
    before = counters.read(url) if url else ZERO
    groups = system.groups()
    cpu = {name: processes.cpu_seconds(pids) for name, pids in groups.items()}
    began = time.monotonic()
    cost = Cost(await work(), time.monotonic() - began)
    cost.cpu_seconds = {n: processes.cpu_seconds(p) - cpu[n] for n, p in groups.items()}
    has = await system.recorded()
    cost.recorded = None if has is None or had is None else has - had
    if last:
        await system.close()
    cost.database = counters.read(url) - before if url else ZERO
    return cost


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least the share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p50_p99(values: Sequence[float], prefix: str) -> dict[str, float]:
    """Median and 99th percentile, named ``<prefix>_p50_ms`` and ``<prefix>_p99_ms``."""
    return {
        f"{prefix}_p50_ms": percentile(values, 0.50),
        f"{prefix}_p99_ms": percentile(values, 0.99),
    }
