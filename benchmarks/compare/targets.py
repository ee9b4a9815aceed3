"""The numbers to hold, one line per measured figure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """One figure of one workload: what it is called, and how much of it is right.

    ``at_least`` and ``at_most`` bound our own figure; ``times`` bounds its ratio to a peer's in
    the same run. A figure without bounds is printed for comparison only. A ``total`` grows with the
    size of the workload, so its bounds hold for the full size.
    """

    workload: str
    metric: str
    label: str
    at_least: float | None = None
    at_most: float | None = None
    times: dict[str, float] = field(default_factory=dict)
    total: bool = False

    def misses(self, ours: float, peers: dict[str, float]) -> list[str]:
        """What is not held, in words; empty when all is."""
        found = []
        if self.at_least is not None and ours < self.at_least:
            found.append(f"{ours:.4g} is less than {self.at_least:g}")
        if self.at_most is not None and ours > self.at_most:
            found.append(f"{ours:.4g} is more than {self.at_most:g}")
        for peer, times in self.times.items():
            if peer in peers and ours < times * peers[peer]:
                found.append(f"{ours / peers[peer]:.2f}× {peer} is less than {times:g}×")
        return found

    def wanted(self) -> str:
        """The bounds as the table shows them."""
        parts = [] if self.at_least is None else [f"≥ {self.at_least:g}"]
        parts += [] if self.at_most is None else [f"≤ {self.at_most:g}"]
        parts += [f"≥ {times:g}× {peer}" for peer, times in self.times.items()]
        return ", ".join(parts)


TARGETS = (
    Target(
        "W1", "steps_per_second", "sequence: steps/s", at_least=800, times={"dbos": 5}
    ),
    Target("W1", "step_p50_ms", "sequence: ms per step, p50", at_most=1.2),
    Target("W1", "step_p99_ms", "sequence: ms per step, p99", at_most=4),
    Target("W1", "cpu_ms_per_step", "sequence: CPU ms per step"),
    Target("W1", "commits_per_step", "sequence: commits per step"),
    Target("W1", "fsyncs_per_step", "sequence: fsyncs per step"),
    Target("W1", "wal_bytes_per_step", "sequence: WAL bytes per step"),
    Target(
        "W2", "steps_per_second", "concurrent: steps/s",
        at_least=4000, times={"dbos": 20, "restate": 3.5},
    ),
    Target("W2", "steps_per_second_with_starts", "concurrent: steps/s, first start to last end"),
    Target("W2", "cpu_ms_per_step", "concurrent: CPU ms per step", at_most=0.4),
    Target("W2", "cpu_client_ms_per_step", "concurrent: of it clients and workers"),
    Target("W2", "cpu_server_ms_per_step", "concurrent: of it servers"),
    Target("W2", "commits_per_step", "concurrent: commits per step"),
    Target("W2", "fsyncs_per_step", "concurrent: fsyncs per step"),
    Target("W2", "wal_bytes_per_step", "concurrent: WAL bytes per step"),
    Target("W3", "start_p50_ms", "start to first step: ms, p50", at_most=5),
    Target("W3", "start_p99_ms", "start to first step: ms, p99", at_most=12),
    Target("W3", "rest_p50_ms", "start through REST with auth: ms, p50", at_most=12),
    Target("W3", "rest_p99_ms", "start through REST with auth: ms, p99", at_most=30),
    Target("W4", "resumed_seconds", "kill -9, restart: s until all resumed"),
    Target("W4", "finished_seconds", "kill -9, restart: s until all finished"),
    Target("W4", "import_seconds", "of it importing the program"),
    Target("W4", "resumed_after_import_seconds", "resumed, import time taken off: s", at_most=1),
    Target("W4", "finished_after_import_seconds", "finished, import time taken off: s", at_most=2),
    Target("W4", "lease_resumed_seconds", "another worker: s after the lease (negative: before)"),
    Target("W4", "outcomes_lost", "outcomes lost", at_most=0),
    Target("W4", "once_doubled", "once effects doubled", at_most=0),
    Target("W4", "idempotent_repeats", "idempotent effects repeated", at_most=5),
    Target("W5", "memory_kb_per_run", "suspended: kB per run", at_most=0.1),
    Target("W5", "idle_cores", "suspended: cores while idle", at_most=0.02),
    Target(
        "W5", "signal_and_finish_seconds", "suspended: s to signal all and finish",
        at_most=10, total=True,
    ),
    Target("W5", "claim_p50_ms", "claim beside waiting runs: ms, p50", at_most=2, total=True),
    Target("W6", "raw_steps_per_second", "100 KB steps: steps/s", at_least=140),
    Target("W6", "raw_database_bytes_per_step", "100 KB random: database bytes", at_most=110_000),
    Target("W6", "packed_steps_per_second", "100 KB prose: steps/s"),
    Target("W6", "packed_database_bytes_per_step", "100 KB prose: database bytes", at_most=60_000),
    Target("W7", "wall_seconds", "agent loops (ideal 1 s): s", at_most=2, total=True),
    Target("W7", "cpu_seconds", "agent loops: CPU s", at_most=3, total=True),
    Target("W8", "replay_ms", "replay: ms", at_most=100, total=True),
    Target("W9", "live_p50_ms", "500 tabs, 100 events/s: ms from commit to tab, p50"),
    Target("W9", "live_p95_ms", "500 tabs, 100 events/s: ms from commit to tab, p95", at_most=300),
    Target("W9", "live_p99_ms", "500 tabs, 100 events/s: ms from commit to tab, p99"),
    Target("W9", "undelivered", "500 tabs, 100 events/s: events that did not come", at_most=0),
    Target("W9", "web_cores", "500 tabs, 100 events/s: cores of the web process"),
    Target("W9", "tabs_cores", "500 tabs, 100 events/s: cores of the tabs' process"),
    Target("W10", "wall_seconds", "model loops, two workers (ideal 1 s): s", at_most=3, total=True),
    Target("W10", "cpu_seconds", "model loops: CPU s of client, workers and database", total=True),
    Target("W10", "cpu_workers_seconds", "model loops: CPU s of the workers", total=True),
    Target("W10", "cpu_ms_per_request", "model loops: CPU ms of the workers per request"),
    Target("W10", "cpu_model_server_seconds", "model loops: CPU s of the model server", total=True),
    Target("W10", "worker_memory_mb", "model loops: MB of a worker"),
    Target("W11", "decision_p50_ms", "50 people decide: ms per decision, p50"),
    Target("W11", "decision_p95_ms", "50 people decide: ms per decision, p95", at_most=150),
    Target("W11", "decision_max_ms", "50 people decide: ms per decision, longest"),
    Target("W11", "decision_cpu_ms", "50 people decide: CPU ms of the web process per decision"),
    Target("W11", "together_p95_ms", "50 people decide at one instant: ms, p95"),
    Target("W11", "web_cores", "50 people decide: cores of the web process"),
    Target("MEMORY", "memory_kb_per_run", "in a step: kB per run"),
)  # fmt: skip
