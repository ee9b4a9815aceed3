"""A target that fails again and again is left alone by all workers, for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from runs.engine.breakers import FAILURES, LOOK_AGAIN_SECONDS, Breakers
from runs.models import Breaker

pytestmark = pytest.mark.django_db


def _query(sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection.ensure_connection()
    cursor = psycopg.RawCursor(connection.connection)
    cursor.execute(sql, values)
    return cursor.fetchall() if cursor.description else []


def _breakers() -> Breakers:
    def at_once(duty: Callable[..., None]) -> None:
        duty(_query)

    async def asked(question: Callable[..., list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        return question(_query)

    return Breakers(asked, at_once)


def _admitted(breakers: Breakers) -> float:
    # Nothing in it waits: the question is answered at once.
    asking = breakers.admit("mail")
    try:
        asking.send(None)
    except StopIteration as answered:
        return float(answered.value)
    raise AssertionError("it waits")


def _fail(breakers: Breakers, times: int) -> None:
    for _ in range(times):
        breakers.report("mail", worked=False)
    breakers.share(_query)


def test_a_few_failures_change_nothing() -> None:
    breakers = _breakers()
    _fail(breakers, FAILURES - 1)
    assert breakers.blocked("mail") == 0


def test_failures_in_a_row_close_the_way_for_every_worker() -> None:
    _fail(_breakers(), FAILURES)
    another = _breakers()
    another.share(_query)
    assert 10 < another.blocked("mail") <= 15
    assert another.blocked("something else") == 0


def test_workers_count_together() -> None:
    one, two = _breakers(), _breakers()
    _fail(one, FAILURES - 2)
    _fail(two, 2)
    assert two.blocked("mail") > 0


def test_a_failed_trial_keeps_it_shut_for_longer() -> None:
    breakers = _breakers()
    _fail(breakers, FAILURES)
    _let_time_pass()
    breakers.share(_query)
    assert breakers.blocked("mail") == 0
    _fail(breakers, 1)
    assert 25 < breakers.blocked("mail") <= 30


def test_success_forgets_everything() -> None:
    breakers = _breakers()
    _fail(breakers, FAILURES)
    breakers.report("mail", worked=True)
    breakers.share(_query)
    assert breakers.blocked("mail") == 0
    assert not Breaker.objects.exists()


def _half_open(*others: Breakers) -> None:
    """It failed until a moment ago, and the time for which it is left alone is over."""
    _fail(_breakers(), FAILURES)
    _let_time_pass()
    for breakers in others:
        breakers.share(_query)


def test_one_of_all_workers_tries_and_the_others_look_again_soon() -> None:
    one, two = _breakers(), _breakers()
    _half_open(one, two)
    assert _admitted(one) == 0
    assert 0 < _admitted(one) <= LOOK_AGAIN_SECONDS
    assert 0 < _admitted(two) <= LOOK_AGAIN_SECONDS


def test_a_try_that_works_lets_everybody_through() -> None:
    one, two = _breakers(), _breakers()
    _half_open(one, two)
    assert _admitted(one) == 0
    one.report("mail", worked=True)
    assert [_admitted(one), _admitted(two), _admitted(two)] == [0, 0, 0]


def test_who_learned_nothing_lets_another_one_try() -> None:
    one, two = _breakers(), _breakers()
    _half_open(one, two)
    assert _admitted(one) == 0
    one.withdraw("mail")
    assert _admitted(two) == 0
    assert _admitted(one) > 0


def test_who_never_comes_back_is_given_half_a_minute() -> None:
    one, two = _breakers(), _breakers()
    _half_open(one, two)
    assert _admitted(one) == 0
    _query(
        "UPDATE breaker SET open_until = open_until - interval '31 seconds',"
        " changed_at = changed_at - interval '31 seconds'"
    )
    two.share(_query)
    assert _admitted(two) == 0


def test_a_target_that_says_for_how_long_is_left_alone_for_that_long() -> None:
    breakers, other = _breakers(), _breakers()
    breakers.report("mail", worked=False, after=60)
    other.share(_query)
    assert 58 < breakers.blocked("mail") <= 60
    assert 58 < other.blocked("mail") <= 60


def test_whoever_heard_for_how_long_knows_it_at_once() -> None:
    async def never(_: object) -> list[tuple[Any, ...]]:
        raise AssertionError("asked")

    breakers = Breakers(never, lambda _: None)
    breakers.report("mail", worked=False, after=60)
    assert 58 < _admitted(breakers) <= 60


def test_late_failures_of_calls_from_before_do_not_prolong_it() -> None:
    breakers = _breakers()
    _fail(breakers, FAILURES + 20)
    assert 10 < breakers.blocked("mail") <= 15


def test_what_works_is_asked_of_no_database() -> None:
    async def never(_: object) -> list[tuple[Any, ...]]:
        raise AssertionError("asked")

    assert _admitted(Breakers(never, lambda _: None)) == 0


def _let_time_pass() -> None:
    _query(
        "UPDATE breaker SET changed_at = clock_timestamp() - interval '9 seconds',"
        " open_until = clock_timestamp() - interval '1 second'"
    )
