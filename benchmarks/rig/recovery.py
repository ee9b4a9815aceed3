"""W4: what happens to runs whose worker is killed, judged from a log that the effects write.

Every effect of every system appends one line to the same kind of log, so that no system is asked
what it thinks happened.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Spec = dict[str, Any]

STEP_SECONDS = 0.1
STEPS = 10
RUNS = 50
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True)
class Line:
    """One thing that a run did, and when, on the clock all processes share."""

    run: int
    step: int
    kind: str
    pid: int
    at: int


def note(log: str, run: int, step: int, kind: str) -> None:
    """Appends one line at once; lines of several processes do not mix."""
    line = f"{run} {step} {kind} {os.getpid()} {time.monotonic_ns()}\n"
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read(log: str) -> list[Line]:
    """All lines so far, in the order in which they were written."""
    text = Path(log).read_text() if Path(log).exists() else ""
    return [_parsed(line) for line in text.splitlines()]


def _parsed(line: str) -> Line:
    run, step, kind, pid, at = line.split()
    return Line(int(run), int(step), kind, int(pid), int(at))


def kind_of(step: int) -> str:
    """Steps alternate between effects that must not be doubled and effects that may."""
    return "once" if step % 2 else "idempotent"


def specs(log: str, runs: int) -> list[Spec]:
    """What each run is told."""
    return [{"log": log, "run": run, "steps": STEPS} for run in range(runs)]


async def effect(spec: Spec, step: int) -> int:
    """Some work, and then the effect: the line in the log."""
    note(spec["log"], spec["run"], step, "begin")
    # Runs take different times, so that the kill finds them in different places.
    await asyncio.sleep(STEP_SECONDS * (0.5 + spec["run"] % 10 / 10))
    note(spec["log"], spec["run"], step, kind_of(step))
    return step


async def crash_and_recover(
    log: str, runs: int, kill: Callable[[], None], restart: Callable[[], Awaitable[None]]
) -> dict[str, float]:
    """Kills when every run is in flight, starts again, and waits for the last line of each run."""
    await _until(lambda: _is_half_way(log, runs))
    kill()
    killed = time.monotonic_ns()
    await restart()
    await _until(lambda: _ended(log) == runs)
    return judged(read(log), killed)


def judged(lines: list[Line], killed: int) -> dict[str, float]:
    """Times after the kill, and what was lost or doubled."""
    after = [line for line in lines if line.at > killed]
    resumed = {line.run: line.at for line in reversed(after)}
    ended = {line.run: line.at for line in lines if line.kind == "end"}
    return {
        "resumed_seconds": (max(resumed.values(), default=killed) - killed) / 1e9,
        "finished_seconds": (max(ended.values(), default=killed) - killed) / 1e9,
        "outcomes_lost": _lost(lines),
        "once_doubled": _repeats(lines, "once"),
        "idempotent_repeats": _repeats(lines, "idempotent"),
    }


def _repeats(lines: list[Line], kind: str) -> int:
    times = Counter((line.run, line.step) for line in lines if line.kind == kind)
    return sum(count - 1 for count in times.values())


def _lost(lines: list[Line]) -> int:
    """Effects done again although a later step had begun, so their outcome had been recorded."""
    furthest: Counter[int] = Counter()
    lost = 0
    for line in lines:
        if line.kind == "begin":
            furthest[line.run] = max(furthest[line.run], line.step)
        elif line.kind != "end":
            lost += line.step < furthest[line.run]
    return lost


def _is_half_way(log: str, runs: int) -> bool:
    reached = {line.run for line in read(log) if line.step >= STEPS // 2}
    return len(reached) == runs


def _ended(log: str) -> int:
    return len({line.run for line in read(log) if line.kind == "end"})


async def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the runs did not get there")
        await asyncio.sleep(0.02)
