"""The reference page, written from kept runs so that no number in it was typed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import table
from benchmarks.compare.environment import ROOT
from benchmarks.compare.rounds import ONCE, Comparison

PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
MARK = "<!-- written by benchmarks/run.py --page from here on -->"


def write(paths: Sequence[Path]) -> None:
    """Replaces everything below the mark; what stands above it is written by people."""
    kept = [json.loads(path.read_text()) for path in paths]
    above = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{above}{MARK}\n\n{measured(kept)}")


def merged(kept: Sequence[dict[str, Any]]) -> Comparison:
    """Several kept runs as one; what a later one measured as well counts from there alone."""
    comparison = Comparison()
    for run in kept:
        anew = _workloads(run)
        comparison.results = [r for r in comparison.results if r["workload"] not in anew]
        comparison.failures = [f for f in comparison.failures if f["workload"] not in anew]
        comparison.results += run["results"]
        comparison.failures += run["failures"]
    return comparison


def measured(kept: Sequence[dict[str, Any]]) -> str:
    """What stands below the mark."""
    comparison = merged(kept)
    missed = table.misses(comparison)
    parts = [
        *(_run(run) for run in kept),
        table.markdown(comparison),
        "Not held:\n\n" + "\n".join(f"- {line}" for line in missed)
        if missed
        else "Every target was held.",
        *(_provenance(run) for run in kept),
    ]
    return "\n\n".join(parts) + "\n"


def _run(kept: dict[str, Any]) -> str:
    machine = kept["results"][0]["machine"]
    loads = [result["machine"]["load_average"] for result in kept["results"]]
    once = "" if _workloads(kept).isdisjoint(ONCE) else f" ({', '.join(ONCE)}: one)"
    return (
        f"Run of {kept['at']} ({', '.join(sorted(_workloads(kept)))}), medians of {kept['rounds']}"
        f" interleaved rounds{once}, scale {kept['scale']:g}, on {machine.get('cores')} cores"
        f" ({machine.get('cpu')}), {machine.get('memory_gb')} GB, {machine.get('system')}, Python"
        f" {machine.get('python')}; load average of the machine {min(loads):g} to {max(loads):g}."
    )


def _provenance(kept: dict[str, Any]) -> str:
    systems = table.provenance(Comparison(kept["results"]))["systems"]
    return f"Versions and settings, {kept['at']}:\n\n```json\n{json.dumps(systems, indent=1)}\n```"


def _workloads(kept: dict[str, Any]) -> set[str]:
    return {one["workload"] for one in (*kept["results"], *kept["failures"])}
