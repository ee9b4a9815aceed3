"""How the agents of an installation do: their last day, in numbers and as a line of bars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Aggregate,
    BigIntegerField,
    Count,
    F,
    FloatField,
    Func,
    Max,
    Min,
    Q,
    QuerySet,
)  # fmt: skip

from agentops.sdk.catalog import catalog
from runs import figures, listing
from runs.models import Run, RunStatus

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour of a sparkline: what ended badly stands on what ended well."""

    x: int
    bad_y: float
    bad: float
    good_y: float
    good: float


@dataclass(frozen=True, slots=True)
class Hours:
    """How many runs ended well and badly in each of the last 24 hours, oldest first."""

    good: list[int]
    bad: list[int]

    @property
    def bars(self) -> list[Bar]:
        """A bar for each hour in which a run ended."""
        hours = list(zip(self.good, self.bad, strict=True))
        most = max(map(sum, hours)) or 1
        return [
            _bar(place, good, bad, most) for place, (good, bad) in enumerate(hours) if good + bad
        ]


def _bar(place: int, good: int, bad: int, most: int) -> Bar:
    """Heights by share of the fullest hour; one run is seen beside a thousand."""
    high = round(max(15 * good / most, 1.5 if good else 0), 1)
    low = round(max(15 * bad / most, 1.5 if bad else 0), 1)
    top = round(17 - high - low, 1)
    return Bar(place * 4, top, low, round(top + low, 1), high)


@dataclass(frozen=True, slots=True)
class Endings:
    """So many runs of an agent ended with a status in an hour since 1970."""

    agent: str
    status: str
    hour: int
    count: int


@dataclass(frozen=True, slots=True)
class AgentDay:
    """An agent now and in its last 24 hours."""

    name: str
    known: bool
    live: int = 0
    waiting: int = 0
    ended: int = 0
    good: int = 0
    hours: Hours | None = None

    @property
    def success(self) -> str:
        """The share that succeeded of those that ended."""
        return figures.share(self.good, self.ended) if self.ended else ""


_HOUR = Func(
    F("finished_at"),
    template="floor(extract(epoch from %(expressions)s) / 3600)::bigint",
    output_field=BigIntegerField(),
)


def endings(runs: QuerySet[Run], now: datetime) -> list[Endings]:
    """How the runs of the last 24 hours ended."""
    ended = runs.filter(finished_at__gte=now - DAY).order_by().annotate(hour=_HOUR)
    rows = ended.values_list("agent", "status", "hour").annotate(n=Count("id"))
    return [Endings(*row) for row in rows]


def agent_days(runs: QuerySet[Run], ended: list[Endings], now: datetime) -> list[AgentDay]:
    """Every agent that is known, at work, or ended a run within a day; by name."""
    live = {agent: (working, asked) for agent, working, asked in _live(runs)}
    hours, sums = _hours(ended, now), _sums(ended)
    known = {agent.name for agent in catalog().agents()}
    days = [
        AgentDay(name, name in known, *live.get(name, (0, 0)), *sums.get(name, (0, 0)),
                 hours.get(name))
        for name in known | live.keys() | sums.keys()
    ]  # fmt: skip
    return sorted(days, key=lambda day: day.name)


def busiest(days: Iterable[AgentDay], most: int) -> list[AgentDay]:
    """Those with most to do, still by name: rows keep their place while that changes."""
    found = sorted(days, key=lambda day: (-day.live - day.waiting, -day.ended, day.name))[:most]
    return sorted(found, key=lambda day: day.name)


def _live(runs: QuerySet[Run]) -> list[tuple[str, int, int]]:
    """For each agent with runs that are not over: how many work, how many need a person."""
    rows = runs.filter(finished_at__isnull=True).order_by().values_list("agent").annotate(
        live=Count("id", filter=~Q(status=RunStatus.WAITING)),
        waiting=Count("id", filter=listing.VIEWS["person"].condition),
    )  # fmt: skip
    return list(rows)


def _sums(ended: list[Endings]) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for part in ended:
        whole, good = sums.get(part.agent, (0, 0))
        worked = part.count if part.status == RunStatus.SUCCEEDED else 0
        sums[part.agent] = (whole + part.count, good + worked)
    return sums


def _hours(ended: list[Endings], now: datetime) -> dict[str, Hours]:
    found: dict[str, Hours] = {}
    this_hour = int(now.timestamp() // 3600)
    for part in ended:
        line = found.setdefault(part.agent, Hours([0] * 24, [0] * 24))
        place = 23 - (this_hour - part.hour)
        if 0 <= place < 24:
            (line.good if part.status == RunStatus.SUCCEEDED else line.bad)[place] += part.count
    return found


# -- what the pages about agents add -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Took:
    """How long the runs that succeeded within a day took, in seconds."""

    median: float
    p95: float


class _Percentile(Aggregate):
    """``percentile_cont`` over how long runs took from start to end."""

    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY extract(epoch FROM %(expressions)s))"

    def __init__(self, share: float, **extra: Any) -> None:
        super().__init__(
            F("finished_at") - F("created_at"), share=share, output_field=FloatField(), **extra
        )


def took(runs: QuerySet[Run], now: datetime) -> dict[str, Took]:
    """Median and 95th percentile of each agent's good runs of a day."""
    good = runs.filter(finished_at__gte=now - DAY, status=RunStatus.SUCCEEDED).order_by()
    rows = good.values_list("agent").annotate(m=_Percentile(0.5), p=_Percentile(0.95))
    return {agent: Took(median, p95) for agent, median, p95 in rows}


def last_started(runs: QuerySet[Run], names: Iterable[str]) -> dict[str, datetime]:
    """When each of these agents was started last, by one look into the index for each."""
    looks = [
        runs.filter(agent=name).order_by("-created_at").values_list("agent", "created_at")[:1]
        for name in names
    ]
    if not looks:
        return {}
    return dict(looks[0].union(*looks[1:], all=True))


@dataclass(frozen=True, slots=True)
class VersionRow:
    """How the runs of one version of an agent went within a week."""

    version: str
    runs: int
    ended: int
    good: int
    first: datetime
    last: datetime

    @property
    def success(self) -> str:
        """The share that succeeded of those that ended."""
        return figures.share(self.good, self.ended) if self.ended else ""


def versions(runs: QuerySet[Run], now: datetime) -> list[VersionRow]:
    """The versions of an agent that ran within a week, the newest first."""
    recent = runs.filter(created_at__gte=now - 7 * DAY).order_by()
    rows = recent.values_list("agent_version").annotate(
        n=Count("id"),
        ended=Count("id", filter=Q(finished_at__isnull=False)),
        good=Count("id", filter=Q(status=RunStatus.SUCCEEDED)),
        first=Min("created_at"),
        last=Max("created_at"),
    )
    return sorted((VersionRow(*row) for row in rows), key=lambda row: row.first, reverse=True)
