"""Numbers, times and ids as CONSOLE.md writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from runs import figures


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.84, "840 ms"), (0, "0 ms"), (-3, "0 ms"), (12.4, "12.4 s"), (59.97, "1m 00s"),
        (242, "4m 02s"),
        (3599.6, "1h 00m"), (11520, "3h 12m"), (187200, "2d 4h"), (None, "unknown"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert figures.duration(seconds) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234.5", "$1,234.50"), ("1", "$1.00"), ("0.4012", "$0.4012"), ("0.01", "$0.0100"),
        ("0.00042", "$0.00042"), ("0.000419", "$0.00042"), ("0", "$0"), (None, "unknown"),
        ("-0.5", "\N{MINUS SIGN}$0.5000"),
    ],
)  # fmt: skip
def test_money(amount: str | None, shown: str) -> None:
    assert figures.money(None if amount is None else Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (1204, "1,204"), (12_400, "12.4k"), (3_100_000, "3.1M"), (None, "unknown")],
)
def test_counts(number: int | None, shown: str) -> None:
    assert figures.count(number) == shown


def test_totals_above_ten_thousand_are_marked_as_about() -> None:
    assert (figures.total(10_000), figures.total(10_001)) == ("10,000", "about 10.0k")


def test_shares_of_few_are_counted() -> None:
    assert (figures.share(4, 5), figures.share(31, 48)) == ("4 of 5", "65 %")


def test_ids_are_shown_by_prefix_and_eight_characters() -> None:
    assert figures.short_id("run_8fk2q0ab3m4n5p6q7r8s") == "run_8fk2q0ab…"


def test_times_are_those_of_the_readers_zone() -> None:
    now = datetime(2026, 11, 23, 15, 2, tzinfo=timezone(timedelta(hours=1)))
    moment = datetime(2026, 11, 23, 13, 2, 11, tzinfo=UTC)
    assert figures.clock(moment, now) == "14:02:11"
    assert figures.clock(moment, now, seconds=False) == "14:02"
    assert figures.clock(moment - timedelta(days=1), now) == "22 Nov 14:02"
    assert figures.clock(moment - timedelta(days=400), now) == "2025-10-19 14:02"
    assert figures.iso(moment) == "2026-11-23T13:02:11.000Z"
