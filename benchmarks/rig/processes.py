"""What processes cost, read from /proc: CPU of whole process trees and memory of one process."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU used so far by the processes, their living descendants and the children they reaped."""
    stats = _read_all()
    return sum(stats[pid][1] for pid in _tree(roots, stats)) / TICKS


def resident_kb(root: int) -> int:
    """Memory of the process and its descendants in kB, each shared page counted by its share."""
    return sum(_resident_kb(pid) for pid in _tree([root], _read_all()))


def _tree(roots: Iterable[int], stats: dict[int, tuple[int, int]]) -> set[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, (parent, _) in stats.items():
        children[parent].append(pid)
    waiting, seen = list(roots), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid in stats and pid not in seen:
            seen.add(pid)
            waiting += children[pid]
    return seen


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError(f"process {pid} tells no memory use")


def _read_all() -> dict[int, tuple[int, int]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read_one(int(entry.name))):
            found[int(entry.name)] = stat
    return found


def _read_one(pid: int) -> tuple[int, int] | None:
    """Parent and ticks: user, system, and both again for the children it waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15])
