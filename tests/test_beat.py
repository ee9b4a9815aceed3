"""One beat at a time: by a lock that is free the moment its holder is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import connection

from agentops import beat, health

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def first() -> Iterator[beat._Lock]:
    lock = beat._Lock()
    lock.wait()
    yield lock
    lock._connection.close()


def _end_connections_that_hold_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objid = %s",
            [beat.LOCK],
        )


def test_a_second_beat_stands_by_until_the_first_is_gone(first: beat._Lock) -> None:
    second = beat._Lock()
    assert not second._acquire()
    first._connection.close()
    try:
        # The server takes a moment to see that the connection is gone.
        give_up_at = time.monotonic() + 10
        while not second._acquire():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
    finally:
        second._connection.close()


def test_a_beat_that_lost_its_connection_knows(
    first: beat._Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first.is_held()
    _end_connections_that_hold_it()
    monkeypatch.setattr(beat, "_CHECK_SECONDS", 0)
    assert not first.is_held()
    first.wait()
    assert first.is_held()


def test_readiness_tells_whether_any_beat_works(first: beat._Lock) -> None:
    assert health.readiness()["beat"] == "ok"
    first._connection.close()
    assert health.readiness()["beat"] == "missing"
