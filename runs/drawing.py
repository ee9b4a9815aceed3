"""What the templates of a run are given, the same for first paint and for live updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.utils import timezone

from runs import bars, columns, statuses, telling
from runs.bars import Minimap, Scale, Shape
from runs.columns import Column
from runs.models import Run
from runs.statuses import Look, step_look
from runs.telling import Why
from runs.timeline import Line, Step, Timeline

BLOCK = 100
FOLD_ABOVE = 2_000

STEP_ICONS = {
    "tool": "wrench", "step": "box", "timer": "hourglass", "event": "radio", "child": "git-fork",
    "model": "sparkles", "patch": "flag", "ask": "message-circle-question",
}  # fmt: skip
ONLY = {
    "failed": "Failed",
    "effects": "Effects",
    "tools": "Tools",
    "waits": "Waits",
}
_EFFECTS = frozenset({"once", "idempotent", "transactional"})
_WAITS = frozenset({"timer", "event", "child", "ask"})


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as a row of the timeline."""

    step: Step
    shapes: Sequence[Shape]
    look: Look

    @property
    def icon(self) -> str:
        if self.step.effect == "once":
            return "flag"
        return STEP_ICONS.get(self.step.type, "box")

    @property
    def kind(self) -> str:
        """What the kind column says: the effect of a tool, else the type."""
        effect = self.step.effect
        return effect if self.step.type == "tool" and effect else self.step.type

    @property
    def took(self) -> timedelta | None:
        """How long it took; nothing while it is under way."""
        return self.step.ended_at - self.step.started_at if self.step.ended_at else None

    @property
    def word(self) -> str:
        return "settled" if self.step.settled else self.look.word


@dataclass(frozen=True, slots=True)
class EventRow:
    """A journal row as a line people read."""

    line: Line
    sentence: str

    @property
    def family(self) -> str:
        return _FAMILIES.get(self.line.kind.rpartition(".")[2], "grey")


_FAMILIES = {
    "failed": "crimson", "succeeded": "green", "completed": "green", "finished": "green",
    "received": "green", "fired": "green", "settled": "olive", "uncertain": "olive",
    "retrying": "amber", "recovered": "amber", "started": "blue", "resumed": "blue",
    "cancel_requested": "stone", "cancelled": "stone", "expired": "stone",
}  # fmt: skip


class RunDrawing:
    """A run at a moment: everything its page shows that follows from its row and its journal."""

    def __init__(self, run: Run, timeline: Timeline, now: datetime) -> None:
        self.run = run
        self.timeline = timeline
        self.now = timezone.localtime(now)

    @cached_property
    def look(self) -> Look:
        return statuses.look(self.run, self.now)

    @cached_property
    def why(self) -> Why | None:
        return telling.why(self.run, self.timeline, self.now)

    @cached_property
    def scale(self) -> Scale:
        return bars.scale(self.timeline, live=not self.run.is_final)

    @cached_property
    def minimap(self) -> Minimap:
        return bars.minimap(self.timeline, self.scale)

    @property
    def title(self) -> str:
        return self.run.title or self.run.agent

    @property
    def heading(self) -> str:
        """What a browser's tab says."""
        return f"{self.title} · {self.look.word}"

    @property
    def steps(self) -> int:
        """Steps begun; the row's own count may lag behind its journal."""
        return max(self.run.steps, len(self.timeline.steps))

    @property
    def elapsed(self) -> timedelta:
        return (self.run.finished_at or self.now) - self.run.created_at

    @property
    def worked(self) -> timedelta:
        return timedelta(milliseconds=self.run.worked_ms)

    def row(self, step: Step) -> StepRow:
        return StepRow(step, bars.shapes(step, self.scale), step_look(step.status, step.type))

    def rows(self, steps: Iterable[Step]) -> list[StepRow]:
        return [self.row(step) for step in steps]

    def step(self, number: int) -> Step | None:
        """The step with this number, if there is one."""
        steps = self.timeline.steps
        return steps[number - 1] if 0 < number <= len(steps) else None

    @property
    def failing(self) -> Step | None:
        """The step to look at first in a run that failed or is uncertain."""
        if self.look.family not in {"crimson", "olive"}:
            return None
        bad = [step for step in self.timeline.steps if step.status in {"failed", "uncertain"}]
        return bad[-1] if bad else None

    @property
    def uncertain(self) -> Step | None:
        """The step a person has to settle."""
        kind, _, key = self.run.waiting_detail.partition(":")
        return self.timeline.by_key.get(key) if kind == "uncertain" else None


@dataclass(frozen=True, slots=True)
class Block:
    """A hundred rows of a timeline, or the place they will take."""

    number: int
    rows: Sequence[StepRow]
    size: int

    @property
    def height(self) -> int:
        return 28 * self.size


def is_filtered(query: Mapping[str, str]) -> bool:
    """Whether an address asks for some of the steps only."""
    return bool(query.get("only") in ONLY or query.get("q"))


def chosen(steps: Sequence[Step], only: str, words: str) -> list[Step]:
    """The steps that a filter of the timeline shows."""
    found = [step for step in steps if _ONLY[only](step)] if only in _ONLY else list(steps)
    for word in words.lower().split():
        found = [step for step in found if word in step.name.lower() or word in step.key.lower()]
    if not only and not words and len(found) > FOLD_ABOVE:
        found = [step for step in found if step.depth == 0 or step.status == "failed"]
    return found


_ONLY: dict[str, Callable[[Step], bool]] = {
    "failed": lambda step: step.error is not None or step.status == "uncertain",
    "effects": lambda step: step.effect in _EFFECTS,
    "tools": lambda step: step.type == "tool",
    "waits": lambda step: step.type in _WAITS or step.status == "retrying",
}


def blocks(drawing: RunDrawing, steps: Sequence[Step], opened: int) -> list[Block]:
    """The timeline in blocks of a hundred; only block ``opened`` is drawn."""
    made = []
    for number, start in enumerate(range(0, len(steps), BLOCK)):
        part = steps[start : start + BLOCK]
        drawn = drawing.rows(part) if number == opened else []
        made.append(Block(number, drawn, len(part)))
    return made


def events(lines: Iterable[Line]) -> list[EventRow]:
    """Journal rows as people read them."""
    return [EventRow(line, telling.tell(line)) for line in lines]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as a row of a list."""

    run: Run
    look: Look
    matches: bool = True
    columns: Sequence[Column] = field(default_factory=lambda: columns.chosen(""))
    # Whether it can be selected and peeked at, as in the list of runs.
    picks: bool = False

    @property
    def now(self) -> str:
        """What it does now, in its own words; nothing for one that is over."""
        return "" if self.run.is_final else self.run.progress


def run_rows(
    runs: list[Run], now: datetime, *, shown: Sequence[Column] = (), picks: bool = False
) -> list[RunRow]:
    """Rows for some runs, with the columns ``shown`` or else the usual ones."""
    cells = shown or columns.chosen("")
    return [RunRow(run, statuses.look(run, now), columns=cells, picks=picks) for run in runs]
