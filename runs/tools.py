"""The tools of a timeline: zoom, pan, jumps to failures and idle stretches, depth: all links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from runs.bars import Gap
from runs.drawing import RunDrawing
from runs.timeline import Step


@dataclass(frozen=True, slots=True)
class Depth:
    """A level to which branches are folded."""

    label: str
    key: int
    query: str
    current: bool


class Tools:
    """What can be done with the timeline of a page, as addresses that do it."""

    def __init__(self, drawn: RunDrawing, selected: Step | None = None) -> None:
        self._drawn, self._lens, self._selected = drawn, drawn.lens, selected

    @property
    def nearer(self) -> str:
        return self._lens.zoomed(1).query

    @property
    def farther(self) -> str:
        return self._lens.zoomed(-1).query

    @property
    def fit(self) -> str:
        return replace(self._lens, zoom=0, at=None).query

    @property
    def left(self) -> str:
        return self._lens.panned(-0.5).query

    @property
    def right(self) -> str:
        return self._lens.panned(0.5).query

    @property
    def depths(self) -> list[Depth]:
        """The levels of a run with branches."""
        deepest = min(self._drawn.shown.deepest, 8)
        if not deepest:
            return []
        found = [(f"{n}", n) for n in range(1, deepest + 1)] + [("all", 0)]
        chosen = self._lens.depth
        return [
            Depth(
                label, key, replace(self._lens, depth=key, flipped=frozenset()).query, key == chosen
            )
            for label, key in found
        ]

    @cached_property
    def idle(self) -> Gap | None:
        """The longest stretch in which nothing ran."""
        return max(self._drawn.whole.gaps, key=lambda gap: gap.seconds, default=None)

    @property
    def to_idle(self) -> str:
        gap = self.idle
        return replace(self._lens, at=round(gap.middle * 10)).query if gap else ""

    @cached_property
    def _failures(self) -> Sequence[Step]:
        bad = {"failed", "uncertain"}
        return [step for step in self._drawn.timeline.steps if step.status in bad]

    @property
    def next_failure(self) -> Step | None:
        """The failure after the selected step; around the end, the first."""
        after = self._selected.number if self._selected else 0
        later = [step for step in self._failures if step.number > after]
        return next(iter(later or self._failures), None)

    @property
    def earlier_failure(self) -> Step | None:
        """The failure before the selected step; around the beginning, the last."""
        before = self._selected.number if self._selected else 0
        earlier = [step for step in self._failures if step.number < before]
        return next(iter((earlier or self._failures)[::-1]), None)
