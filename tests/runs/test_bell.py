"""Bells and hints: after commit, and never in the way."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from django.conf import settings
from django.db import transaction

from agentops.accounts.models import User
from agentops.celery import app
from runs import bell, services
from runs.circuit import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Circuit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fails() -> None:
    raise ConnectionError("nobody there")


def wait_until_tried(circuit: Circuit, failures: int) -> None:
    for _ in range(500):
        if circuit.failures == failures and not circuit._trying:
            return
        time.sleep(0.002)
    raise AssertionError(f"{circuit.failures} failures, not {failures}")


def test_a_circuit_skips_calls_after_a_failure_for_longer_and_longer() -> None:
    clock, made = Clock(), []
    circuit = Circuit("test", clock)
    circuit.call(fails)
    assert circuit.is_open
    circuit.call(lambda: made.append("skipped"))
    assert (made, circuit.skipped) == ([], 1)
    pause, failures = FIRST_PAUSE_SECONDS, 1
    for _ in range(8):
        clock.now += pause
        circuit.call(fails)
        failures += 1
        wait_until_tried(circuit, failures)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
    clock.now += pause - 0.1
    circuit.call(lambda: made.append("too early"))
    assert made == []


def test_a_circuit_closes_when_a_try_works() -> None:
    clock, made = Clock(), []
    circuit = Circuit("test", clock)
    circuit.call(fails)
    clock.now += FIRST_PAUSE_SECONDS
    circuit.call(lambda: made.append("tried"))
    for _ in range(500):
        if not circuit.is_open:
            break
        time.sleep(0.002)
    circuit.call(lambda: made.append("direct"))
    assert made == ["tried", "direct"]


@pytest.fixture
def channel() -> Iterator[redis.client.PubSub]:
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as pubsub:
        pubsub.subscribe(bell.HINTS)
        assert pubsub.get_message(timeout=2) is not None
        yield pubsub


@pytest.mark.django_db(transaction=True)
def test_a_start_rings_and_hints_once_it_is_committed(
    owner: User, channel: redis.client.PubSub
) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete("slow")
        with transaction.atomic():
            run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
            assert client.llen("slow") == 0
        heard = client.blpop(["slow"], timeout=2)
        assert heard is not None
        message = json.loads(heard[1])
    assert message["headers"]["task"] == bell.TASK
    assert message["headers"]["ignore_result"] is True
    told = channel.get_message(timeout=2)
    assert told is not None
    assert json.loads(told["data"]) == [[run.pk, 1]]


@pytest.fixture
def own_celery() -> Iterator[None]:
    yield
    app.set_current()


@pytest.mark.usefixtures("own_celery")
@pytest.mark.django_db(transaction=True)
def test_a_start_does_not_wait_for_a_broker_that_is_gone(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        address = f"redis://127.0.0.1:{dead.getsockname()[1]}/0"
        monkeypatch.setattr(bell, "bells", Circuit("test broker"))
        Celery("nobody", broker=address, set_as_current=True)
        taken = []
        for _ in range(5):
            before = time.monotonic()
            services.start_run(agent="anything", input={}, owner=owner, started_by="x")
            taken.append(time.monotonic() - before)
        assert bell.bells.is_open
        assert max(taken[1:]) < 0.1
