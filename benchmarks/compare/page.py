"""The reference page, written from one kept run so that no number in it was typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.compare import table
from benchmarks.compare.environment import ROOT
from benchmarks.compare.rounds import Comparison

PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
MARK = "<!-- written by benchmarks/run.py --page from here on -->"


def write(path: Path) -> None:
    """Replaces everything below the mark; what stands above it is written by people."""
    kept = json.loads(path.read_text())
    comparison = Comparison(kept["results"], kept["failures"])
    above = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{above}{MARK}\n\n{_measured(kept, comparison)}")


def _measured(kept: dict[str, Any], comparison: Comparison) -> str:
    missed = table.misses(comparison)
    found = table.provenance(comparison)
    machine = found["machine"]
    loads = [result["machine"]["load_average"] for result in kept["results"]]
    parts = [
        f"Run of {kept['at']}, medians of {kept['rounds']} interleaved rounds (W5: one), scale"
        f" {kept['scale']:g}, on {machine.get('cores')} cores ({machine.get('cpu')}),"
        f" {machine.get('memory_gb')} GB, {machine.get('system')}, Python {machine.get('python')};"
        f" load average of the machine {min(loads):g} to {max(loads):g}.",
        table.markdown(comparison),
        "Not held in this run:\n\n" + "\n".join(f"- {line}" for line in missed)
        if missed
        else "Every target was held in this run.",
        "Versions and settings:",
        f"```json\n{json.dumps(found['systems'], indent=1)}\n```",
    ]
    return "\n\n".join(parts) + "\n"
