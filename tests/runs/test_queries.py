"""Reading runs: who sees which, events, payloads, steps."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.access import Actor, NotFound
from agentops.accounts.models import User
from agentops.sdk.codec import encode
from runs import queries, services, steps, values
from runs.models import Blob, Phase, Run
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db


def start(owner: User, value: object = 1) -> Run:
    return services.start_run(
        agent="anything", input={"value": value}, owner=owner, started_by="x"
    ).run


def test_a_run_is_seen_by_its_owner_and_by_operators(
    owner: User, stranger: User, operator: User
) -> None:
    run = start(owner)
    assert queries.get_run(public_id=run.public_id, viewer=Actor(owner)) == run
    assert queries.get_run(public_id=run.public_id, viewer=Actor(operator)) == run
    assert list(queries.list_runs(viewer=Actor(operator))) == [run]
    assert list(queries.list_runs(viewer=Actor(stranger))) == []
    with pytest.raises(NotFound):
        queries.get_run(public_id=run.public_id, viewer=Actor(stranger))


def test_an_operator_who_left_sees_nothing(owner: User, operator: User) -> None:
    run = start(owner)
    operator.is_active = False
    assert list(queries.list_runs(viewer=Actor(operator))) == []
    with pytest.raises(NotFound):
        queries.get_run(public_id=run.public_id, viewer=Actor(operator))


def test_lists_are_newest_first_and_filtered(owner: User, worker: FakeWorker) -> None:
    old, waits, new = start(owner), start(owner), start(owner)
    Run.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    worker.suspends(worker.claims(waits), "event")
    assert list(queries.list_runs(viewer=Actor(owner))) == [new, waits, old]
    assert list(queries.list_runs(viewer=Actor(owner), status="waiting", waiting_for="event")) == [
        waits
    ]
    assert list(queries.list_runs(viewer=Actor(owner), agent="echo")) == []
    yesterday = timezone.now() - timedelta(days=1)
    assert list(queries.list_runs(viewer=Actor(owner), created_at__lte=yesterday)) == [old]
    assert old not in queries.list_runs(viewer=Actor(owner), created_at__gte=yesterday)


def test_events_come_in_order_after_a_number(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    for number in range(3):
        worker.appends(run, f"look#{number + 1}")
    assert [row.seq for row in queries.events(run=run, after=1, limit=2)] == [2, 3]
    assert [row.seq for row in queries.events(run=run, types=["run.created"])] == [1]


def test_values_come_back_whether_plain_deflated_or_blobs(owner: User) -> None:
    run = start(owner, value="x" * 5000)
    payload = queries.payload(run=run)
    assert payload == queries.Payload({"value": "x" * 5000}, None, None)
    codec, data = encode(["big"] * 1000)
    digest = hashlib.sha256(data).digest()
    Blob.objects.create(digest=digest, codec=codec, data=data, size=len(data))
    assert values.load_all([(2, digest), (0, b"1"), (None, None)]) == [["big"] * 1000, 1, None]
    assert values.load(2, digest) == ["big"] * 1000


@pytest.mark.parametrize("value", ["short", "x" * 5000, list(range(5000)), "é" * 400])
def test_a_preview_is_the_beginning_of_the_value(value: object) -> None:
    codec, data = encode(value)
    text = values.preview(codec, data[: values.HEAD_BYTES])
    whole = encode(value).data.decode() if codec == 0 else None
    assert len(text.encode()) <= values.PREVIEW_BYTES + len("…".encode())
    if whole is not None and len(data) < values.PREVIEW_BYTES:
        assert text == whole
    else:
        assert text.endswith("…")


def test_steps_are_listed_as_the_timeline_tells_them(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.appends(run, "look#1", value={"found": 3}, meta={"type": "tool"})
    worker.appends(run, "try#1", Phase.FAILED, n=1, kind="step.retrying", meta={"attempt": 1})
    worker.appends(run, "try#1", Phase.STARTED, n=2, kind="step.started", meta={"attempt": 2})
    error = {"code": "timeout", "message": "too slow"}
    worker.appends(run, "bad#1", kind="step.failed", meta={"error": error, "attempt": 4})
    worker.intends(run, "pay#1")
    found = {listed.step.key: listed for listed in steps.steps(run=run)}
    assert [listed.step.number for listed in found.values()] == [1, 2, 3, 4]
    look, tried, bad, pay = found.values()
    assert (look.step.status, look.preview) == ("completed", '{"found": 3}')
    assert look.duration_ms == 0
    assert (tried.step.status, tried.step.tries, tried.duration_ms) == ("running", 2, None)
    assert (bad.step.status, bad.error) == ("failed", error)
    assert (pay.step.status, pay.step.effect, pay.error) == ("running", "once", None)


def test_every_status_of_a_step_has_a_word(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.appends(run, "look#1", Phase.STARTED, n=1, kind="step.started")
    worker.is_unsure(run, "pay#1")
    run = services.cancel_run(
        run=worker.suspends(run, "operator", "uncertain:pay#1"), actor="x", by_operator=True
    )
    statuses = [listed.step.status for listed in steps.steps(run=run)]
    assert statuses == ["abandoned", "uncertain"]
    assert set(statuses) <= set(steps.StepStatus.values)
