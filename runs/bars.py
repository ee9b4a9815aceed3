"""Where the bars of a timeline lie. Positions follow from the journal alone, never from the clock.

Long stretches in which nothing ran are collapsed to a marker of fixed width. A run that is not
over keeps a strip at the right edge: what is under way reaches into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from runs.statuses import step_look
from runs.timeline import Attempt, Step, Timeline

GAP_SECONDS = 30
GAP_SHARE = 0.05
GAP_WIDTH = 4.0
STRIP = 6.0
END = 2.0
MIN_WIDTH = 0.4
BUCKETS = 400
_NICE_SECONDS = (
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14400,
    28800,
    86400,
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A collapsed stretch: where its marker begins, and how long nothing ran."""

    x: float
    width: float
    seconds: float

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 2)

    @property
    def end(self) -> float:
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis, ``seconds`` of work after the start."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A piece of a bar; positions are percents of the bar's cell."""

    kind: str
    x: float
    width: float = 0.0

    @property
    def end(self) -> float:
        return round(self.x + self.width, 2)


@dataclass(frozen=True)
class Scale:
    """Maps moments to percents. Two scales that draw alike are equal."""

    start: datetime
    pieces: tuple[tuple[float, float, float, float], ...]
    gaps: tuple[Gap, ...] = ()
    domain: float = 1.0
    live: bool = False
    ticks: tuple[Tick, ...] = field(default=(), compare=False)
    # The part of the whole width that is shown, in percent.
    window: tuple[float, float] = (0.0, 100.0)

    def x(self, moment: datetime) -> float:
        """The percent at which ``moment`` lies."""
        offset = (moment - self.start).total_seconds()
        for begin, end, left, right in self.pieces:
            if offset <= end:
                within = min(max((offset - begin) / ((end - begin) or 1.0), 0.0), 1.0)
                return self.seen(left + within * (right - left))
        return self.seen(self.pieces[-1][3] if self.pieces else 0.0)

    def seen(self, x: float) -> float:
        """Where a place of the whole width is in what is shown of it."""
        left, right = self.window
        return round((x - left) * 100.0 / (right - left), 2)

    @property
    def edge(self) -> float:
        """Where the record ends and what is under way goes on."""
        return self.seen(self.pieces[-1][3] if self.pieces else 0.0)

    @property
    def right(self) -> float:
        """Where what is under way reaches to."""
        return self.seen(100.0)

    def through(self, window: tuple[float, float]) -> Scale:
        """The same, of which a part is shown."""
        return self if window == (0.0, 100.0) else replace(self, window=window)

    @property
    def marks(self) -> list[Tick]:
        """The marks of the axis that are in sight; more of them when only a part is shown."""
        left, right = self.window
        if self.window == (0.0, 100.0):
            return list(self.ticks)
        if len(self.pieces) != 1:
            return []
        per_second = self.pieces[0][3] / (self.pieces[0][1] or 1.0)
        first, last = left / per_second, right / per_second
        apart = _apart(last - first)
        marks = [n * apart for n in range(int(first / apart), int(last / apart) + 1)]
        found = [Tick(self.seen(mark * per_second), mark) for mark in marks]
        return [tick for tick in found if 0 <= tick.x <= 92]

    @property
    def breaks(self) -> list[Gap]:
        """The collapsed stretches that are in sight."""
        seen = [
            replace(gap, x=self.seen(gap.x), width=self.seen(gap.end) - self.seen(gap.x))
            for gap in self.gaps
        ]
        return [gap for gap in seen if gap.end > 0 and gap.x < 100]


def scale(timeline: Timeline, *, live: bool) -> Scale:
    """The scale on which all steps of a run are drawn."""
    if timeline.first_at is None or timeline.last_at is None:
        now = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
        return Scale(start=now, pieces=(), live=live)
    start = min([timeline.first_at, *(step.started_at for step in timeline.steps)])
    length = max((timeline.last_at - start).total_seconds(), 0.001)
    idle = _idle(start, length, timeline)
    worked = max(length - sum(end - begin for begin, end in idle), 0.001)
    domain = _nice(worked) if live else worked
    width = 100.0 - (STRIP if live else END) - GAP_WIDTH * len(idle)
    pieces, gaps = _lay(length, idle, width / domain)
    return Scale(start, tuple(pieces), tuple(gaps), domain, live, _ticks(pieces, domain, width))


def _idle(start: datetime, length: float, timeline: Timeline) -> list[tuple[float, float]]:
    """Stretches, in seconds after the start, that are long enough to collapse."""
    busy = sorted(
        (
            (a.started_at - start).total_seconds(),
            ((a.ended_at or timeline.last_at) - start).total_seconds(),
        )
        for step in timeline.steps
        for a in step.attempts
        if step.type not in _QUIET_TYPES and timeline.last_at
    )
    idle, reached = [], 0.0
    for begin, end in [*busy, (length, length)]:
        if begin - reached > max(GAP_SECONDS, GAP_SHARE * length):
            idle.append((reached, begin))
        reached = max(reached, end)
    return idle


_QUIET_TYPES = frozenset({"timer", "event", "child", "ask"})


def _nice(seconds: float) -> float:
    for nice in _NICE_SECONDS:
        if seconds <= nice:
            return float(nice)
    days = 1
    while days * 86400 < seconds:
        days *= 2
    return float(days * 86400)


def _lay(
    length: float, idle: Sequence[tuple[float, float]], per_second: float
) -> tuple[list[tuple[float, float, float, float]], list[Gap]]:
    pieces: list[tuple[float, float, float, float]] = []
    gaps: list[Gap] = []
    at, left = 0.0, 0.0
    for begin, end in [*idle, (length, length)]:
        right = left + (begin - at) * per_second
        pieces.append((at, begin, left, right))
        if end > begin:
            gaps.append(Gap(round(right, 2), GAP_WIDTH, end - begin))
            pieces.append((begin, end, right, right + GAP_WIDTH))
            right += GAP_WIDTH
        at, left = end, right
    return pieces, gaps


def _ticks(
    pieces: Sequence[tuple[float, float, float, float]], domain: float, width: float
) -> tuple[Tick, ...]:
    """About four marks at round numbers of seconds of work; none where a gap would mislead."""
    if len(pieces) != 1:
        return (Tick(0.0, 0.0),)
    apart = _apart(domain)
    marks = [i * apart for i in range(int(domain / apart) + 1) if i * apart <= 0.92 * domain]
    return tuple(Tick(round(width * mark / domain, 2), mark) for mark in marks)


def _apart(seconds: float) -> float:
    """How far the marks of an axis of this length are apart."""
    if seconds < 2:
        return seconds / 2 or 1.0
    return next((float(n) for n in _NICE_SECONDS if seconds / n <= 5), 86400.0)


def shapes(step: Step, on: Scale) -> list[Shape]:
    """The bar of a step, as much of it as is in sight."""
    found = _shapes(step, on)
    if on.window == (0.0, 100.0):
        return found
    cut = [_cut(shape) for shape in found if shape.x < 100 and shape.end > 0]
    return [shape for shape in cut if shape.width > 0]


def _cut(shape: Shape) -> Shape:
    left, right = max(shape.x, 0.0), min(shape.end, 100.0)
    # A cross at the end is drawn only where the end is.
    kind = "solid" if shape.kind == "crossed" and shape.end > 100 else shape.kind
    return Shape(kind, left, round(right - left, 2))


def _shapes(step: Step, on: Scale) -> list[Shape]:
    """Earlier attempts, the waits between them, and how the step stands."""
    drawn: list[Shape] = []
    ordered = sorted(step.attempts, key=lambda attempt: attempt.n)
    for attempt, following in pairwise(ordered):
        drawn.append(_piece("tried", attempt, on))
        pause = Shape(
            "between", drawn[-1].end, max(on.x(following.started_at) - drawn[-1].end, 0.0)
        )
        drawn.append(pause)
    return [*drawn, *_last(step, ordered[-1], on)] if ordered else drawn


def _last(step: Step, attempt: Attempt, on: Scale) -> list[Shape]:
    style = step_look(step.status, step.type).bar
    if not step.is_open or not on.live:
        return [_piece(style, attempt, on)]
    if step.status == "retrying":
        tried = _piece("tried", attempt, on)
        return [tried, Shape("between", tried.end, max(on.right - tried.end, 0.0))]
    left = on.x(attempt.started_at)
    return [Shape(style, left, round(max(on.right - left, MIN_WIDTH), 2))]


def _piece(kind: str, attempt: Attempt, on: Scale) -> Shape:
    left = on.x(attempt.started_at)
    right = on.x(attempt.ended_at) if attempt.ended_at else on.edge
    width = max(right - left, MIN_WIDTH)
    return Shape(kind, round(min(left, on.right - width), 2), round(width, 2))


@dataclass(frozen=True, slots=True)
class Minimap:
    """How much ran over the whole run, as two outlines in a box of 400 by 30."""

    activity: str
    failures: str


def minimap(timeline: Timeline, on: Scale) -> Minimap:
    """The run at a glance: how many steps were under way, and where one failed."""
    busy, failed = [0] * (BUCKETS + 1), [0] * (BUCKETS + 1)
    for step in timeline.steps:
        for attempt in step.attempts:
            piece = _piece("", attempt, on)
            first, last = _bucket(piece.x), _bucket(piece.end)
            busy[first] += 1
            busy[min(last + 1, BUCKETS)] -= 1
            if attempt.error:
                failed[last] = 1
    return Minimap(_outline(_levels(busy)), _ticks_path(failed))


def _bucket(x: float) -> int:
    return min(int(x / 100 * BUCKETS), BUCKETS - 1)


def _levels(changes: Sequence[int]) -> list[int]:
    levels, level = [], 0
    for change in changes[:BUCKETS]:
        level += change
        levels.append(level)
    return levels


def _outline(levels: Sequence[int]) -> str:
    top = max(levels, default=0) or 1
    parts, before = ["M0 30"], 0
    for at, level in enumerate(levels):
        if level != before:
            parts.append(f"H{at}V{30 - round(26 * level / top) if level else 30}")
            before = level
    return "".join(parts) + f"H{BUCKETS}V30Z"


def _ticks_path(failed: Sequence[int]) -> str:
    return "".join(f"M{at} 0v30" for at, hit in enumerate(failed) if hit)
