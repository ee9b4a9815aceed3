"""The same request twice is done once, on every POST that changes something."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import User
from runs import replies, services
from runs.labels import InvalidRequest
from runs.models import Inbox, Reply, Run
from tests.runs.fake_worker import FakeWorker
from tests.runs.test_api import App

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(owner: User) -> App:
    return App(owner)


def start(owner: User, **fields: Any) -> Run:
    fields = {"agent": "anything", "input": {}, "started_by": "x", **fields}
    return services.start_run(owner=owner, **fields).run


def test_the_second_request_gets_the_answer_of_the_first(
    app: App, owner: User, worker: FakeWorker
) -> None:
    run = worker.suspends(worker.claims(start(owner)), "operator", "crash_loop")
    path = f"runs/{run.public_id}/resume"
    first = app.post(path, {}, idempotency_key="k-1")
    again = app.post(path, {}, idempotency_key="k-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert (first.headers.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    assert app.post(path, {}, idempotency_key="k-2").json()["code"] == "not_parked"


def test_another_body_or_address_with_the_same_key_is_refused(app: App, owner: User) -> None:
    run, other = start(owner), start(owner)
    said = {"name": "go", "payload": {"a": 1, "b": 2}}
    assert app.post(f"runs/{run.public_id}/signal", said, idempotency_key="k").status_code == 200
    for path, body in (
        (f"runs/{run.public_id}/signal", {"name": "stop"}),
        (f"runs/{other.public_id}/signal", said),
    ):
        answer = app.post(path, body, idempotency_key="k")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert Inbox.objects.count() == 1


def test_how_the_json_is_written_does_not_matter(app: App, owner: User) -> None:
    path = f"/api/v1/runs/{start(owner).public_id}/signal"
    for body in (
        '{"name": "go", "payload": {"a": 1, "b": 2}}',
        '{"payload":{"b":2,"a":1},"name":"go"}',
    ):
        answer = app.client.post(path, body, "application/json", headers={"idempotency-key": "k"})
        assert answer.json() == {"accepted": True}


def test_a_refusal_gives_the_key_back(app: App, owner: User) -> None:
    path = f"runs/{start(owner).public_id}/resume"
    assert app.post(path, {}, idempotency_key="k").json()["code"] == "not_parked"
    assert Reply.objects.count() == 0
    services.pause_run(run=Run.objects.get(), actor="ana")
    assert app.post(path, {}, idempotency_key="k").status_code == 200


def test_keys_of_different_people_are_different(app: App, owner: User, operator: User) -> None:
    path = f"runs/{start(owner).public_id}/pause"
    app.post(path, {}, idempotency_key="k")
    mine = App(operator).post(path, {}, idempotency_key="k")
    assert "Idempotency-Replayed" not in mine.headers
    assert Reply.objects.count() == 2


def test_the_console_session_has_keys_too(owner: User) -> None:
    client = Client()
    client.force_login(owner)
    path = f"/api/v1/runs/{start(owner).public_id}/pause"
    for replayed in (False, True):
        answer = client.post(path, {}, "application/json", headers={"idempotency-key": "k"})
        assert ("Idempotency-Replayed" in answer.headers) is replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x7f"])
def test_keys_that_are_none_are_refused(app: App, owner: User, key: str) -> None:
    answer = app.post(f"runs/{start(owner).public_id}/pause", {}, idempotency_key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_while_the_first_is_worked_on_the_second_waits() -> None:
    claimed = replies.claim(scope="1", key="k", digest=b"d" * 32)
    assert isinstance(claimed, replies.Claimed)
    with pytest.raises(replies.InProgress):
        replies.claim(scope="1", key="k", digest=b"d" * 32)
    with pytest.raises(replies.KeyUsedBefore):
        replies.claim(scope="1", key="k", digest=b"e" * 32)
    replies.release(claimed)
    assert isinstance(replies.claim(scope="1", key="k", digest=b"e" * 32), replies.Claimed)


def test_of_many_at_once_one_does_the_work() -> None:
    won: list[object] = []
    gate = threading.Barrier(8, timeout=10)

    def asks() -> None:
        try:
            for number in range(40):
                gate.wait()
                try:
                    won.append(
                        (number, replies.claim(scope="1", key=f"k{number}", digest=b"d" * 32))
                    )
                except replies.InProgress:
                    """Somebody else is at it."""
        finally:
            connection.close()

    threads = [threading.Thread(target=asks) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 40


def test_a_process_that_died_holds_a_key_for_a_while_only() -> None:
    dead = replies.claim(scope="1", key="k", digest=b"d" * 32)
    assert isinstance(dead, replies.Claimed)
    Reply.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    with pytest.raises(replies.KeyUsedBefore):
        replies.claim(scope="1", key="k", digest=b"e" * 32)
    heir = replies.claim(scope="1", key="k", digest=b"d" * 32)
    assert isinstance(heir, replies.Claimed)
    # The dead one was only slow: what it says does not count any more.
    replies.keep(dead, status=200, headers={}, body=b"old")
    replies.release(dead)
    replies.keep(heir, status=201, headers={}, body=b"new")
    kept = replies.claim(scope="1", key="k", digest=b"d" * 32)
    assert isinstance(kept, Reply)
    assert (kept.status, bytes(kept.body or b"")) == (201, b"new")


def test_a_message_counts_once_even_if_its_answer_was_lost(app: App, owner: User) -> None:
    path, body = f"runs/{start(owner).public_id}/signal", {"name": "go"}
    app.post(path, body, idempotency_key="k")
    Reply.objects.all().delete()
    assert app.post(path, body, idempotency_key="k").json() == {"accepted": False}
    assert Inbox.objects.count() == 1


def test_old_answers_are_forgotten(app: App, owner: User) -> None:
    app.post(f"runs/{start(owner).public_id}/pause", {}, idempotency_key="k")
    assert replies.forget() == 0
    Reply.objects.update(created_at=timezone.now() - timedelta(hours=replies.KEEP_HOURS + 1))
    assert replies.forget() == 1


def test_a_key_may_not_be_longer_than_it_is_stored() -> None:
    with pytest.raises(InvalidRequest):
        replies.claim(scope="1", key="x" * 300, digest=b"d" * 32)
