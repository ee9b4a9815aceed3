"""Every workload on every system in turn, so that all share the machine's good and bad times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.compare.environment import PYTHON, ROOT, Peers
from benchmarks.rig.servers import Servers

OURS = "agentops"
TIME_LIMIT_SECONDS = 300
# One round is enough where a round takes minutes on the slowest peer.
ONCE = ("W5",)
# What peers have nothing like.
OURS_ALONE = ("W8", "W9", "W10", "W11")


@dataclass
class Comparison:
    """Everything measured, and what could not be."""

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def medians(self, workload: str, system: str) -> dict[str, float]:
        """The median of each figure over the rounds of one system."""
        found: dict[str, list[float]] = {}
        for result in self.results:
            if (result["workload"], result["system"]) == (workload, system):
                for name, value in result["metrics"].items():
                    found.setdefault(name, []).append(value)
        return {name: median(values) for name, values in found.items()}

    def is_smaller(self) -> bool:
        """Whether this is not the full size, so that totals say little beside their targets."""
        return any(result["scale"] < 1 for result in self.results)

    def incomplete(self) -> list[str]:
        """Measurements whose counts do not add up."""
        return [
            f"{r['workload']} on {r['system']}: {r['counts']}"
            for r in self.results
            if r["counts"].get("complete") != 1
        ]


def compared(
    workloads: Sequence[str], peers: Peers, servers: Servers, *, rounds: int, scale: float
) -> Comparison:
    """Measures all; a measurement that fails is kept as a failure and stops nothing."""
    comparison = Comparison()
    for workload, system in _order(workloads, (OURS, *peers.systems), rounds):
        print(f"{workload} {system} …", end=" ", flush=True, file=sys.stderr)
        try:
            comparison.results.append(_measured(workload, system, peers, servers, scale))
            print("done", file=sys.stderr)
        except (RuntimeError, subprocess.TimeoutExpired) as problem:
            failure = {"workload": workload, "system": system, "problem": str(problem)[-600:]}
            comparison.failures.append(failure)
            print(f"failed: {failure['problem']}", file=sys.stderr)
    return comparison


def _order(
    workloads: Sequence[str], systems: Sequence[str], rounds: int
) -> Iterator[tuple[str, str]]:
    for workload in workloads:
        for number in range(1 if workload in ONCE else rounds):
            # Another one begins in every round.
            turn = number % len(systems)
            for system in (*systems[turn:], *systems[:turn]):
                if system == OURS or workload not in OURS_ALONE:
                    yield workload, system


def _measured(
    workload: str, system: str, peers: Peers, servers: Servers, scale: float
) -> dict[str, Any]:
    size = ["--scale", str(scale)]
    pids = [f"--server-pid={pid}" for pid in servers.postgres_pids]
    if system == OURS:
        command = [sys.executable, str(ROOT / "benchmarks" / "engine.py"), workload, *size, *pids]
        command += [f"--redis-pid={pid}" for pid in servers.redis_pids]
        ours = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        return _said(command, os.environ | ours)
    command = [str(PYTHON), "-m", "benchmarks.peers.measure", system, workload, *size, *pids]
    return _said([*command, "--database-url", servers.database_url], peers.environment())


def _said(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        command, env=environment, cwd=Path(ROOT), capture_output=True, text=True,
        timeout=TIME_LIMIT_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
    return dict(json.loads(done.stdout))
