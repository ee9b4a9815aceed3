"""The one JSON object that a measurement prints."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.rig.system import System


@dataclass
class Result:
    """One workload on one system: what was asked for, what was counted, what was measured."""

    workload: str
    scale: float
    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def expect(self, name: str, expected: int, found: int | None) -> None:
        """Notes both numbers; ``complete`` stays 1 only while everything adds up."""
        self.counts[f"{name}_expected"] = expected
        if found is not None:
            self.counts[name] = found
        fits = found is None or found == expected
        self.counts["complete"] = int(fits and self.counts.get("complete", 1) == 1)


def to_json(result: Result, system: System) -> str:
    """The line for standard output."""
    return json.dumps(
        {
            "workload": result.workload,
            "system": system.name,
            "scale": result.scale,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "counts": result.counts,
            "metrics": {name: round(value, 4) for name, value in result.metrics.items()},
            "versions": system.versions(),
            "settings": system.settings(),
            "machine": machine(),
        }
    )


def machine() -> dict[str, object]:
    """Where this was measured, and how busy it was with other things."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
