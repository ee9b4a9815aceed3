"""Paused runs: whoever asks, wherever the run stands, and what wins when two ask at once."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from agentops.accounts.models import User
from runs import services
from runs.engine import store
from runs.models import Journal, Run
from tests.runs.fake_worker import FakeWorker, connect, kinds
from tests.runs.test_races import (
    COUNTS,
    NOBODY_WAITS,
    ROUNDS,
    Pair,
    claim_of,
    held_by,
    say,
    start_many,
    suspend,
)
from tests.runs.test_races import pair as pair

pytestmark = pytest.mark.django_db(transaction=True)


def start(owner: User) -> Run:
    return services.start_run(agent="anything", input={}, owner=owner, started_by="olga").run


def test_a_queued_run_waits_at_once_and_goes_on_when_resumed(owner: User) -> None:
    run = services.pause_run(run=start(owner), actor="ana")
    assert (run.status, run.waiting_for, run.waiting_detail) == (
        "waiting",
        "operator",
        "paused:ana",
    )
    assert run.ready_at is None
    run = services.resume_run(run=run, actor="bo")
    assert (run.status, run.waiting_detail, run.pause_by) == ("queued", "", "")
    assert kinds(run) == ["run.created", "run.paused", "run.resumed"]
    paused = Journal.objects.get(run=run, kind="run.paused")
    assert paused.meta == {"by": "ana", "waiting_for": "operator", "was": "queued"}


@pytest.mark.parametrize("waits", ["timer", "event", "retry", "child"])
def test_a_waiting_run_is_paused_and_no_message_wakes_it(
    owner: User, worker: FakeWorker, waits: str
) -> None:
    run = worker.suspends(worker.claims(start(owner)), waits)
    run = services.pause_run(run=run, actor="ana")
    services.signal_run(run=run, name="go", payload=None, sender="x")
    run.refresh_from_db()
    assert (run.status, run.waiting_detail) == ("waiting", "paused:ana")


def test_pausing_twice_or_after_the_end_changes_nothing(owner: User, worker: FakeWorker) -> None:
    run = start(owner)
    services.pause_run(run=run, actor="ana")
    assert services.pause_run(run=run, actor="bo").waiting_detail == "paused:ana"
    ended = worker.finishes(worker.claims(start(owner)))
    assert services.pause_run(run=ended, actor="ana").status == "succeeded"
    assert kinds(run) == ["run.created", "run.paused"]


def test_a_running_run_is_paused_by_what_its_worker_says_next(
    owner: User, worker: FakeWorker
) -> None:
    (run,) = held_by(worker, start_many(owner, 1))
    run = services.pause_run(run=run, actor="ana")
    assert (run.status, run.pause_by) == ("running", "ana")
    assert kinds(run) == ["run.created"], "only its worker writes of a running run"
    with connect() as own:
        assert suspend(own, run) == 1
    run.refresh_from_db()
    assert (run.status, run.waiting_for, run.waiting_detail) == (
        "waiting",
        "operator",
        "paused:ana",
    )
    assert run.ready_at is None
    assert kinds(run) == ["run.created", "run.paused"]


def test_a_pause_taken_back_in_time_never_happens(owner: User, worker: FakeWorker) -> None:
    (run,) = held_by(worker, start_many(owner, 1))
    services.pause_run(run=run, actor="ana")
    services.resume_run(run=run, actor="ana")
    with connect() as own:
        give_back(own, run)
    run.refresh_from_db()
    assert (run.status, run.pause_by) == ("queued", "")
    with pytest.raises(store.NotParked):
        services.resume_run(run=run, actor="ana")


def test_a_parked_run_keeps_its_question_and_is_paused_afterwards(
    owner: User, worker: FakeWorker
) -> None:
    run = worker.claims(start(owner))
    worker.intends(run, "pay#1")
    run = worker.suspends(run, "operator", "uncertain:pay#1")
    assert services.pause_run(run=run, actor="ana").waiting_detail == "uncertain:pay#1"
    run = services.settle_step(
        run=run, key="pay#1", verdict=services.Verdict.HAPPENED, actor="bo", result=1
    )
    # The next worker that takes it up finds the wish and gives it back: see the host's tests.
    assert (run.status, run.pause_by) == ("queued", "ana")


def test_who_may_not_judge_a_crash_loop_resumes_only_what_was_paused(
    owner: User, worker: FakeWorker
) -> None:
    parked = worker.suspends(worker.claims(start(owner)), "operator", "crash_loop")
    with pytest.raises(store.NeedsOperator):
        services.resume_run(run=parked, actor="ana", paused_only=True)
    parked.refresh_from_db()
    assert parked.waiting_detail == "crash_loop"
    paused = services.pause_run(run=start(owner), actor="ana")
    assert services.resume_run(run=paused, actor="ana", paused_only=True).status == "queued"


def test_pause_and_suspend_at_once_always_end_in_a_pause(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = held_by(worker, start_many(owner, ROUNDS))
    pair.race(
        ROUNDS,
        lambda own, number: suspend(own, runs[number]),
        lambda own, number: ask(own, runs[number]),
    )
    states = set(Run.objects.values_list("status", "waiting_detail"))
    assert states == {("waiting", "paused:ana")}
    for run in runs:
        kinds(run)


def test_pause_and_resume_at_once_leave_a_run_that_goes_on_or_says_who_paused_it(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = held_by(worker, start_many(owner, ROUNDS))
    for run in runs:
        services.pause_run(run=run, actor="ana")

    def resumes(own: psycopg.Connection[Any], number: int) -> None:
        with own.transaction(), own.cursor() as cursor:
            store.resume(cursor, runs[number].pk, by="bo")

    pair.race(ROUNDS, lambda own, number: give_back(own, runs[number]), resumes)
    assert set(Run.objects.values_list("status", "pause_by")) == {("queued", "")}


def test_an_early_retry_wakes_only_what_waits_for_one(owner: User, worker: FakeWorker) -> None:
    waits = worker.suspends(worker.claims(start(owner)), "retry", "fetch")
    assert services.retry_now(run=waits, actor="ana").status == "queued"
    assert services.retry_now(run=waits, actor="ana").status == "queued"
    assert kinds(waits) == ["run.created", "run.resumed"]
    sleeps = worker.suspends(worker.claims(start(owner)), "timer")
    with pytest.raises(store.NothingToRetry):
        services.retry_now(run=sleeps, actor="ana")
    held = worker.claims(start(owner))
    with pytest.raises(store.RunIsBusy):
        services.retry_now(run=held, actor="ana")


def ask(own: psycopg.Connection[Any], run: Run) -> None:
    with own.transaction(), own.cursor() as cursor:
        store.pause(cursor, run.pk, by="ana")


def give_back(own: psycopg.Connection[Any], run: Run) -> int:
    """What a worker says of a run it gives back unfinished."""
    from runs.engine import batches, statements

    parting = batches.Parting(claim_of(run), None, 2, "1", COUNTS, NOBODY_WAITS)
    return say(own, statements.SUSPEND, batches.suspend_values([parting]))
