"""The judge of the crash workload sees what was lost and what was doubled."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rig import recovery
from benchmarks.rig.recovery import Line

BEFORE, AFTER = 1, 2


def done(run: int, step: int, pid: int, at: int) -> list[Line]:
    return [
        Line(run, step, "begin", pid, at),
        Line(run, step, recovery.kind_of(step), pid, at + 1),
    ]


def end(run: int, at: int) -> Line:
    return Line(run, recovery.STEPS, "end", AFTER, at)


def test_a_clean_recovery_loses_and_doubles_nothing() -> None:
    lines = [*done(0, 0, BEFORE, 10), *done(0, 1, AFTER, 1_000_000_100), end(0, 2_000_000_100)]

    found = recovery.judged(lines, killed=100)

    assert (found["outcomes_lost"], found["once_doubled"], found["idempotent_repeats"]) == (0, 0, 0)
    assert found["resumed_seconds"] == 1.0
    assert found["finished_seconds"] == 2.0


def test_an_effect_in_flight_that_is_repeated_counts_as_doubled_not_as_lost() -> None:
    lines = [*done(0, 1, BEFORE, 10), *done(0, 1, AFTER, 200), end(0, 300)]

    found = recovery.judged(lines, killed=100)

    assert (found["once_doubled"], found["outcomes_lost"]) == (1, 0)


def test_an_effect_repeated_after_the_next_step_began_is_a_lost_outcome() -> None:
    lines = [
        *done(0, 0, BEFORE, 10), Line(0, 1, "begin", BEFORE, 20),
        *done(0, 0, AFTER, 200), end(0, 300),
    ]  # fmt: skip

    found = recovery.judged(lines, killed=100)

    assert (found["idempotent_repeats"], found["outcomes_lost"]) == (1, 1)


def test_the_slowest_run_decides_the_times() -> None:
    lines = [
        *done(0, 0, AFTER, 200),
        *done(1, 0, AFTER, 5_000_000_100),
        end(0, 300),
        end(1, 6_000_000_100),
    ]

    found = recovery.judged(lines, killed=100)

    assert (found["resumed_seconds"], found["finished_seconds"]) == (5.0, 6.0)


def test_lines_of_the_log_are_read_as_they_were_written(tmp_path: Path) -> None:
    log = str(tmp_path / "log")

    recovery.note(log, 3, 4, "once")

    assert [(e.run, e.step, e.kind) for e in recovery.read(log)] == [(3, 4, "once")]
