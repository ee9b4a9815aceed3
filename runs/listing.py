"""The list of runs: who sees which, filters as they stand in the address, pages by cursor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

from django.db.models import Count, F, Q, QuerySet, Subquery
from django.db.models.functions import Now

from runs import columns, statuses
from runs.columns import Column
from runs.models import Run, RunStatus, StopReason, WaitingFor

PAGE_SIZE = 50
RECENT = 5_000
MOST_COUNTED = 10_000
STUCK_AFTER = timedelta(minutes=5)
_ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows. Field names are the keys of the address, in this order."""

    view: str = ""
    status: str = ""
    waiting_for: str = ""
    stop_reason: str = ""
    agent: str = ""
    owner: str = ""
    team: str = ""
    tag: str = ""
    metadata: str = ""
    external_id: str = ""
    since: str = ""
    ended: str = ""
    q: str = ""
    sort: str = ""
    cols: str = ""
    # "1" if the page shows new runs by itself.
    follow: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filter:
        """The filter of an address; ``field:value`` words in ``q`` become fields."""
        values = {name: query.get(name, "").strip() for name in cls.names()}
        words = []
        for word in values["q"].split():
            name, mark, value = word.partition(":")
            if mark and value and name in cls.writable():
                values[name] = value
            else:
                words.append(word)
        values["q"] = " ".join(words)
        values["sort"] = "" if values["sort"] == columns.NEWEST_FIRST else values["sort"]
        values["cols"] = columns.written(columns.chosen(values["cols"]))
        values["follow"] = "1" if values["follow"] == "1" else ""
        return cls(**values)

    @classmethod
    def read_query(cls, query: str) -> Filter:
        """The filter of a query string."""
        return cls.read(dict(parse_qsl(query)))

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]

    @classmethod
    def writable(cls) -> list[str]:
        """What can be written as ``field:value``."""
        return [name for name in cls.names() if name not in _NO_FIELDS]

    def but(self, **changed: str) -> str:
        """The query string of this filter with something changed."""
        return replace(self, **changed).query

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns to show, in order."""
        return columns.chosen(self.cols)

    @property
    def chooses(self) -> bool:
        """Whether it leaves anything out, or shows all runs in some order."""
        return any(getattr(self, name) for name in self.names() if name not in _MANNERS)

    @property
    def query(self) -> str:
        """The query string of this filter: defaults left out, keys in fixed order."""
        return urlencode({k: getattr(self, k) for k in self.names() if getattr(self, k)})

    @property
    def problem(self) -> str:
        """Why nothing can match, if a value is not one of those that exist."""
        for name, (said, known) in _KNOWN_VALUES.items():
            value = getattr(self, name)
            if value and value not in known():
                return f"{said.format(value)} Known are: {', '.join(known())}."
        for name in ("since", "ended"):
            value = getattr(self, name)
            if value and not _PERIOD.fullmatch(value):
                return f"“{value}” is no length of time. Write {name}:30m, {name}:24h or {name}:7d."
        return ""

    @property
    def remark(self) -> str:
        """What of it is left out, though runs may match."""
        if not self.sort or self.sort in columns.SORTS:
            return ""
        known = ", ".join(name for name in columns.SORTS if not name.startswith("-"))
        return f"Runs cannot be sorted by “{self.sort}”, only by {known}. The newest are first."

    @property
    def bare(self) -> str:
        """The query string of which runs it shows, not how."""
        return self.but(**dict.fromkeys(_MANNERS, ""))

    def chips(self) -> list[tuple[str, str, str]]:
        """Field, value and the query string without that field, for each field in force."""
        shown = [
            name for name in self.names()
            if name not in {"view", *_MANNERS} and getattr(self, name)
        ]  # fmt: skip
        return [(name, getattr(self, name), replace(self, **{name: ""}).query) for name in shown]

    def apply(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """The runs that match."""
        if self.problem:
            return runs.none()
        for name, column in _COLUMNS.items():
            if value := getattr(self, name):
                runs = runs.filter(**{column: value})
        if self.tag:
            runs = runs.filter(tags__contains=[self.tag])
        if self.metadata:
            name, _, value = self.metadata.partition(":")
            runs = runs.filter(metadata__contains={name: value})
        for name, column in _MOMENTS.items():
            if value := getattr(self, name):
                runs = runs.filter(**{f"{column}__gte": Now() - _length(value)})
        if self.view:
            runs = runs.filter(VIEWS[self.view].condition)
        for word in self.q.split():
            runs = runs.filter(_matches(word))
        return runs


# How runs are shown, not which.
_MANNERS = frozenset({"sort", "cols", "follow"})
_NO_FIELDS = frozenset({"view", "q", *_MANNERS})
_COLUMNS = {
    "status": "status", "waiting_for": "waiting_for", "stop_reason": "stop_reason",
    "agent": "agent", "owner": "owner__username", "team": "team__name",
    "external_id": "external_id",
}  # fmt: skip
_MOMENTS = {"since": "created_at", "ended": "finished_at"}
_PERIOD = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_KNOWN_VALUES: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "status": ("There is no status “{}”.", lambda: RunStatus.values),
    "waiting_for": ("Runs do not wait for “{}”.", lambda: WaitingFor.values),
    "stop_reason": ("There is no stop reason “{}”.", lambda: StopReason.values),
    "view": ("There is no view “{}”.", lambda: list(VIEWS)),
}


def _length(period: str) -> timedelta:
    number, unit = period[:-1], period[-1]
    return timedelta(**{_UNITS[unit]: int(number)})


def _matches(word: str) -> Q:
    """A word is found in title, agent and progress; an id by its first characters."""
    found = Q(title__icontains=word) | Q(agent__icontains=word) | Q(progress__icontains=word)
    if word.startswith("run_") and len(word) >= _ID_LENGTH:
        return Q(public_id__startswith=word.rstrip("…"))
    return found


@dataclass(frozen=True, slots=True)
class View:
    """A built-in view: a name for a condition."""

    label: str
    condition: Q


# One person lifts a stop, however many runs it holds.
STOPPED = Q(waiting_detail__startswith=statuses.STOPPED)
VIEWS: dict[str, View] = {
    "running": View("Running now", Q(status=RunStatus.RUNNING) | Q(status=RunStatus.QUEUED)),
    "person": View(
        "Needs a person",
        Q(
            status=RunStatus.WAITING,
            waiting_for__in=[
                WaitingFor.APPROVAL,
                WaitingFor.ANSWER,
                WaitingFor.CREDENTIAL,
                WaitingFor.BUDGET,
                WaitingFor.OPERATOR,
            ],
        )
        & ~STOPPED,
    ),
    "failing": View("Failing", Q(status=RunStatus.FAILED)),
    "stuck": View(
        "Stuck",
        Q(status=RunStatus.RUNNING, last_progress_at__lt=Now() - STUCK_AFTER)
        | Q(status__in=[RunStatus.QUEUED, RunStatus.WAITING], ready_at__lt=Now() - STUCK_AFTER),
    ),
    "stopped": View("Stopped", Q(status=RunStatus.WAITING) & STOPPED),
    "asleep": View(
        "Asleep",
        Q(
            status=RunStatus.WAITING,
            waiting_for__in=[WaitingFor.TIMER, WaitingFor.EVENT, WaitingFor.CHILD],
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of runs with the cursors of its neighbours.

    ``newest`` is the highest number of all runs there are: a later one is new to this page.
    """

    runs: list[Run]
    newer: str = ""
    older: str = ""
    lost: bool = False
    newest: int = 0


def page(
    runs: QuerySet[Run],
    *,
    among: QuerySet[Run] | None = None,
    sort: str = "",
    before: str = "",
    after: str = "",
) -> Page:
    """The runs below ``before`` or above ``after`` in the order of ``sort``, else the first ones.

    ``before`` and ``after`` are public ids of runs ``among`` those that somebody sees; they need
    not match the filter any more.
    """
    order = columns.SORTS.get(sort or columns.NEWEST_FIRST, "-created_at")
    cursor = before or after
    seen = runs if among is None else among
    anchor = seen.filter(public_id=cursor).first() if cursor else None
    if cursor and anchor is None:
        return replace(page(runs, sort=sort), lost=True)
    rows = list(_window(runs, order, anchor, back=bool(after))[: PAGE_SIZE + 1])
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    if after:
        rows.reverse()
    return Page(
        runs=rows,
        newer=rows[0].public_id if rows and (more if after else anchor) else "",
        older=rows[-1].public_id if rows and (anchor if after else more) else "",
        newest=getattr(rows[0], "newest", 0) if rows else 0,
    )


def _window(runs: QuerySet[Run], order: str, anchor: Run | None, *, back: bool) -> QuerySet[Run]:
    field = order.lstrip("-")
    down = order.startswith("-") != back
    sign, mark = ("lt", "-") if down else ("gt", "")
    newest = Subquery(Run.objects.order_by("-pk").values("pk")[:1])
    runs = runs.select_related("owner", "team").annotate(newest=newest)
    runs = runs.order_by(mark + field, f"{mark}id")
    if anchor is None:
        return runs
    at = getattr(anchor, field)
    same = Q(**{field: at, f"id__{sign}": anchor.pk})
    return runs.filter(Q(**{f"{field}__{sign}": at}) | same)


def total(runs: QuerySet[Run]) -> int:
    """How many runs there are: counted up to ten thousand, beyond that as the planner reckons."""
    counted = runs.order_by().values("pk")[: MOST_COUNTED + 1].count()
    if counted <= MOST_COUNTED:
        return counted
    plan = json.loads(runs.order_by().values("pk").explain(format="json"))
    return max(int(plan[0]["Plan"]["Plan Rows"]), counted)


def tallies(runs: QuerySet[Run]) -> dict[str, int]:
    """How many unfinished runs each built-in view holds, and how many work, in one query."""
    live = runs.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING])
    shown = [name for name in VIEWS if name != "failing"]
    working = Count(F("id"), filter=Q(status=RunStatus.RUNNING))
    counted = live.aggregate(
        working=working,
        **{name: Count(F("id"), filter=VIEWS[name].condition) for name in shown},
    )
    return {name: int(number) for name, number in counted.items()}


def recent_with(runs: QuerySet[Run], words: list[str], most: int) -> list[Run]:
    """The newest runs that match every word, looked for among the newest few thousand."""
    newest = runs.order_by("-created_at", "-id").values("pk")[:RECENT]
    if all(word.startswith("run_") and len(word) >= _ID_LENGTH for word in words):
        newest = runs.values("pk")
    found = Run.objects.filter(pk__in=newest)
    for word in words:
        found = found.filter(_matches(word))
    return list(found.order_by("-created_at", "-id")[:most])


def newer_than(runs: QuerySet[Run], run_id: int) -> int:
    """How many runs came after ``run_id``, counted up to a hundred."""
    return runs.filter(pk__gt=run_id).order_by()[:100].count()
