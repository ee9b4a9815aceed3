"""The steps of a run as a list: the timeline, with the beginning of each result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import F, Func, Value

from runs import reading
from runs.models import Journal, Phase, Run
from runs.timeline import Step, Timeline
from runs.values import HEAD_BYTES, preview


class StepStatus(models.TextChoices):
    """Where a step stands."""

    RUNNING = "running", "A worker is at it."
    RETRYING = "retrying", "An attempt failed, another one follows."
    WAITING = "waiting", "It waits for a time, an event, a person or a run."
    INTERRUPTED = "interrupted", "Its worker is gone; it is run again."
    UNCERTAIN = "uncertain", "Nobody knows whether its effect happened."
    COMPLETED = "completed", "It has a result."
    FAILED = "failed", "It failed for good."
    ABANDONED = "abandoned", "The run ended before it did."


@dataclass(frozen=True)
class ListedStep:
    """A step of the timeline. ``verdict`` is how a person settled it, if one did."""

    step: Step
    preview: str = ""
    verdict: str = ""

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed."""
        if self.step.error is None:
            return None
        code, message = self.step.error
        return {"code": code, "message": message}

    @property
    def duration_ms(self) -> int | None:
        """From its beginning to its end, pauses included."""
        if self.step.ended_at is None:
            return None
        return round((self.step.ended_at - self.step.started_at).total_seconds() * 1000)


def steps(*, run: Run) -> list[ListedStep]:
    """All steps of a run in the order in which they began, without their values."""
    ends = _ends(run)
    return [
        ListedStep(step, *ends.get(step.key, ())) for step in Timeline(reading.lines(run)).steps
    ]


def _ends(run: Run) -> dict[str, tuple[str, str]]:
    """Preview and verdict of each outcome."""
    beginning: Any = Func(F("data"), Value(1), Value(HEAD_BYTES), function="substr")
    rows = Journal.objects.filter(run=run, phase=Phase.OUTCOME).values_list(
        "key",
        "codec",
        models.ExpressionWrapper(beginning, output_field=models.BinaryField()),
        "meta__verdict",
    )
    return {key: (preview(codec, head), verdict or "") for key, codec, head, verdict in rows}
