"""What a sweep finds and what it leaves alone."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agentops import reports
from agentops.accounts.models import User
from runs import services
from runs.engine import store
from runs.engine.sweeper import Swept, sweep, sweep_from_django
from runs.models import Blob, Inbox, Journal, Phase, Run, RunPayload, Worker
from runs.values import load
from tests.runs.fake_worker import FakeWorker, connect, kinds

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _old_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test server is younger than any lease; a lease of nothing judges at once."""
    settings.AGENTOPS_LEASE_SECONDS = 0.0


def start(owner: User, **fields: Any) -> Run:
    fields = {"agent": "anything", "input": {}, "started_by": "x", "queue": "default", **fields}
    return services.start_run(owner=owner, **fields).run


def sweeping() -> Swept:
    return sweep_from_django(thorough=True)


def test_runs_of_a_silent_worker_go_back_to_the_queue(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    epoch = run.epoch
    worker.falls_silent()
    swept = sweeping()
    run.refresh_from_db()
    assert (swept.dead_workers, swept.reclaimed) == (1, 1)
    assert (run.status, run.epoch, run.crash_count) == ("queued", epoch + 1, 1)
    assert run.worker_id is None
    assert sweeping().reclaimed == 0


def test_runs_of_a_living_worker_stay(owner: User, worker: FakeWorker, settings: Any) -> None:
    settings.AGENTOPS_LEASE_SECONDS = 60
    run = worker.claims(start(owner))
    assert sweeping().reclaimed == 0
    run.refresh_from_db()
    assert run.status == "running"


def test_a_server_that_just_started_judges_nobody(
    owner: User, worker: FakeWorker, settings: Any
) -> None:
    settings.AGENTOPS_LEASE_SECONDS = 3600
    worker.claims(start(owner))
    worker.falls_silent(seconds=7200)
    assert sweeping().dead_workers == 0


def test_runs_of_a_worker_that_is_missing_go_back(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    Run.objects.filter(pk=run.pk).update(worker_id=2**40)
    assert sweeping().reclaimed == 1


def test_progress_forgives_crashes_and_notes_are_none(owner: User, worker: FakeWorker) -> None:
    run = start(owner)
    for expected in (1, 2):
        worker.claims(run)
        worker.appends(run, "@run.recovered", Phase.NOTE, n=run.epoch, kind="run.recovered")
        _crash(worker)
        run.refresh_from_db()
        assert run.crash_count == expected
    worker.claims(run)
    worker.appends(run, "look#1")
    _crash(worker)
    run.refresh_from_db()
    assert run.crash_count == 0


@pytest.mark.parametrize(("crashes", "seconds"), [(0, 0), (1, 1), (2, 2), (3, 4)])
def test_each_crash_waits_longer(
    owner: User, worker: FakeWorker, crashes: int, seconds: float
) -> None:
    run = worker.claims(start(owner))
    Run.objects.filter(pk=run.pk).update(crash_count=crashes)
    before = timezone.now()
    _crash(worker)
    run.refresh_from_db()
    assert run.ready_at is not None
    assert abs((run.ready_at - before).total_seconds() - seconds) < 0.5


def test_a_run_that_kills_its_workers_is_parked(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    Run.objects.filter(pk=run.pk).update(crash_count=4)
    assert _crash(worker).parked == 1
    run.refresh_from_db()
    assert (run.status, run.waiting_for, run.waiting_detail) == (
        "waiting",
        "operator",
        "crash_loop",
    )
    assert kinds(run)[-1] == "run.waiting"
    assert services.resume_run(run=run, actor="opal").crash_count == 0


def test_a_stuck_step_is_taken_from_a_living_worker(
    owner: User, worker: FakeWorker, settings: Any
) -> None:
    settings.AGENTOPS_LEASE_SECONDS = 60
    run, patient = worker.claims(start(owner)), worker.claims(start(owner))
    long_ago = timezone.now() - timedelta(seconds=store.GRACE_SECONDS + 1)
    Run.objects.filter(pk=run.pk).update(step_deadline_at=long_ago)
    Run.objects.filter(pk=patient.pk).update(step_deadline_at=timezone.now())
    assert sweeping().reclaimed == 1
    run.refresh_from_db()
    assert (run.status, run.step_deadline_at) == ("queued", None)


def test_a_cancelled_run_whose_worker_died_ends(owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    services.cancel_run(run=run, actor="opal", by_operator=True)
    assert _crash(worker).cancelled == 1
    run.refresh_from_db()
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled_by_operator")


def test_time_ends_what_nobody_works_on(owner: User, worker: FakeWorker) -> None:
    past = timezone.now() - timedelta(seconds=1)
    queued = start(owner, expires_at=past)
    approval = worker.suspends(worker.claims(start(owner, expires_at=past)), "approval")
    busy = worker.claims(start(owner, expires_at=past))
    later = start(owner, expires_at=timezone.now() + timedelta(hours=1))
    Worker.objects.update(heartbeat_at=timezone.now() + timedelta(hours=1))
    assert sweeping().expired == 2
    for run in (queued, approval, busy, later):
        run.refresh_from_db()
    assert (queued.status, queued.stop_reason) == ("expired", "timeout")
    assert (approval.status, approval.stop_reason) == ("expired", "approval_expired")
    assert (busy.status, later.status) == ("running", "queued")
    assert kinds(queued)[-1] == "run.expired"


def test_children_started_while_their_parent_was_stopped_are_stopped(
    owner: User, worker: FakeWorker
) -> None:
    parent = start(owner)
    services.cancel_run(run=parent, actor="x", by_operator=False)
    child = worker.spawns(parent, "child#1")
    assert sweeping().cancelled == 1
    child.refresh_from_db()
    assert child.status == "cancelled"


def test_a_parent_hears_late_of_a_child_nobody_told_it_about(
    owner: User, worker: FakeWorker
) -> None:
    parent = worker.claims(start(owner))
    child = worker.finishes(worker.spawns(parent, "child#1"), output=42)
    Run.objects.filter(pk=child.pk).update(finished_at=timezone.now() - timedelta(minutes=1))
    worker.suspends(parent, "child")
    assert sweeping().told == 1
    parent.refresh_from_db()
    assert (parent.status, parent.signal_seq) == ("queued", 1)
    assert sweeping().told == 0
    message = Inbox.objects.get()
    assert load(message.codec, message.data) == {
        "run": child.public_id, "status": "succeeded", "stop_reason": "completed", "output": 42,
    }  # fmt: skip


def test_late_runs_ring_as_often_as_workers_can_hear(owner: User, worker: FakeWorker) -> None:
    runs = [start(owner) for _ in range(3)]
    timer = worker.suspends(worker.claims(start(owner)), "timer")
    fresh = start(owner, queue="other")
    Worker.objects.update(heartbeat_at=timezone.now() + timedelta(hours=1))
    past = timezone.now() - timedelta(seconds=2)
    Run.objects.filter(pk__in=[run.pk for run in runs]).update(ready_at=past)
    Run.objects.filter(pk=timer.pk).update(ready_at=past)
    assert sweeping().rings == {"default": 1}
    for _ in range(7):
        FakeWorker.born()
    Worker.objects.update(heartbeat_at=timezone.now() + timedelta(hours=1))
    assert sweeping().rings == {"default": 4}
    assert fresh.queue not in sweeping().rings


def test_old_runs_go_with_everything_they_had(owner: User, worker: FakeWorker) -> None:
    old = worker.finishes(worker.claims(start(owner)))
    services.signal_run(run=start(owner), name="n", payload=1, sender="s")
    young = worker.finishes(start(owner))
    fork = services.fork_run(run=old, at_seq=1, actor="olga", owner=owner).run
    long_ago = timezone.now() - timedelta(days=91)
    Run.objects.filter(pk=old.pk).update(finished_at=long_ago)
    for run in (old, young):
        reports.folder_of(run.public_id).mkdir(parents=True)
    assert sweeping().forgotten_runs == 1
    assert not reports.folder_of(old.public_id).exists()
    assert reports.folder_of(young.public_id).exists()
    assert not Run.objects.filter(pk=old.pk).exists()
    assert not Journal.objects.filter(run_id=old.pk).exists()
    assert not RunPayload.objects.filter(run_id=old.pk).exists()
    fork.refresh_from_db()
    assert fork.forked_from_id is None
    assert Run.objects.filter(pk=young.pk).exists()


def test_families_are_forgotten_from_the_leaves(owner: User, worker: FakeWorker) -> None:
    parent = worker.claims(start(owner))
    child = worker.finishes(worker.spawns(parent, "child#1"))
    worker.finishes(parent)
    Run.objects.update(finished_at=timezone.now() - timedelta(days=91))
    assert [sweeping().forgotten_runs for _ in range(3)] == [1, 1, 0]
    assert not Run.objects.filter(pk__in=[parent.pk, child.pk]).exists()


def test_blobs_go_when_nothing_refers_to_them(owner: User) -> None:
    run = start(owner)
    named, lost, fresh = (_blob(text) for text in ("named", "lost", "fresh"))
    RunPayload.objects.filter(run=run).update(output_codec=2, output=named)
    long_ago = timezone.now() - timedelta(days=2)
    Blob.objects.filter(digest__in=[named, lost]).update(referenced_at=long_ago)
    assert sweeping().forgotten_blobs == 1
    assert {bytes(blob.digest) for blob in Blob.objects.all()} == {named, fresh}
    assert Blob.objects.get(digest=named).referenced_at > long_ago
    assert lost not in {bytes(blob.digest) for blob in Blob.objects.all()}


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_at_once_count_a_crash_once(owner: User, worker: FakeWorker) -> None:
    runs = [worker.claims(start(owner)) for _ in range(50)]
    worker.falls_silent()
    gate = threading.Barrier(4)
    found: list[int] = []

    def one() -> None:
        with connect() as own:
            gate.wait()
            # A duty somebody else is at is left to them, or to the next sweep.
            found.extend(sweep(connection=own, thorough=True).reclaimed for _ in range(5))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A process of another test that is on its way out may have held the duty all the while.
    deadline = time.monotonic() + 20
    while sum(found) < 50 and time.monotonic() < deadline:
        found.append(sweeping().reclaimed)
    assert sum(found) == 50
    assert set(Run.objects.values_list("status", "crash_count", "epoch")) == {
        ("queued", 1, runs[0].epoch + 1)
    }


def _crash(worker: FakeWorker) -> Swept:
    worker.falls_silent()
    swept = sweeping()
    worker.row = FakeWorker.born().row
    return swept


def _blob(text: str) -> bytes:
    digest = hashlib.sha256(text.encode()).digest()
    Blob.objects.create(digest=digest, codec=0, data=text.encode(), size=len(text))
    return digest
