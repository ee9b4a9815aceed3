"""A target that fails again and again is left alone by all workers, for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from runs.engine.breakers import FAILURES, Breakers
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

    return Breakers(at_once)


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


def _let_time_pass() -> None:
    _query("UPDATE breaker SET open_until = clock_timestamp() - interval '1 second'")
