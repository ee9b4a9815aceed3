"""Races between real connections: whatever the order, nothing is lost and nothing is doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg import pq

from agentops.accounts.models import User
from agentops.execution.port import Counts, Finished, Suspended
from agentops.execution.records import Claim
from agentops.sdk.codec import NULL
from runs import services
from runs.engine import batches, pgwire, statements, store
from runs.models import Inbox, Journal, Run, RunPayload, StopReason
from tests.runs.fake_worker import FakeWorker, connect, kinds

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 300
CANCELLED = ["run.created", "run.cancelled"]


class Pair:
    """Two threads with a connection each that do something at the same moment, many times."""

    def __init__(self) -> None:
        self._gate = threading.Barrier(2, timeout=10)

    def race(self, rounds: int, *sides: Callable[[psycopg.Connection[Any], int], object]) -> None:
        errors: list[Exception] = []

        def one(side: Callable[[psycopg.Connection[Any], int], object]) -> None:
            try:
                with connect() as own:
                    for number in range(rounds):
                        self._gate.wait()
                        side(own, number)
            except Exception as error:  # noqa: BLE001 - told in the test's own thread
                errors.append(error)
                self._gate.abort()

        threads = [threading.Thread(target=one, args=(side,)) for side in sides]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors


@pytest.fixture
def pair() -> Iterator[Pair]:
    yield Pair()
    django_connection.close()


def start_many(owner: User, count: int) -> list[Run]:
    return [
        services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
        for _ in range(count)
    ]


def held_by(worker: FakeWorker, runs: list[Run]) -> list[Run]:
    ids = [run.pk for run in runs]
    Run.objects.filter(pk__in=ids).update(status="running", worker=worker.row, epoch=1)
    return list(Run.objects.filter(pk__in=ids).order_by("pk"))


def test_no_wake_up_is_lost_between_signal_and_suspend(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = held_by(worker, start_many(owner, ROUNDS))

    def suspends(own: psycopg.Connection[Any], number: int) -> None:
        suspend(own, runs[number])

    def signals(own: psycopg.Connection[Any], number: int) -> None:
        send(own, runs[number], "paid", None)

    pair.race(ROUNDS, suspends, signals)
    assert set(Run.objects.values_list("status", "signal_seq")) == {("queued", 1)}
    assert Inbox.objects.count() == ROUNDS


def test_a_signal_sent_twice_at_once_counts_once(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = start_many(owner, ROUNDS)
    accepted: list[bool] = []

    def signals(own: psycopg.Connection[Any], number: int) -> None:
        arrival = send(own, runs[number], "paid", f"m-{number}")
        assert arrival is not None
        accepted.append(arrival.accepted)

    pair.race(ROUNDS, signals, signals)
    assert sum(accepted) == ROUNDS
    assert Inbox.objects.count() == ROUNDS
    assert set(Run.objects.values_list("signal_seq", flat=True)) == {1}


def test_signals_sent_at_once_are_numbered_without_gaps(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    (run,) = start_many(owner, 1)
    pair.race(
        ROUNDS,
        lambda own, number: send(own, run, "a", None),
        lambda own, number: send(own, run, "b", None),
    )
    assert list(Inbox.objects.order_by("n").values_list("n", flat=True)) == list(
        range(1, 2 * ROUNDS + 1)
    )


def test_a_run_finishes_once(owner: User, worker: FakeWorker, pair: Pair) -> None:
    parent = held_by(worker, start_many(owner, 1))[0]
    children = held_by(worker, start_many(owner, ROUNDS))
    for number, child in enumerate(children):
        child.parent, child.parent_key = parent, f"c#{number}"
        child.save(update_fields=["parent", "parent_key"])
    finished: list[int] = []

    def finishes(own: psycopg.Connection[Any], number: int) -> None:
        finished.extend([children[number].pk] * finish(own, children[number]))

    pair.race(ROUNDS, finishes, finishes)
    assert sorted(finished) == sorted(child.pk for child in children)
    told = list(Inbox.objects.order_by("n").values_list("n", flat=True))
    assert told == list(range(1, ROUNDS + 1))


@pytest.mark.parametrize(("waits", "status"), [("child", "queued"), ("operator", "waiting")])
def test_the_end_of_a_child_wakes_its_parent_unless_an_operator_holds_it(
    owner: User, worker: FakeWorker, waits: str, status: str
) -> None:
    parent, child = held_by(worker, start_many(owner, 2))
    child.parent, child.parent_key = parent, "c#1"
    child.save(update_fields=["parent", "parent_key"])
    worker.suspends(parent, waits, "crash_loop")
    with connect() as own:
        assert finish(own, child) == 1
    parent.refresh_from_db()
    held = (waits, "crash_loop") if status == "waiting" else ("", "")
    assert (parent.status, parent.waiting_for, parent.waiting_detail) == (status, *held)
    assert parent.signal_seq == Inbox.objects.get(run=parent).n == 1


def test_cancel_against_finish_leaves_one_ending(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = held_by(worker, start_many(owner, ROUNDS))

    def finishes(own: psycopg.Connection[Any], number: int) -> None:
        finish(own, runs[number])

    pair.race(ROUNDS, finishes, lambda own, number: stop(own, runs[number]))
    # The worker held them: cancelling asks, the worker's ending stands.
    assert set(Run.objects.values_list("status", "stop_reason")) == {("succeeded", "completed")}


def test_cancel_against_suspend_ends_the_run_or_leaves_the_wish(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = held_by(worker, start_many(owner, ROUNDS))

    def suspends(own: psycopg.Connection[Any], number: int) -> None:
        suspend(own, runs[number])

    pair.race(ROUNDS, suspends, lambda own, number: stop(own, runs[number]))
    for run in Run.objects.all():
        if run.status == "cancelled":
            assert kinds(run) in (CANCELLED, [CANCELLED[0], "run.waiting", CANCELLED[1]])
        else:
            assert run.cancel_requested_at is not None
    # Whoever comes later with the same wish ends the rest.
    with connect() as own:
        for run in runs:
            stop(own, run)
    assert set(Run.objects.values_list("status", flat=True)) == {"cancelled"}
    assert RunPayload.objects.filter(error__isnull=True).count() == 0


def test_cancelled_twice_at_once_is_cancelled_once(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    runs = start_many(owner, ROUNDS)

    def stops(own: psycopg.Connection[Any], number: int) -> None:
        stop(own, runs[number])

    pair.race(ROUNDS, stops, stops)
    assert Journal.objects.filter(kind="run.cancelled").count() == ROUNDS


def test_families_cancelled_from_both_ends_never_deadlock(
    owner: User, worker: FakeWorker, pair: Pair
) -> None:
    parents, children = start_many(owner, 60), start_many(owner, 60)
    for parent, child in zip(parents, children, strict=True):
        Run.objects.filter(pk=child.pk).update(parent=parent, parent_key="c#1")
    pair.race(
        60,
        lambda own, number: stop(own, parents[number]),
        lambda own, number: stop(own, children[number]),
    )
    assert set(Run.objects.values_list("status", flat=True)) == {"cancelled"}


def claim_of(run: Run) -> Claim:
    return Claim(
        id=run.pk,
        public_id=run.public_id,
        epoch=run.epoch,
        agent=run.agent,
        agent_version="1",
        input=None,
        created_at=run.created_at,
        seq=1,
        parent_id=run.parent_id,
        parent_key=run.parent_key,
    )


COUNTS = Counts(steps=0, retries=0, worked_ms=0, progress="", last_progress_at=None)


def suspend(own: psycopg.Connection[Any], run: Run) -> int:
    """What a worker that has seen no signal says when all that is left of a run waits."""
    ending = Suspended("event", "paid", None, seen=0)
    parting = batches.Parting(claim_of(run), ending, 2, "1", COUNTS, NOBODY_WAITS)
    return say(own, statements.SUSPEND, batches.suspend_values([parting]))


def finish(own: psycopg.Connection[Any], run: Run) -> int:
    """What a worker says when the agent returned."""
    ending = Finished("succeeded", "completed", output=NULL)
    closing = batches.Closing(claim_of(run), ending, 2, "1", COUNTS, NOBODY_WAITS)
    return say(own, statements.FINISH, batches.finish_values([closing], batches.Blobs()))


NOBODY_WAITS: Any = None


def say(
    own: psycopg.Connection[Any], statement: statements.Statement, values: list[pgwire.Value]
) -> int:
    """Send a worker's statement as a worker does. Returns how many rows came back."""
    formats = [pq.Format.BINARY] * len(values)
    answer = own.pgconn.exec_params(statement.sql, values, None, formats, pq.Format.BINARY)
    assert answer.status == pq.ExecStatus.TUPLES_OK, answer.error_message
    return answer.ntuples


def send(
    own: psycopg.Connection[Any], run: Run, name: str, dedup_key: str | None
) -> store.Arrival | None:
    with own.transaction(), own.cursor() as cursor:
        return store.signal(
            cursor, run_id=run.pk, name=name, payload=NULL, sender="s", dedup_key=dedup_key
        )


def stop(own: psycopg.Connection[Any], run: Run) -> None:
    ending = store.cancellation(StopReason.CANCELLED_BY_USER)
    with own.transaction(), own.cursor() as cursor:
        store.cancel(cursor, [run.pk], ending)
