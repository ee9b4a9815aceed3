"""What the templates of a run are given, the same for first paint and for live updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.utils import timezone

from runs import bars, columns, lens, statuses, telling
from runs.bars import Minimap, Scale, Shape
from runs.columns import Column
from runs.lens import Fold, Lens, Shown
from runs.models import Run
from runs.statuses import Look, step_look
from runs.telling import Why
from runs.timeline import Line, Step, Timeline

BLOCK = 100
# So many blocks stay in a page; the farthest away gives up its rows when another one comes.
BLOCKS_KEPT = 5

STEP_ICONS = {
    "tool": "wrench", "step": "box", "timer": "hourglass", "event": "radio", "child": "git-fork",
    "model": "sparkles", "patch": "flag", "ask": "message-circle-question",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as a row of the timeline."""

    step: Step
    shapes: Sequence[Shape]
    look: Look
    fold: Fold | None = None

    @property
    def icon(self) -> str:
        if self.step.effect == "once":
            return "flag"
        return STEP_ICONS.get(self.step.type, "box")

    @property
    def kind(self) -> str:
        """What the kind column says: the effect of a tool, else the type."""
        effect = self.step.effect
        if self.step.scripted:
            return "scripted"
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

    def __init__(
        self, run: Run, timeline: Timeline, now: datetime, seen: Lens | None = None
    ) -> None:
        self.run = run
        self.timeline = timeline
        self.now = timezone.localtime(now)
        self.lens = seen or Lens()

    @cached_property
    def look(self) -> Look:
        return statuses.look(self.run, self.now)

    @cached_property
    def why(self) -> Why:
        return telling.why(self.run, self.timeline, self.now)

    @cached_property
    def whole(self) -> Scale:
        """The scale of the whole run."""
        return bars.scale(self.timeline, live=not self.run.is_final)

    @cached_property
    def scale(self) -> Scale:
        """The scale of the part that is looked at."""
        return self.whole.through(self.lens.window)

    @cached_property
    def minimap(self) -> Minimap:
        return bars.minimap(self.timeline, self.whole)

    @property
    def part(self) -> tuple[float, float]:
        """Where the part that is looked at lies on the minimap, and how wide it is."""
        left, right = self.lens.window
        return round(left / 100 * bars.BUCKETS, 1), round((right - left) / 100 * bars.BUCKETS, 1)

    @cached_property
    def shown(self) -> Shown:
        """The steps that are looked at."""
        return lens.shown(self.timeline, self.lens, final=self.run.is_final)

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
        look = step_look(step.status, step.type)
        return StepRow(step, bars.shapes(step, self.scale), look, self.shown.folds.get(step.number))

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
    def is_full(self) -> bool:
        return self.size == BLOCK

    @property
    def height(self) -> int:
        return 28 * self.size


def block(drawing: RunDrawing, number: int, *, rows: bool = True) -> Block:
    """A hundred of the steps that are looked at, or the place they will take."""
    part = drawing.shown.steps[number * BLOCK : (number + 1) * BLOCK]
    return Block(number, drawing.rows(part) if rows else [], len(part))


def blocks(drawing: RunDrawing, opened: int) -> list[Block]:
    """The timeline in blocks; only block ``opened`` has its rows."""
    count = -(-len(drawing.shown.steps) // BLOCK)
    return [block(drawing, number, rows=number == opened) for number in range(count)]


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
