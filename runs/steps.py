"""The steps of a run, folded from its journal: one line per step key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Func, Value

from runs.models import Journal, Phase, Run, RunStatus
from runs.values import HEAD_BYTES, Stored, load_all, preview


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


_WAITS = frozenset({"timer", "event", "child", "ask"})


@dataclass
class Step:
    """One step of a run. ``number`` counts steps in the order in which they began."""

    number: int
    key: str
    name: str
    type: str = "step"
    effect: str = ""
    status: StepStatus = StepStatus.RUNNING
    attempts: int = 1
    first_seq: int = 0
    last_seq: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    preview: str = ""
    error: dict[str, Any] | None = None
    next_at: str | None = None
    verdict: str = ""
    _open_intents: set[int] = field(default_factory=set, repr=False)

    def take(self, row: Journal) -> None:
        """Add a line of the journal to what is known of the step."""
        meta: dict[str, Any] = row.meta or {}
        self.type = meta.get("type", self.type)
        self.effect = meta.get("effect", self.effect)
        self.attempts = max(self.attempts, row.n, int(meta.get("attempt") or 0))
        self.last_seq = row.seq
        self.error = meta.get("error", self.error)
        self.next_at = meta.get("next_at")
        self._weigh_intent(row)
        if row.phase == Phase.OUTCOME:
            self._end(row, meta)
        elif row.phase in (Phase.FAILED, Phase.VOID):
            self.status = StepStatus.RETRYING
        elif row.phase in (Phase.STARTED, Phase.INTENT):
            self.status = StepStatus.WAITING if self.type in _WAITS else StepStatus.RUNNING

    def _weigh_intent(self, row: Journal) -> None:
        if row.phase == Phase.INTENT:
            self._open_intents.add(row.n)
        elif row.phase in (Phase.FAILED, Phase.VOID):
            self._open_intents.discard(row.n)
        elif row.phase == Phase.OUTCOME:
            self._open_intents.clear()

    def _end(self, row: Journal, meta: dict[str, Any]) -> None:
        failed = row.kind == "step.failed" or "error" in meta
        self.status = StepStatus.FAILED if failed else StepStatus.COMPLETED
        self.error = self.error if failed else None
        self.verdict = meta.get("verdict", "")
        self.started_at = row.started_at or self.started_at
        self.ended_at = row.at
        self.duration_ms = meta.get("duration_ms")
        self.preview = preview(row.codec, getattr(row, "head", None))

    def judge(self, run: Run) -> None:
        """Correct the status of an unfinished step by what became of its run."""
        if self.ended_at is not None or run.status == RunStatus.RUNNING:
            return
        if self._open_intents:
            self.status = StepStatus.UNCERTAIN
        elif run.is_final:
            self.status = StepStatus.ABANDONED
        elif self.status == StepStatus.RUNNING:
            self.status = StepStatus.INTERRUPTED


def steps(*, run: Run) -> list[Step]:
    """All steps of a run in the order in which they began, without their values."""
    head = Func(F("data"), Value(1), Value(HEAD_BYTES), function="substr")
    rows = (
        Journal.objects.filter(run=run)
        .exclude(key__startswith="@")
        .annotate(head=models.ExpressionWrapper(head, output_field=models.BinaryField()))
        .defer("data", "input", "fingerprint")
        .order_by("seq")
    )
    return fold(run, rows)


def fold(run: Run, rows: Iterable[Journal]) -> list[Step]:
    """The steps that lines of a journal tell of."""
    found: dict[str, Step] = {}
    for row in rows:
        step = found.get(row.key)
        if step is None:
            step = found[row.key] = Step(
                number=len(found) + 1,
                key=row.key,
                name=row.name,
                first_seq=row.seq,
                started_at=row.started_at or row.at,
            )
        step.take(row)
    for step in found.values():
        step.judge(run)
    return list(found.values())


@dataclass(frozen=True)
class StepDetail:
    """A step with its values and the lines it is made of."""

    step: Step
    input: object
    output: object
    rows: list[Journal]


def step_detail(*, run: Run, key: str) -> StepDetail | None:
    """Everything about one step, or None if the run has none with this key."""
    rows = list(Journal.objects.filter(run=run, key=key).order_by("seq"))
    folded = fold(run, rows)
    if not folded:
        return None
    nothing: Stored = (None, None)
    inputs = ((row.input_codec, row.input) for row in rows if row.input_codec is not None)
    outcomes = ((row.codec, row.data) for row in rows if row.phase == Phase.OUTCOME)
    values = load_all([next(inputs, nothing), next(outcomes, nothing)])
    return StepDetail(folded[0], values[0], values[1], rows)
