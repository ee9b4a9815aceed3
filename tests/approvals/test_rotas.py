"""Whose turn it is, over weekends, holidays, changes of clocks and people who swap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import rotas

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
PLAN: dict[str, Any] = {
    "zone": "Europe/Berlin", "turns": ["ada", "ben", "eve"], "each_days": 7,
    "from": "2026-01-05T09:00",
}  # fmt: skip
OFFICE = {"days": [0, 1, 2, 3, 4], "from": "08:00", "to": "18:00"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def whose(plan: dict[str, Any], text: str) -> str:
    return rotas.on_duty(rotas.read(plan), at(text)).person


@pytest.mark.parametrize(
    ("moment", "person"),
    [
        ("2026-01-05T09:00", "ada"),
        ("2026-01-12T08:59", "ada"),
        ("2026-01-12T09:00", "ben"),
        ("2026-01-26T10:00", "ada"),
        ("2026-01-04T10:00", "eve"),
        # Clocks go forward on 29 March and back on 25 October; the turn changes at nine.
        ("2026-03-30T08:59", "eve"),
        ("2026-03-30T09:00", "ada"),
        ("2026-10-26T08:59", "eve"),
        ("2026-10-26T09:00", "ada"),
    ],
)
def test_turns_change_at_their_hour_of_the_clock(moment: str, person: str) -> None:
    assert whose(PLAN, moment) == person


def test_somebody_takes_turns_of_others() -> None:
    swap = {"person": "kim", "from": "2026-01-06T00:00", "to": "2026-01-07T00:00"}
    plan = {**PLAN, "instead": [swap]}
    assert [whose(plan, f"2026-01-0{day}T23:59") for day in (5, 6, 7)] == ["ada", "kim", "ada"]


def test_nights_weekends_and_holidays_are_quiet_until_work_begins() -> None:
    rota = rotas.read({**PLAN, "hours": [OFFICE], "holidays": ["2026-01-12"]})
    assert rotas.on_duty(rota, at("2026-01-07T10:00")) == rotas.Duty("ada")
    assert rotas.on_duty(rota, at("2026-01-07T20:00")).quiet_until == at("2026-01-08T08:00")
    # Friday evening, then a holiday on Monday: Tuesday, when it is the next one's turn.
    duty = rotas.on_duty(rota, at("2026-01-09T18:00"))
    assert (duty.person, duty.quiet_until) == ("ben", at("2026-01-13T08:00"))


def test_hours_past_midnight_belong_to_the_day_they_begin() -> None:
    night = rotas.read_hours({"from": "22:00", "to": "07:00", "days": [4]})
    assert rotas.quiet_until(night, BERLIN, at("2026-01-10T03:00")) == at("2026-01-10T07:00")
    assert rotas.quiet_until(night, BERLIN, at("2026-01-09T03:00")) is None
    assert rotas.quiet_until(night, BERLIN, at("2026-01-10T07:00")) is None


def test_always_quiet_is_looked_at_again() -> None:
    always = rotas.read_hours({"from": "00:00", "to": "00:00"})
    end = rotas.quiet_until(always, BERLIN, at("2026-01-10T03:00"))
    assert end is not None
    assert end - at("2026-01-10T03:00") < timedelta(days=9)


@given(
    st.integers(0, 8_000_000).map(lambda minutes: FIRST + timedelta(minutes=minutes)),
    st.integers(1, 30),
    st.integers(1, 5),
)
def test_there_is_always_somebody_and_quiet_ends_later(
    moment: datetime, each: int, people: int
) -> None:
    turns = [f"p{number}" for number in range(people)]
    rota = rotas.read({**PLAN, "turns": turns, "each_days": each, "hours": [OFFICE]})
    duty = rotas.on_duty(rota, moment)
    assert duty.person in turns
    if duty.quiet_until is not None:
        assert moment < duty.quiet_until < moment + timedelta(days=4)
        assert rotas.on_duty(rota, duty.quiet_until) == rotas.Duty(duty.person)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"turns": []}, "turns: from 1 to 50"),
        ({"turns": "ada"}, "turns: a list"),
        ({"turns": [7]}, "turns: names"),
        ({"each_days": 0}, "each_days: a whole number"),
        ({"zone": "Berlin"}, "zone: “Berlin” is none"),
        ({"from": "soon"}, "from: a date and time"),
        ({"hours": [{"from": "8"}]}, "hours: from and to"),
        ({"hours": [{**OFFICE, "days": [7]}]}, "days: numbers from 0"),
        ({"hours": [{"from": "25:00", "to": "26:00"}]}, "from: a time is needed"),
        ({"holidays": ["Christmas"]}, "holidays: dates"),
        ({"instead": [{"person": "x"}]}, "instead: person, from and to"),
        (
            {"instead": [{"person": "x", "from": "2026-01-02T00:00", "to": "2026-01-01T00:00"}]},
            "instead: to must be after from",
        ),
        ({"trun": 1}, "trun: is not known"),
    ],
)
def test_nonsense_names_the_field_and_a_remedy(change: dict[str, Any], said: str) -> None:
    with pytest.raises(rotas.InvalidRota, match=said):
        rotas.read({**PLAN, **change})


def test_a_plan_that_is_no_object_is_refused() -> None:
    with pytest.raises(rotas.InvalidRota, match="plan: an object"):
        rotas.read(["ada"])
