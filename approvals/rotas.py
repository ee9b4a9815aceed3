"""Whose turn it is, and when it is quiet. Pure; every moment is given.

A rota's plan: ``{"zone": "Europe/Berlin", "turns": ["ada", "ben"], "each_days": 7,
"from": "2026-01-05T09:00", "hours": [{"days": [0, 1, 2, 3, 4], "from": "08:00", "to": "18:00"}],
"holidays": ["2026-12-25"], "instead": [{"person": "eve", "from": …, "to": …}]}``. Days begin with
Monday, 0. Times are those of the zone's clocks, so a turn changes at nine in summer and in winter.
Quiet hours of a person: ``{"from": "22:00", "to": "07:00", "days": […]}``.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from agentops.sdk.errors import AgentopsError

T = TypeVar("T")
MOST_PEOPLE = 50
MOST_DAYS = 366
_DAY = timedelta(days=1)
EVERY_DAY = frozenset(range(7))


class InvalidRota(AgentopsError):
    """The rota cannot be read."""

    code = "invalid_rota"


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of some weekdays; one that ends before it begins goes past midnight."""

    begins: time
    ends: time
    days: frozenset[int] = EVERY_DAY

    def spans(self, day: date, zone: zoneinfo.ZoneInfo) -> tuple[datetime, datetime] | None:
        """When it begins and ends if it begins on this day; the same time twice is all day."""
        if day.weekday() not in self.days:
            return None
        last = day if self.begins < self.ends else day + _DAY
        return _at(day, self.begins, zone), _at(last, self.ends, zone)


@dataclass(frozen=True, slots=True)
class Instead:
    """Somebody takes turns of others for a while."""

    person: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Rota:
    """A rota as it was read."""

    zone: zoneinfo.ZoneInfo
    turns: tuple[str, ...]
    each_days: int
    begins: datetime
    hours: tuple[Hours, ...] = ()
    holidays: frozenset[date] = frozenset()
    instead: tuple[Instead, ...] = ()


@dataclass(frozen=True, slots=True)
class Duty:
    """Whose turn it is, and until when it is quiet, if it is."""

    person: str
    quiet_until: datetime | None = None


def on_duty(rota: Rota, at: datetime) -> Duty:
    """Whose turn it is at a moment. When it is quiet: whose it is once it is not."""
    back = _working_from(rota, at)
    person = _whose(rota, back or at)
    return Duty(person, None if back == at else back)


def quiet_until(hours: Hours, zone: zoneinfo.ZoneInfo, at: datetime) -> datetime | None:
    """When these quiet hours end, or None when it is not quiet at that moment."""
    end = _ends(hours, zone, at)
    # All day, day after day: never would be a trap, so it is looked at again after a week.
    for _ in range(7):
        later = _ends(hours, zone, end) if end else None
        if later is None or later == end:
            break
        end = later
    return end


def _ends(hours: Hours, zone: zoneinfo.ZoneInfo, at: datetime) -> datetime | None:
    today = at.astimezone(zone).date()
    for day in (today - _DAY, today):
        span = hours.spans(day, zone)
        if span and span[0] <= at < span[1]:
            return span[1]
    return None


def _whose(rota: Rota, at: datetime) -> str:
    for other in rota.instead:
        if other.begins <= at < other.ends:
            return other.person
    local, first = at.astimezone(rota.zone), rota.begins.astimezone(rota.zone)
    days = (local.date() - first.date()).days
    if local.time() < first.time():
        days -= 1
    return rota.turns[(days // rota.each_days) % len(rota.turns)]


def _working_from(rota: Rota, at: datetime) -> datetime | None:
    """The first moment from ``at`` on that is no holiday and within the hours, within a year."""
    today = at.astimezone(rota.zone).date()
    for ahead in range(-1, MOST_DAYS + 1):
        day = today + timedelta(days=ahead)
        if day in rota.holidays:
            continue
        spans = [hours.spans(day, rota.zone) for hours in rota.hours or (_ALL_DAY,)]
        starts = [max(span[0], at) for span in spans if span and at < span[1]]
        if starts:
            return min(starts)
    return None


_ALL_DAY = Hours(time(0), time(0))


def _at(day: date, when: time, zone: zoneinfo.ZoneInfo) -> datetime:
    """That moment in UTC. A time that a clock skips is the one after it."""
    return datetime.combine(day, when, tzinfo=zone).astimezone(UTC)


# -- reading -------------------------------------------------------------------------------------


def read(plan: object) -> Rota:
    """A plan as it is kept. Raises InvalidRota, which names the field."""
    if not isinstance(plan, Mapping):
        raise InvalidRota("plan: an object with turns, from and zone is needed.")
    known = {"zone", "turns", "each_days", "from", "hours", "holidays", "instead"}
    unknown = sorted(str(key) for key in plan if key not in known)
    if unknown:
        raise InvalidRota(f"{unknown[0]}: is not known; use {', '.join(sorted(known))}.")
    zone = read_zone(plan.get("zone", "UTC"))
    turns = _list(plan, "turns", lambda name: _text(name, "turns"))
    if not 1 <= len(turns) <= MOST_PEOPLE:
        raise InvalidRota(f"turns: from 1 to {MOST_PEOPLE} names of people are needed.")
    each = plan.get("each_days", 7)
    if isinstance(each, bool) or not isinstance(each, int) or not 1 <= each <= MOST_DAYS:
        raise InvalidRota(f"each_days: a whole number from 1 to {MOST_DAYS}.")
    return Rota(
        zone=zone,
        turns=turns,
        each_days=each,
        begins=_moment(plan.get("from", "2026-01-05T09:00"), "from", zone),
        hours=_list(plan, "hours", read_hours),
        holidays=frozenset(_list(plan, "holidays", _day)),
        instead=_list(plan, "instead", lambda one: _instead(one, zone)),
    )


def read_zone(name: object) -> zoneinfo.ZoneInfo:
    """The zone of this name. Raises InvalidRota."""
    try:
        return zoneinfo.ZoneInfo(str(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRota(f"zone: “{name}” is none; use one such as Europe/Berlin.") from None


def read_hours(said: object) -> Hours:
    """A span such as ``{"days": [0, 1], "from": "08:00", "to": "18:00"}``. Raises InvalidRota."""
    if not isinstance(said, Mapping) or not {"from", "to"} <= set(said) <= {"from", "to", "days"}:
        raise InvalidRota("hours: from and to are needed, such as 08:00 and 18:00; days may be.")
    days = said.get("days", sorted(EVERY_DAY))
    if not isinstance(days, list) or not days or not set(days) <= EVERY_DAY:
        raise InvalidRota("days: numbers from 0, Monday, to 6, Sunday.")
    return Hours(_time(said["from"], "from"), _time(said["to"], "to"), frozenset(days))


def _list(plan: Mapping[str, object], key: str, read_one: Callable[[object], T]) -> tuple[T, ...]:
    said = plan.get(key) or []
    if not isinstance(said, list) or len(said) > MOST_DAYS:
        raise InvalidRota(f"{key}: a list is needed.")
    return tuple(map(read_one, said))


def _text(said: object, key: str) -> str:
    if not isinstance(said, str) or not said.strip():
        raise InvalidRota(f"{key}: names are needed.")
    return said.strip()


def _instead(said: object, zone: zoneinfo.ZoneInfo) -> Instead:
    if not isinstance(said, Mapping) or set(said) != {"person", "from", "to"}:
        raise InvalidRota("instead: person, from and to are needed.")
    begins, ends = (_moment(said[key], f"instead {key}", zone) for key in ("from", "to"))
    if ends <= begins:
        raise InvalidRota("instead: to must be after from.")
    return Instead(_text(said["person"], "instead"), begins, ends)


def _moment(said: object, key: str, zone: zoneinfo.ZoneInfo) -> datetime:
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError:
        raise InvalidRota(f"{key}: a date and time is needed, such as 2026-01-05T09:00.") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _day(said: object) -> date:
    try:
        return date.fromisoformat(str(said))
    except ValueError:
        raise InvalidRota("holidays: dates are needed, such as 2026-12-25.") from None


def _time(said: object, key: str) -> time:
    try:
        return time.fromisoformat(str(said)).replace(tzinfo=None)
    except ValueError:
        raise InvalidRota(f"{key}: a time is needed, such as 08:00.") from None
