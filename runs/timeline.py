"""What the journal says about the steps of a run, folded row by row.

First paint and live updates fold the same rows with the same code, so a page that was kept
fresh equals a page that was loaded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runs.models import Phase

Meta = dict[str, object]


@dataclass(frozen=True, slots=True)
class Line:
    """One journal row without its values."""

    seq: int
    key: str
    phase: int
    n: int
    kind: str
    name: str
    meta: Meta
    started_at: datetime | None
    at: datetime

    @property
    def is_note(self) -> bool:
        return self.key.startswith("@")

    def text(self, field_name: str) -> str:
        """A text of ``meta``, or nothing."""
        value = self.meta.get(field_name)
        return value if isinstance(value, str) else ""

    def number(self, field_name: str) -> float | None:
        """A number of ``meta``, if it has one."""
        value = self.meta.get(field_name)
        return value if isinstance(value, (int, float)) else None

    @property
    def error(self) -> tuple[str, str] | None:
        """Code and message of the error this row records."""
        value = self.meta.get("error")
        if not isinstance(value, dict):
            return None
        return str(value.get("code", "")), str(value.get("message", ""))

    @property
    def begun_at(self) -> datetime:
        """When what this row records began."""
        if self.started_at:
            return self.started_at
        took = self.number("duration_ms")
        return self.at if took is None else self.at - timedelta(milliseconds=took)


@dataclass(slots=True)
class Attempt:
    """One try at a step. ``ended_at`` is ``None`` while it goes on."""

    n: int
    started_at: datetime
    ended_at: datetime | None = None
    error: tuple[str, str] | None = None
    worker: object = None


@dataclass(slots=True)
class Step:
    """A step as far as the journal tells. ``number`` counts first appearances from 1."""

    number: int
    key: str
    name: str
    type: str
    started_at: datetime
    first_seq: int
    last_seq: int
    effect: str = ""
    status: str = "running"
    ended_at: datetime | None = None
    next_at: datetime | None = None
    deadline_at: datetime | None = None
    attempts: list[Attempt] = field(default_factory=list)
    error: tuple[str, str] | None = None
    settled: bool = False
    # No model answered, but the script of the agent.
    scripted: bool = False

    @property
    def depth(self) -> int:
        return self.key.count("/")

    @property
    def tries(self) -> int:
        return max((attempt.n for attempt in self.attempts), default=0)

    @property
    def is_open(self) -> bool:
        return self.ended_at is None


# A step that goes on is waiting if it is one of these, else running.
_WAITS = frozenset({"timer", "event", "child", "ask"})
_TYPES = {"timer": "timer", "event": "event", "child": "child", "patch": "patch", "question": "ask"}


class Timeline:
    """The steps of one run in order of first appearance, kept up by :meth:`apply`.

    A step that changes is replaced by a changed copy: what was taken from here before stays as it
    was, and a :meth:`copy` costs little.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.steps: list[Step] = []
        self.by_key: dict[str, Step] = {}
        # The steps that nobody else has seen yet.
        self._fresh: set[int] = set()
        self.seq = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.apply(lines)

    def apply(self, lines: Iterable[Line]) -> list[Step]:
        """Fold rows in; returns the steps they changed. Rows seen before change nothing."""
        changed: dict[int, Step] = {}
        self._fresh = set()
        for line in lines:
            if line.seq <= self.seq:
                continue
            self.seq = line.seq
            self.first_at = self.first_at or line.begun_at
            self.last_at = line.at
            for step in self._fold(line):
                changed[step.number] = step
        return list(changed.values())

    def _fold(self, line: Line) -> list[Step]:
        if line.is_note:
            return self._note(line)
        known = self.by_key.get(line.key)
        step = self._own(known) if known else self._begin(line)
        step.last_seq = line.seq
        step.effect = line.text("effect") or step.effect
        step.deadline_at = moment(line.text("deadline_at")) or step.deadline_at
        step.scripted = bool(line.meta.get("scripted", step.scripted))
        _record(step, line)
        return [step]

    def _note(self, line: Line) -> list[Step]:
        """A note may speak of a step; the end of a run ends what was under way."""
        if line.kind in ENDS:
            return [_cut(self._own(step), line) for step in self.steps if step.is_open]
        if line.kind == REOPENED:
            cut = [step for step in self.steps if step.status == "abandoned"]
            return [_reopen(self._own(step), line) for step in cut]
        if line.kind == "run.recovered":
            lost = [step for step in self.steps if step.status == "running"]
            return [_lose(self._own(step), line) for step in lost]
        known = self.by_key.get(line.key.partition("/")[2])
        if line.kind == REQUESTED:
            return self._asked(line, known)
        if line.kind != "step.uncertain" or known is None or not known.is_open:
            return []
        step = self._own(known)
        step.status, step.error, step.last_seq = "uncertain", line.error, line.seq
        return [step]

    def _asked(self, line: Line, known: Step | None) -> list[Step]:
        """A call waits for people, often before anything else is recorded of it."""
        if known is not None and not known.is_open:
            return []
        key = line.key.partition("/")[2]
        step = self._own(known) if known else self._begin(replace(line, key=key))
        step.status, step.type, step.last_seq = "waiting", "tool", line.seq
        return [step]

    def _begin(self, line: Line) -> Step:
        step = Step(
            number=len(self.steps) + 1,
            key=line.key,
            name=line.name or line.key,
            type=line.text("type") or _TYPES.get(line.kind.partition(".")[0], "step"),
            started_at=line.begun_at,
            first_seq=line.seq,
            last_seq=line.seq,
        )
        self.steps.append(step)
        self.by_key[line.key] = step
        self._fresh.add(step.number)
        return step

    def _own(self, step: Step) -> Step:
        """The step as a copy that may be changed."""
        if step.number in self._fresh:
            return step
        attempts = [replace(attempt) for attempt in step.attempts]
        own = self.steps[step.number - 1] = replace(step, attempts=attempts)
        self.by_key[step.key] = own
        self._fresh.add(step.number)
        return own

    def copy(self) -> Timeline:
        """The same, to be kept up apart."""
        made = Timeline()
        made.steps, made.by_key = list(self.steps), dict(self.by_key)
        made.seq, made.first_at, made.last_at = self.seq, self.first_at, self.last_at
        return made


ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled", "run.expired"})
# People were asked about a call.
REQUESTED = "approval.requested"
# After this a run that had failed goes on: the end before it was not the last.
REOPENED = "run.reopened"


def _record(step: Step, line: Line) -> None:
    attempt = _attempt(step, line)
    if line.phase == Phase.OUTCOME:
        _close(step, attempt, line)
    elif line.phase == Phase.FAILED:
        attempt.ended_at, attempt.error = line.at, line.error
        step.status, step.error = "retrying", line.error
        step.next_at = moment(line.text("next_at"))
    elif line.phase == Phase.VOID:
        attempt.ended_at = line.at
        step.status, step.error, step.ended_at = "retrying", None, None
    else:
        step.status, step.next_at = "waiting" if step.type in _WAITS else "running", None


def _attempt(step: Step, line: Line) -> Attempt:
    """The attempt a row is about, begun here if the row is the first to tell of it."""
    n = line.n if line.phase != Phase.OUTCOME else int(line.number("attempt") or 0)
    n = n or max(step.tries, 1)
    for attempt in step.attempts:
        if attempt.n == n:
            break
    else:
        attempt = Attempt(n=n, started_at=_begun(step, line))
        step.attempts.append(attempt)
    attempt.worker = line.meta.get("worker", attempt.worker)
    return attempt


def _begun(step: Step, line: Line) -> datetime:
    """When an attempt began: as its row says, else when the one before it was to be repeated."""
    due = step.next_at
    if line.begun_at == line.at and due and due < line.at and line.phase != Phase.STARTED:
        return due
    return line.begun_at


def _close(step: Step, attempt: Attempt, line: Line) -> None:
    failed = line.kind == "step.failed" or line.error is not None
    attempt.ended_at = step.ended_at = line.at
    attempt.error = step.error = line.error
    step.next_at = None
    step.status = "failed" if failed else "completed"
    step.settled = line.kind == "step.settled"


def _cut(step: Step, line: Line) -> Step:
    step.ended_at, step.last_seq = line.at, line.seq
    step.status = "uncertain" if step.status == "uncertain" else "abandoned"
    for attempt in step.attempts:
        attempt.ended_at = attempt.ended_at or line.at
    return step


def _reopen(step: Step, line: Line) -> Step:
    """The run goes on, so what its end cut off is asked for again."""
    step.ended_at, step.last_seq, step.status = None, line.seq, "interrupted"
    return step


def _lose(step: Step, line: Line) -> Step:
    """The worker that was at the step is gone."""
    step.status, step.last_seq = "interrupted", line.seq
    return step


def moment(text: str) -> datetime | None:
    """The moment a text of ``meta`` names, if it names one."""
    try:
        named = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return named if named and named.tzinfo else None
