"""Starting, stopping and talking to runs."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agentops.accounts.models import User
from agentops.sdk.errors import InvalidInput, PayloadError, PayloadTooLarge, UnknownAgent
from runs import services
from runs.engine import store
from runs.models import Inbox, Run, RunPayload, RunStatus
from tests.runs.fake_worker import FakeWorker, kinds

pytestmark = pytest.mark.django_db


def start(owner: User, **fields: Any) -> Run:
    fields = {"agent": "anything", "input": {"value": 1}, "started_by": "olga", **fields}
    return services.start_run(owner=owner, **fields).run


def test_start_writes_run_payload_and_first_event_in_one_statement(owner: User) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        started = services.start_run(
            agent="echo", input={"ticket": "t-1"}, owner=owner, started_by="olga"
        )
    assert len(queries) == 1
    run = Run.objects.get(public_id=started.run.public_id)
    assert started.created
    assert (run.status, run.title, run.owner, run.queue) == ("queued", "t-1", owner, "default")
    assert started.run.created_at == run.created_at
    assert kinds(run) == ["run.created"]
    assert bytes(run.payload.input) == b'{"ticket":"t-1"}'


def test_the_agent_says_queue_and_timeout_unless_the_caller_does(owner: User) -> None:
    assert (start(owner).queue, start(owner).timeout_seconds) == ("slow", 60)
    other = start(owner, queue="fast", timeout_seconds=5)
    assert (other.queue, other.timeout_seconds) == ("fast", 5)


def test_a_key_finds_the_run_it_started(owner: User) -> None:
    first = services.start_run(
        agent="anything", input={"value": [1, 2]}, owner=owner, started_by="a", idempotency_key="k"
    )
    again = services.start_run(
        agent="anything", input={"value": [1, 2]}, owner=owner, started_by="b", idempotency_key="k"
    )
    assert (first.created, again.created) == (True, False)
    assert first.run == again.run
    assert Run.objects.count() == 1


def test_a_key_with_another_input_is_refused(owner: User) -> None:
    start(owner, idempotency_key="k")
    with pytest.raises(services.IdempotencyMismatch):
        start(owner, idempotency_key="k", input={"value": 2})
    assert Run.objects.count() == 1


def test_a_key_belongs_to_one_owner_and_one_agent(owner: User, stranger: User) -> None:
    runs = {
        start(owner, idempotency_key="k").pk,
        start(stranger, idempotency_key="k").pk,
        start(owner, idempotency_key="k", agent="echo", input={"ticket": "t"}).pk,
    }
    assert len(runs) == 3


def test_a_key_works_for_runs_nobody_owns(db: None) -> None:
    fields: dict[str, Any] = {"agent": "anything", "input": {}, "owner": None, "started_by": "beat"}
    first = services.start_run(**fields, idempotency_key="daily")
    assert services.start_run(**fields, idempotency_key="daily").run == first.run


@pytest.mark.django_db(transaction=True)
def test_sixteen_callers_with_one_key_get_one_run(owner: User) -> None:
    seen: list[tuple[int, bool]] = []
    gate = threading.Barrier(16)

    def call() -> None:
        try:
            gate.wait()
            started = services.start_run(
                agent="anything", input={}, owner=owner, started_by="x", idempotency_key="same"
            )
            seen.append((started.run.pk, started.created))
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert len({pk for pk, _ in seen}) == 1
    assert sum(created for _, created in seen) == 1
    assert RunPayload.objects.count() == 1


@pytest.mark.parametrize(
    ("agent", "value", "error"),
    [
        ("ehco", {}, UnknownAgent),
        ("echo", {"ticket": 1}, InvalidInput),
        ("anything", {"value": object()}, PayloadError),
        ("anything", {"value": "x" * (9 * 1024**2)}, PayloadTooLarge),
    ],
)
def test_what_cannot_run_is_not_stored(
    owner: User, agent: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        start(owner, agent=agent, input=value)
    assert Run.objects.count() == 0


def test_wrong_input_is_named_by_its_path(owner: User) -> None:
    with pytest.raises(InvalidInput) as caught:
        start(owner, agent="echo", input={"ticket": "t", "urgency": "soon"})
    assert caught.value.path == "/urgency"


def test_a_broken_title_costs_nothing_but_the_title(owner: User) -> None:
    assert start(owner, agent="bad-title").title == ""
    assert start(owner, agent="odd-title").title == "ab?"


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_has_a_sensible_length(owner: User, key: str) -> None:
    with pytest.raises(services.InvalidRequest):
        start(owner, idempotency_key=key)


def test_cancel_ends_a_queued_run_at_once(owner: User) -> None:
    run = services.cancel_run(run=start(owner), actor="olga", by_operator=False, note="wrong one")
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled_by_user")
    assert kinds(run) == ["run.created", "run.cancelled"]
    assert b"wrong one" in bytes(run.payload.error or b"")


def test_cancel_asks_a_running_run_to_stop(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    run = services.cancel_run(run=run, actor="opal", by_operator=True)
    assert (run.status, run.cancel_reason) == ("running", "cancelled_by_operator")
    asked_at = run.cancel_requested_at
    assert asked_at is not None
    assert (
        services.cancel_run(run=run, actor="x", by_operator=False).cancel_requested_at == asked_at
    )
    assert kinds(run) == ["run.created"]


def test_cancel_is_harmless_when_repeated_or_late(owner: User, worker: FakeWorker) -> None:
    run = start(owner)
    services.cancel_run(run=run, actor="olga", by_operator=False)
    again = services.cancel_run(run=run, actor="opal", by_operator=True)
    assert again.stop_reason == "cancelled_by_user"
    done = worker.finishes(start(owner))
    assert services.cancel_run(run=done, actor="x", by_operator=True).status == "succeeded"


def test_cancel_reaches_everything_below(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    waiting = worker.spawns(run, "child#1")
    busy = worker.claims(worker.spawns(waiting, "child#1"))
    done = worker.finishes(worker.spawns(run, "child#2"))
    services.cancel_run(run=run, actor="olga", by_operator=False)
    for one in (waiting, busy, done):
        one.refresh_from_db()
    assert (waiting.status, done.status) == ("cancelled", "succeeded")
    assert busy.cancel_requested_at is not None
    # The parent hears of its child even though it is being stopped itself.
    assert Inbox.objects.get(run=run).name == "child:child#1"


def test_cancelling_a_child_tells_and_wakes_its_parent(owner: User, worker: FakeWorker) -> None:
    parent = worker.claims(start(owner))
    child = worker.spawns(parent, "child#1")
    worker.suspends(parent, "child")
    services.cancel_run(run=child, actor="olga", by_operator=False)
    parent.refresh_from_db()
    assert (parent.status, parent.signal_seq) == ("queued", 1)
    message = Inbox.objects.get(run=parent)
    assert message.dedup_key == f"child:{child.public_id}"
    told = json.loads(bytes(message.data))
    assert (told["run"], told["status"]) == (child.public_id, "cancelled")
    assert told["error"]["code"] == "cancelled_by_user"


def test_cancel_names_effects_nobody_saw_the_end_of(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.intends(run, "pay#1")
    worker.suspends(run, "operator", "uncertain:pay#1")
    services.cancel_run(run=run, actor="olga", by_operator=False)
    cancelled = run.journal_set.get(kind="run.cancelled")
    assert cancelled.meta is not None
    assert cancelled.meta["uncertain"] == ["pay#1"]


def test_a_signal_wakes_a_waiting_run_once_per_key(owner: User, worker: FakeWorker) -> None:
    run = worker.suspends(worker.claims(start(owner)), "event", "paid")
    send: dict[str, Any] = {"run": run, "name": "paid", "payload": {"sum": 3}, "sender": "shop"}
    assert services.signal_run(**send, dedup_key="m-1") is True
    run.refresh_from_db()
    assert (run.status, run.waiting_for, run.signal_seq) == ("queued", "", 1)
    assert services.signal_run(**send, dedup_key="m-1") is False
    assert services.signal_run(**send) is True
    run.refresh_from_db()
    assert run.signal_seq == 2
    assert list(Inbox.objects.order_by("n").values_list("n", "name")) == [(1, "paid"), (2, "paid")]


def test_a_signal_does_not_move_what_an_operator_holds(owner: User, worker: FakeWorker) -> None:
    run = worker.suspends(worker.claims(start(owner)), "operator", "crash_loop")
    assert services.signal_run(run=run, name="paid", payload=None, sender="shop")
    run.refresh_from_db()
    assert (run.status, run.signal_seq) == ("waiting", 1)


def test_a_final_run_takes_no_signals(owner: User) -> None:
    run = services.cancel_run(run=start(owner), actor="x", by_operator=False)
    with pytest.raises(store.RunIsFinal):
        services.signal_run(run=run, name="paid", payload=None, sender="shop")
    assert Inbox.objects.count() == 0


@pytest.mark.parametrize("name", ["", "child:1", "settled:pay#1:1", "x" * 256])
def test_names_of_signals_cannot_pose_as_the_runtime(owner: User, name: str) -> None:
    with pytest.raises(services.InvalidRequest):
        services.signal_run(run=start(owner), name=name, payload=None, sender="shop")


def test_resume_lets_a_crash_loop_try_again(owner: User, worker: FakeWorker) -> None:
    run = worker.suspends(worker.claims(start(owner)), "operator", "crash_loop")
    epoch = run.epoch
    run = services.resume_run(run=run, actor="opal")
    assert (run.status, run.crash_count, run.epoch) == (RunStatus.QUEUED, 0, epoch + 1)
    assert kinds(run)[-1] == "run.resumed"
    with pytest.raises(store.NotParked):
        services.resume_run(run=run, actor="opal")


def test_resume_does_not_skip_a_settlement(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.intends(run, "pay#1")
    worker.suspends(run, "operator", "uncertain:pay#1")
    with pytest.raises(store.NeedsSettlement, match="pay#1"):
        services.resume_run(run=run, actor="opal")
