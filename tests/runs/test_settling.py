"""Settling uncertain outcomes, and forking from a recorded past."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agentops.accounts.models import User
from agentops.sdk.codec import NULL
from agentops.sdk.errors import InvalidInput
from runs import queries, services, steps
from runs.engine import store
from runs.models import Inbox, Journal, Phase, Run
from runs.services import Verdict
from tests.runs.fake_worker import FakeWorker, kinds

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(owner: User, worker: FakeWorker) -> Run:
    """A run that waits for somebody to say what became of pay#1."""
    run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    worker.claims(run)
    worker.appends(run, "look#1", value={"found": 1})
    worker.intends(run, "pay#1")
    return worker.suspends(run, "operator", "uncertain:pay#1")


def settle(run: Run, verdict: Verdict, **fields: Any) -> Run:
    return services.settle_step(
        run=run, key=fields.pop("key", "pay#1"), verdict=verdict, actor="opal", **fields
    )


def outcome(run: Run, key: str = "pay#1") -> Journal:
    return Journal.objects.get(run=run, key=key, phase=Phase.OUTCOME)


def test_it_happened_records_the_result_and_goes_on(run: Run) -> None:
    epoch = run.epoch
    run = settle(run, Verdict.HAPPENED, result={"id": 7}, reference="bank statement")
    row = outcome(run)
    assert (run.status, run.waiting_for, run.waiting_detail) == ("queued", "", "")
    assert run.epoch == epoch + 1
    assert (row.kind, row.name, row.n) == ("step.settled", "pay", 0)
    assert json.loads(bytes(row.data or b"")) == {"id": 7}
    assert row.meta is not None
    assert row.meta["verdict"] == "happened"
    assert (row.meta["by"], row.meta["reference"]) == ("opal", "bank statement")
    assert kinds(run)[-2:] == ["step.settled", "run.resumed"]
    assert [s.step.status for s in steps.steps(run=run)] == ["completed", "completed"]
    assert steps.steps(run=run)[1].verdict == "happened"


def test_unknown_is_told_to_the_agent_as_an_error(run: Run) -> None:
    row = outcome(settle(run, Verdict.UNKNOWN))
    assert json.loads(bytes(row.data or b""))["code"] == "outcome_unknown"
    assert row.meta is not None
    assert row.meta["error"]["code"] == "outcome_unknown"


def test_it_did_not_happen_waits_for_the_end_of_the_quarantine(
    run: Run, worker: FakeWorker
) -> None:
    with pytest.raises(store.InQuarantine, match="until 2") as caught:
        settle(run, Verdict.DID_NOT_HAPPEN)
    assert caught.value.until is not None
    assert 50 < (caught.value.wait_seconds or 0) < 70
    assert kinds(run)[-1] == "step.intended"
    worker.exits()
    run = settle(run, Verdict.DID_NOT_HAPPEN)
    assert run.status == "queued"
    void = Journal.objects.get(run=run, key="pay#1", phase=Phase.VOID)
    assert (void.n, void.kind, void.data) == (1, "step.settled", None)


def test_a_deadline_that_passed_with_its_grace_ends_the_quarantine(
    owner: User, worker: FakeWorker
) -> None:
    run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    worker.claims(run)
    just_now = timezone.now() - timedelta(seconds=1)
    worker.intends(run, "a#1", deadline_at=just_now)
    worker.intends(run, "b#1", deadline_at=just_now - timedelta(seconds=store.GRACE_SECONDS))
    worker.suspends(run, "operator", "uncertain:a#1")
    with pytest.raises(store.InQuarantine):
        settle(run, Verdict.DID_NOT_HAPPEN, key="a#1")
    settle(run, Verdict.DID_NOT_HAPPEN, key="b#1")


def test_without_a_deadline_only_the_exit_of_the_worker_counts(
    run: Run, worker: FakeWorker
) -> None:
    row = Journal.objects.get(run=run, phase=Phase.INTENT)
    Journal.objects.filter(run=run, phase=Phase.INTENT).update(
        meta={name: value for name, value in (row.meta or {}).items() if name != "deadline_at"}
    )
    with pytest.raises(store.InQuarantine, match="not known to have exited"):
        settle(run, Verdict.DID_NOT_HAPPEN)
    worker.exits()
    assert settle(run, Verdict.DID_NOT_HAPPEN).status == "queued"


def test_a_worker_nobody_remembers_is_gone(run: Run) -> None:
    Journal.objects.filter(run=run, phase=Phase.INTENT).update(meta={"worker": 2**40})
    assert settle(run, Verdict.DID_NOT_HAPPEN).status == "queued"


def test_a_failed_attempt_and_a_wait_are_not_uncertain(run: Run, worker: FakeWorker) -> None:
    worker.intends(run, "mail#1")
    worker.appends(run, "mail#1", Phase.FAILED, n=1, kind="step.retrying")
    worker.appends(run, "nap#1", Phase.INTENT, n=1, kind="timer.started")
    for key in ("mail#1", "nap#1"):
        with pytest.raises(store.NotUncertain):
            settle(run, Verdict.HAPPENED, key=key)


@pytest.mark.parametrize(
    ("name", "status"),
    [("settled:pay#1:1", "queued"), ("settled:mail#1:1", "waiting"), ("paid", "waiting")],
)
def test_only_the_late_outcome_of_the_step_itself_wakes_a_parked_run(
    run: Run, name: str, status: str
) -> None:
    with connection.cursor() as cursor:
        store.signal(
            cursor, run_id=run.pk, name=name, payload=NULL, sender="worker 1", dedup_key=None
        )
    run.refresh_from_db()
    assert run.status == status


def test_a_late_outcome_counts_once_and_never_for_a_final_run(run: Run) -> None:
    late: dict[str, Any] = {"run_id": run.pk, "name": "settled:pay#1:1", "sender": "worker 1"}
    services.settle_late(**late, told={"value": 7})
    services.settle_late(**late, told={"value": 8})
    run.refresh_from_db()
    assert (run.status, run.signal_seq) == ("queued", 1)
    services.cancel_run(run=run, actor="x", by_operator=True)
    services.settle_late(**late, told={"value": 9})
    assert Inbox.objects.count() == 1


def test_stop_fails_the_run_and_tells_why(run: Run) -> None:
    run = settle(run, Verdict.STOP, reference="too risky")
    assert (run.status, run.stop_reason) == ("failed", "uncertain")
    error = queries.payload(run=run).error
    assert isinstance(error, dict)
    assert (error["code"], error["step"]) == ("uncertain", "pay#1")
    assert kinds(run)[-1] == "run.failed"


def test_settling_another_step_does_not_move_the_run(run: Run, worker: FakeWorker) -> None:
    worker.intends(run, "mail#1")
    run = settle(run, Verdict.HAPPENED, key="mail#1")
    assert (run.status, run.waiting_detail) == ("waiting", "uncertain:pay#1")
    assert settle(run, Verdict.HAPPENED).status == "queued"


def test_a_settled_step_is_not_settled_again(run: Run) -> None:
    run = settle(run, Verdict.HAPPENED)
    for key in ("pay#1", "look#1", "nothing#1"):
        with pytest.raises(store.NotUncertain):
            settle(run, Verdict.HAPPENED, key=key)


def test_only_the_owning_worker_writes_to_a_running_run(run: Run, worker: FakeWorker) -> None:
    worker.claims(run)
    with pytest.raises(store.RunIsBusy):
        settle(run, Verdict.HAPPENED)


def test_the_past_of_a_final_run_stays_as_it_is(run: Run) -> None:
    services.cancel_run(run=run, actor="x", by_operator=True)
    with pytest.raises(store.RunIsFinal):
        settle(run, Verdict.HAPPENED)


def test_a_fork_begins_with_the_records_up_to_an_event(run: Run, owner: User) -> None:
    services.signal_run(run=run, name="n", payload=1, sender="s")
    copy = services.fork_run(run=run, at_seq=3, actor="olga", owner=owner).run
    # The intent at 3 has no outcome: the fork asks for that step again.
    assert kinds(copy) == ["run.created", "step.completed", "run.forked"]
    assert (copy.forked_from, copy.forked_at_seq, copy.status) == (run, 3, "queued")
    assert copy.public_id != run.public_id
    assert outcome(copy, "look#1").data is not None
    assert copy.signal_seq == 1
    assert not Inbox.objects.filter(run=copy).exists()
    assert queries.payload(run=copy).input == {}


def test_a_fork_keeps_settled_intents_and_may_have_another_input(run: Run, owner: User) -> None:
    settle(run, Verdict.HAPPENED, result=1)
    copy = services.fork_run(
        run=run, at_seq=4, actor="olga", owner=owner, input={"value": "new"}
    ).run
    assert kinds(copy) == [
        "run.created", "step.completed", "step.intended", "step.settled", "run.forked",
    ]  # fmt: skip
    assert queries.payload(run=copy).input == {"value": "new"}


@pytest.mark.parametrize("at_seq", [0, -1, 99])
def test_a_fork_needs_an_event_that_is_there(run: Run, owner: User, at_seq: int) -> None:
    before = Run.objects.count()
    with pytest.raises(store.NoSuchEvent, match="from 1 to 3"):
        services.fork_run(run=run, at_seq=at_seq, actor="olga", owner=owner)
    assert Run.objects.count() == before


def test_a_fork_checks_its_input(run: Run, owner: User) -> None:
    with pytest.raises(InvalidInput):
        services.fork_run(run=run, at_seq=1, actor="o", owner=owner, input={"other": 1})


def test_a_fork_with_a_key_is_made_once(run: Run, owner: User) -> None:
    fields: dict[str, Any] = {"run": run, "actor": "o", "owner": owner, "idempotency_key": "f"}
    first = services.fork_run(at_seq=2, **fields)
    again = services.fork_run(at_seq=2, **fields)
    assert (first.created, again.created, again.run) == (True, False, first.run)
    with pytest.raises(services.IdempotencyMismatch):
        services.fork_run(at_seq=3, **fields)


def test_an_answer_about_an_earlier_attempt_is_not_taken_for_this_one(
    run: Run, worker: FakeWorker
) -> None:
    worker.exits()
    settle(run, Verdict.DID_NOT_HAPPEN, attempt=1)
    other = FakeWorker.born()
    run.refresh_from_db()
    other.claims(run)
    other.intends(run, "pay#1", n=2)
    other.suspends(run, "operator", "uncertain:pay#1")
    other.exits()
    with pytest.raises(store.NotUncertain, match="attempt 2"):
        settle(run, Verdict.DID_NOT_HAPPEN, attempt=1)
    assert settle(run, Verdict.DID_NOT_HAPPEN, attempt=2).status == "queued"
