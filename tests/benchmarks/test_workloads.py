"""``benchmarks/engine.py`` prints one JSON object per workload, and its counts add up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
# As small as each of them can be and still do what it is about.
SCALES = {
    "W1": 0.1, "W2": 0.05, "W3": 0.03, "W4": 0.1, "W5": 0.002, "W6": 0.04, "W7": 0.02, "W8": 0.02,
    "W9": 0.02, "W10": 0.02, "W11": 0.1, "MEMORY": 0.02,
}  # fmt: skip


def measured(workload: str) -> dict[str, Any]:
    command = [sys.executable, "benchmarks/engine.py", workload, "--scale", str(SCALES[workload])]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"BENCH_TEMPLATE": "bench_template"},
        capture_output=True, text=True, timeout=140,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # Standard output holds the object and nothing else.
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(150)
@pytest.mark.parametrize("workload", sorted(SCALES))
def test_a_workload_prints_one_object_whose_counts_add_up(workload: str) -> None:
    found = measured(workload)

    assert (found["workload"], found["system"]) == (workload, "agentops")
    assert found["counts"]["complete"] == 1, found["counts"]
    assert {"at", "machine", "metrics", "scale", "settings", "versions"} <= set(found)
    wanted = {target.metric for target in TARGETS if target.workload == workload}
    assert wanted <= set(found["metrics"]), "a target names a figure that nobody measures"
    negative = {name: value for name, value in found["metrics"].items() if value < 0}
    assert not [name for name in negative if "lease" not in name and "after" not in name], negative
