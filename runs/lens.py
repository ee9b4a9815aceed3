"""Which steps of a timeline are shown, in what order and how large: filters, folds, zoom.

All of it is in the address of a page, so that a link shows what its sender saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from runs.timeline import Step, Timeline

FOLD_ABOVE = 2_000
MOST_ZOOM = 12
_LONGEST = 200
_MOST_FLIPPED = 50
_EFFECTS = frozenset({"once", "idempotent", "transactional"})
_WAITS = frozenset({"timer", "event", "child", "ask"})
ONLY = {
    "failed": "Failed", "effects": "Effects", "models": "Model", "tools": "Tools", "waits": "Waits",
}  # fmt: skip
_ONLY: dict[str, Callable[[Step], bool]] = {
    "failed": lambda step: step.error is not None or step.status == "uncertain",
    "effects": lambda step: step.effect in _EFFECTS,
    "models": lambda step: step.type == "model",
    "tools": lambda step: step.type == "tool",
    "waits": lambda step: step.type in _WAITS or step.status == "retrying",
}


@dataclass(frozen=True, slots=True)
class Lens:
    """How somebody looks at a timeline. ``at`` is a place on it in thousandths of its length.

    ``depth`` 1 shows the top level and the first step of each branch, 0 everything; ``None`` lets
    the length of the run decide. ``flipped`` are the branches, named by their first step, that are
    folded otherwise.
    """

    only: str = ""
    words: str = ""
    depth: int | None = None
    flipped: frozenset[int] = frozenset()
    zoom: int = 0
    at: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Lens:
        """The lens of an address; what makes no sense in it is left out."""
        only = query.get("only", "")
        flipped = (
            _number(part, 999_999) for part in query.get("flip", "").split(",")[:_MOST_FLIPPED]
        )
        return cls(
            only=only if only in ONLY else "",
            words=" ".join(query.get("q", "")[:_LONGEST].split()),
            depth=_number(query.get("depth", ""), 9),
            flipped=frozenset(number for number in flipped if number),
            zoom=_number(query.get("zoom", ""), MOST_ZOOM) or 0,
            at=_number(query.get("at", ""), 1000),
        )

    @property
    def query(self) -> str:
        """The same as part of an address: defaults left out, in a fixed order."""
        parts = {
            "only": self.only,
            "q": self.words,
            "depth": "" if self.depth is None else str(self.depth),
            "flip": ",".join(map(str, sorted(self.flipped))),
            "zoom": str(self.zoom or ""),
            "at": "" if self.at is None else str(self.at),
        }
        return urlencode({name: value for name, value in parts.items() if value})

    @property
    def keep(self) -> str:
        """What stands before another parameter of the address."""
        return f"{self.query}&" if self.query else ""

    @property
    def is_filter(self) -> bool:
        return bool(self.only or self.words)

    @property
    def window(self) -> tuple[float, float]:
        """The part of the timeline's width that is shown, in percent."""
        width = 100.0 / 2**self.zoom
        middle = 50.0 if self.at is None else self.at / 10
        left = min(max(middle - width / 2, 0.0), 100.0 - width)
        return left, left + width

    def zoomed(self, by: int) -> Lens:
        """One step nearer or farther."""
        zoom = min(max(self.zoom + by, 0), MOST_ZOOM)
        return replace(self, zoom=zoom, at=self.at if zoom else None)

    def panned(self, by: float) -> Lens:
        """Half a window to one side."""
        left, right = self.window
        middle = (left + right) / 2 + by * (right - left)
        return replace(self, at=round(min(max(middle, 0.0), 100.0) * 10))

    def turned(self, number: int) -> Lens:
        """With the branch of this step opened or closed."""
        return replace(self, flipped=self.flipped ^ {number})


@dataclass(frozen=True, slots=True)
class Fold:
    """A branch, at its first step: how many steps it has, and whether they are hidden."""

    steps: int
    closed: bool
    failed: bool


@dataclass(frozen=True)
class Shown:
    """The steps that are shown, in order, and the branches that begin at some of them."""

    steps: Sequence[Step]
    folds: Mapping[int, Fold] = field(default_factory=dict)
    deepest: int = 0

    def place(self, step: Step) -> int | None:
        """Where a step is among those shown."""
        if self.steps and self.steps[-1].number == len(self.steps):
            return step.number - 1
        return next((at for at, one in enumerate(self.steps) if one.number == step.number), None)


def shown(timeline: Timeline, lens: Lens, *, final: bool) -> Shown:
    """What a lens shows of a run: steps as they came while it lives, by branch when it is over."""
    steps: Sequence[Step] = timeline.steps
    if lens.is_filter:
        return Shown(_filtered(steps, lens))
    deepest = max((step.depth for step in steps), default=0)
    if not deepest:
        return Shown(steps)
    auto = 1 if final and len(steps) > FOLD_ABOVE else 0
    return _Branches(steps).shown(lens, auto if lens.depth is None else lens.depth, final=final)


def _filtered(steps: Sequence[Step], lens: Lens) -> list[Step]:
    found = [step for step in steps if _ONLY[lens.only](step)] if lens.only else list(steps)
    for word in lens.words.lower().split():
        found = [step for step in found if word in step.name.lower() or word in step.key.lower()]
    return found


class _Branches:
    """The steps of a run by the branches they belong to. A branch is a path before a key."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._paths = {step.number: _paths(step.key) for step in steps}
        self._heads: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._failed: set[str] = set()
        for step in steps:
            for path in self._paths[step.number]:
                self._heads.setdefault(path, step.number)
                self._sizes[path] = self._sizes.get(path, 0) + 1
                if step.error is not None:
                    self._failed.add(path)

    def shown(self, lens: Lens, depth: int, *, final: bool) -> Shown:
        closed = {path: self._is_closed(path, lens, depth) for path in self._heads}
        steps = [step for step in self._steps if self._shows(step, closed)]
        if final:
            steps.sort(key=self._order)
        folds = {
            step.number: Fold(self._sizes[path], closed[path], path in self._failed)
            for step in steps
            if (path := self._headed(step.number)) and self._sizes[path] > 1
        }
        return Shown(steps, folds, max(step.depth for step in self._steps))

    def _is_closed(self, path: str, lens: Lens, depth: int) -> bool:
        usual = bool(depth) and path.count("/") + 1 >= depth
        head = self._heads[path]
        return usual ^ (head in lens.flipped and self._headed(head) == path)

    def _headed(self, number: int) -> str:
        """The outermost branch that begins with this step."""
        return next((p for p in self._paths[number] if self._heads[p] == number), "")

    def _shows(self, step: Step, closed: Mapping[str, bool]) -> bool:
        """Failures are shown wherever they are."""
        return step.status in {"failed", "uncertain"} or not any(
            closed[path] and self._heads[path] != step.number for path in self._paths[step.number]
        )

    def _order(self, step: Step) -> tuple[int, ...]:
        return (*(self._heads[path] for path in self._paths[step.number]), step.number)


def _paths(key: str) -> list[str]:
    """The branches around a step, outermost first."""
    parts = key.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        return None
    return min(int(text), most)
