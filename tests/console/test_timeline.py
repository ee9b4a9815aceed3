"""The journal folded into steps, and steps into bars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runs import bars
from runs.models import Phase
from runs.timeline import Line, Timeline

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
FAILED: dict[str, Any] = {"error": {"code": "timeout", "message": "late"}}


def line(
    seq: int, second: float, key: str, phase: int, kind: str, n: int = 0, **meta: object
) -> Line:
    at = START + timedelta(seconds=second)
    return Line(seq, key, phase, n, kind, key.partition("#")[0], dict(meta), None, at)


def test_lines_that_come_again_change_nothing() -> None:
    lines = [
        line(1, 0, "a#1", Phase.STARTED, "step.started", 1),
        line(2, 2, "a#1", Phase.OUTCOME, "step.completed", attempt=1),
    ]
    timeline = Timeline(lines)
    assert timeline.apply(lines) == []
    assert [(step.number, step.status, step.tries) for step in timeline.steps] == [
        (1, "completed", 1)
    ]


def test_folding_at_once_and_line_by_line_is_the_same() -> None:
    lines = [
        line(1, 0, "@run.started", Phase.NOTE, "run.started", 1),
        line(2, 3, "a#1", Phase.FAILED, "step.retrying", 1, **FAILED),
        line(3, 4, "b/c#1", Phase.INTENT, "step.intended", 1, effect="once"),
        line(4, 9, "a#1", Phase.OUTCOME, "step.failed", attempt=2, **FAILED),
        line(5, 9, "@run.recovered", Phase.NOTE, "run.recovered", 2),
        line(6, 9, "@step.uncertain/b/c#1", Phase.NOTE, "step.uncertain", 6),
        line(7, 12, "@run.cancelled", Phase.NOTE, "run.cancelled", 2),
    ]
    slowly = Timeline()
    for one in lines:
        slowly.apply([one])
    assert slowly.steps == Timeline(lines).steps
    assert [step.status for step in slowly.steps] == ["failed", "uncertain"]
    assert slowly.steps[1].depth == 1


def test_a_call_that_waits_for_people_is_there_before_it_begins() -> None:
    timeline = Timeline([line(1, 0, "@approval.requested/pay#1", Phase.NOTE, "approval.requested")])
    [step] = timeline.steps
    assert (step.key, step.status, step.type, step.tries) == ("pay#1", "waiting", "tool", 0)
    timeline.apply([line(2, 9, "pay#1", Phase.INTENT, "step.intended", 1, effect="once")])
    assert timeline.steps[0].status == "running"


def test_an_attempt_whose_start_is_not_told_began_when_it_was_due() -> None:
    due = (START + timedelta(seconds=5)).isoformat()
    timeline = Timeline(
        [
            line(1, 3, "a#1", Phase.FAILED, "step.retrying", 1, next_at=due, **FAILED),
            line(2, 9, "a#1", Phase.OUTCOME, "step.failed", attempt=2, **FAILED),
        ]
    )
    assert [(a.started_at - START).total_seconds() for a in timeline.steps[0].attempts] == [3, 5]


@pytest.mark.parametrize("live", [True, False])
def test_long_idle_stretches_are_cut_out_and_marked_with_their_length(live: bool) -> None:
    timeline = Timeline(
        [
            line(1, 0, "a#1", Phase.STARTED, "step.started", 1),
            line(2, 5, "a#1", Phase.OUTCOME, "step.completed", attempt=1),
            line(3, 5, "nap#1", Phase.STARTED, "timer.started", 1, type="timer"),
            line(4, 725, "nap#1", Phase.OUTCOME, "timer.fired", type="timer"),
            line(5, 725, "b#1", Phase.STARTED, "step.started", 1),
            line(6, 730, "b#1", Phase.OUTCOME, "step.completed", attempt=1),
        ]
    )
    scale = bars.scale(timeline, live=live)
    assert [gap.seconds for gap in scale.gaps] == [720]
    for step in timeline.steps:
        for shape in bars.shapes(step, scale):
            assert 0 <= shape.x <= shape.end <= 100


def test_positions_follow_from_the_journal_alone() -> None:
    lines = [line(1, 0, "a#1", Phase.STARTED, "step.started", 1), line(2, 3, "b#1", 1, "step.x")]
    assert bars.scale(Timeline(lines), live=True) == bars.scale(Timeline(lines), live=True)


def test_what_is_under_way_reaches_the_right_edge() -> None:
    timeline = Timeline([line(1, 0, "a#1", Phase.STARTED, "step.started", 1)])
    (shape,) = bars.shapes(timeline.steps[0], bars.scale(timeline, live=True))
    assert (shape.kind, shape.end) == ("leading", 100)
