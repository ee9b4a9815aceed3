"""The comparison says plainly what is not held."""

from __future__ import annotations

import os
import time
from typing import Any

from benchmarks.compare import page, table
from benchmarks.compare.rounds import Comparison
from benchmarks.compare.targets import Target
from benchmarks.rig import processes
from benchmarks.rig.measure import percentile


def result(system: str, complete: int = 1, **metrics: float) -> dict[str, Any]:
    return {
        "workload": "W1", "system": system, "scale": 1.0, "metrics": metrics,
        "counts": {"complete": complete},
        "machine": {}, "versions": {}, "settings": {},
    }  # fmt: skip


def test_a_figure_below_its_bound_is_a_miss() -> None:
    target = Target("W1", "steps_per_second", "steps/s", at_least=800)

    assert target.misses(799, {}) == ["799 is less than 800"]
    assert target.misses(800, {}) == []


def test_a_ratio_below_its_bound_is_a_miss_and_an_absent_peer_is_not() -> None:
    target = Target("W1", "steps_per_second", "steps/s", times={"dbos": 5})

    assert target.misses(900, {"dbos": 200}) == ["4.50× dbos is less than 5×"]
    assert target.misses(900, {}) == []


def test_the_median_of_the_rounds_counts() -> None:
    rounds = [result("agentops", steps_per_second=n) for n in (100, 900, 950)]
    comparison = Comparison([*rounds, result("dbos", steps_per_second=100)])

    row = next(iter(table.rows(comparison)))

    assert row[2] == "900"
    assert row[-1] == ""


def test_a_total_of_a_smaller_run_is_not_taken_for_a_target_held() -> None:
    small = result("agentops", wall_seconds=0.1) | {"workload": "W7", "scale": 0.1}

    row = next(iter(table.rows(Comparison([small]))))

    assert row[-1].startswith("not judged")


def test_counts_that_do_not_add_up_are_reported() -> None:
    comparison = Comparison([result("agentops", complete=0, steps_per_second=900)])

    assert any("does not add up" in line for line in table.misses(comparison))


def test_the_best_peer_is_the_one_with_most_throughput_or_least_cost() -> None:
    comparison = Comparison([
        result("agentops", steps_per_second=1000, step_p50_ms=1.0),
        result("dbos", steps_per_second=200, step_p50_ms=4.0),
        result("absurd", steps_per_second=500, step_p50_ms=2.0),
    ])  # fmt: skip

    ratios = {row[0]: row[6] for row in table.rows(comparison)}

    assert ratios["sequence: steps/s"] == "2.00×"
    assert ratios["sequence: ms per step, p50"] == "0.50×"


def test_a_workload_that_was_measured_again_counts_from_the_later_run_alone() -> None:
    machine = {"load_average": 0.5, "cores": 2}
    early = result("agentops", steps_per_second=100) | {"machine": machine}
    other = early | {"workload": "W3", "metrics": {"start_p50_ms": 4.0}}
    late = result("agentops", steps_per_second=900) | {"machine": machine}
    known: dict[str, Any] = {"rounds": 1, "scale": 1.0, "failures": []}
    runs = [
        known | {"at": "monday", "results": [early, other]},
        known | {"at": "tuesday", "results": [late]},
    ]

    text = page.measured(runs)

    assert "Run of monday (W1, W3)" in text
    assert "Run of tuesday (W1)" in text
    assert "| sequence: steps/s | ≥ 800, ≥ 5× dbos | 900 |" in text
    assert "start to first step: ms, p50 | ≤ 5 | 4 |" in text


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]

    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7


def test_the_cpu_of_a_process_is_counted() -> None:
    before = processes.cpu_seconds([os.getpid()])
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass

    assert processes.cpu_seconds([os.getpid()]) - before >= 0.05
