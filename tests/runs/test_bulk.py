"""Bulk actions: every run once, whatever dies, whoever works, however often it is asked for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError, connection

from agentops.accounts.access import Actor, visible_to
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from runs import bulk, services
from runs.models import BulkAction, BulkItem, BulkVerb, Journal, Run
from tests import people
from tests.runs.fake_worker import FakeWorker, kinds

pytestmark = pytest.mark.django_db(transaction=True)


def start_runs(owner: User, count: int) -> list[Run]:
    return [
        services.start_run(agent="anything", input={"value": n}, owner=owner, started_by="x").run
        for n in range(count)
    ]


def ask(owner: User, verb: BulkVerb = BulkVerb.CANCEL, **options: Any) -> BulkAction:
    options = {"runs": Run.objects.all(), "said": {"agent": "anything"}, **options}
    return bulk.start(actor=Actor(owner), verb=verb, **options).action


def told(action: BulkAction) -> dict[str, int]:
    return {name: n for name, n in bulk.counts(action=action).items() if n}


def test_each_run_gets_an_outcome_and_the_action_ends(owner: User, worker: FakeWorker) -> None:
    runs = start_runs(owner, 5)
    worker.finishes(worker.claims(runs[0]))
    action = ask(owner, note="wrong month")
    assert told(action) == {"pending": 5}
    assert bulk.work(seconds=30) == 5
    action.refresh_from_db()
    assert told(action) == {"done": 4, "unchanged": 1}
    assert action.finished_at is not None
    assert {run.status for run in Run.objects.all()} == {"succeeded", "cancelled"}
    ended = Journal.objects.filter(kind="run.cancelled").first()
    assert ended is not None
    assert ended.meta is not None
    assert (ended.meta["by"], ended.meta["note"]) == ("olga", "wrong month")


@pytest.mark.parametrize(
    ("verb", "status"), [(BulkVerb.PAUSE, "waiting"), (BulkVerb.REPLAY, "queued")]
)
def test_verbs_do_what_they_do_to_one_run(owner: User, verb: BulkVerb, status: str) -> None:
    (run,) = start_runs(owner, 1)
    action = ask(owner, verb)
    bulk.work(seconds=30)
    run.refresh_from_db()
    assert (told(action), run.status) == ({"done": 1}, status)
    made = action.items.get().made
    assert bool(made) is (verb is BulkVerb.REPLAY)
    assert not made or Run.objects.get(public_id=made).forked_from == run


def test_what_cannot_be_done_says_why_and_holds_up_nobody(owner: User, worker: FakeWorker) -> None:
    sleeps, waits = start_runs(owner, 2)
    worker.suspends(worker.claims(sleeps), "timer")
    worker.suspends(worker.claims(waits), "retry")
    action = ask(owner, BulkVerb.RETRY_NOW)
    bulk.work(seconds=30)
    assert told(action) == {"done": 1, "refused": 1}
    refused = action.items.get(outcome="refused")
    assert (refused.run_public_id, refused.code) == (sleeps.public_id, "nothing_to_retry")


def test_a_run_the_database_refuses_holds_up_nobody(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = start_runs(owner, 3)
    cancel = bulk._VERBS[BulkVerb.CANCEL]

    def refused_by_the_database(case: Any) -> dict[str, str]:
        if case.run.pk == runs[0].pk:
            case.cursor.execute("SELECT 1 / 0")
        return cancel(case)

    monkeypatch.setitem(bulk._VERBS, BulkVerb.CANCEL, refused_by_the_database)
    action = ask(owner)
    assert bulk.work(seconds=30) == 3
    action.refresh_from_db()
    assert told(action) == {"done": 2, "failed": 1}
    assert action.finished_at is not None


def test_only_what_the_asker_sees_is_taken(owner: User, stranger: User) -> None:
    start_runs(stranger, 3)
    mine = start_runs(owner, 2)
    action = ask(owner)
    assert set(action.items.values_list("run_public_id", flat=True)) == {
        run.public_id for run in mine
    }


def test_who_lost_the_right_meanwhile_is_refused(worker: FakeWorker, owner: User) -> None:
    admin = people.administrator("ada")
    (run,) = start_runs(owner, 1)
    action = ask(admin)
    admin.groups.clear()
    bulk.work(seconds=30)
    run.refresh_from_db()
    assert (told(action), run.status) == ({"refused": 1}, "queued")


def test_a_run_that_is_gone_meanwhile_is_said(owner: User) -> None:
    (run,) = start_runs(owner, 1)
    action = ask(owner)
    Run.objects.filter(pk=run.pk).delete()
    bulk.work(seconds=30)
    assert action.items.get().code == "not_found"


def test_a_worker_that_dies_in_the_middle_of_an_item_leaves_it_undone(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = start_runs(owner, 3)
    action = ask(owner)
    seen: list[int] = []
    really = bulk._VERBS[BulkVerb.CANCEL]

    def dies(case: Any) -> dict[str, str]:
        answer = really(case)
        seen.append(case.run.pk)
        if len(seen) == 2:
            raise OperationalError("the connection is gone")
        return answer

    monkeypatch.setitem(bulk._VERBS, BulkVerb.CANCEL, dies)
    with pytest.raises(OperationalError):
        bulk.work(seconds=30)
    assert told(action) == {"pending": 2, "done": 1}
    statuses = sorted(Run.objects.values_list("status", flat=True))
    assert statuses == ["cancelled", "queued", "queued"], "the item and its effect went together"
    bulk.work(seconds=30)
    assert told(action) == {"done": 3}
    for run in runs:
        assert kinds(run) == ["run.created", "run.cancelled"]


def test_many_workers_share_an_action_and_do_each_run_once(owner: User) -> None:
    runs = start_runs(owner, 60)
    action = ask(owner, BulkVerb.REPLAY)
    errors: list[Exception] = []

    def works() -> None:
        try:
            bulk.work(seconds=60)
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=works) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    action.refresh_from_db()
    assert (told(action), action.finished_at is not None) == ({"done": 60}, True)
    assert Run.objects.filter(forked_at_seq=0).count() == len(runs)


def test_small_actions_do_not_wait_for_large_ones(owner: User) -> None:
    start_runs(owner, 10)
    large = ask(owner, BulkVerb.PAUSE)
    small = ask(owner, BulkVerb.RESUME, runs=Run.objects.order_by("pk")[:0] | Run.objects.filter(
        pk=Run.objects.order_by("-pk").values("pk")[:1]
    ))  # fmt: skip
    for _ in range(2):
        bulk._do_one(bulk._Rights())
    assert told(small) == {"done": 1}
    assert told(large)["done"] == 1


def test_stopping_leaves_what_is_done_and_does_no_more(owner: User) -> None:
    start_runs(owner, 4)
    action = ask(owner)
    bulk._do_one(bulk._Rights())
    stopped = bulk.stop(action=action, actor=Actor(owner))
    assert (told(stopped), stopped.stopped_by) == ({"done": 1, "stopped": 3}, "olga")
    assert bulk.work(seconds=5) == 0
    assert bulk.stop(action=stopped, actor=Actor(owner)).finished_at == stopped.finished_at


def test_asked_for_twice_with_one_key_it_is_one(owner: User) -> None:
    start_runs(owner, 2)
    gate = threading.Barrier(2, timeout=10)
    made: list[bool] = []

    def asks() -> None:
        try:
            gate.wait()
            begun = bulk.start(
                actor=Actor(owner), verb=BulkVerb.PAUSE, runs=Run.objects.all(),
                said={"a": 1}, idempotency_key="k",
            )  # fmt: skip
            made.append(begun.created)
        finally:
            connection.close()

    threads = [threading.Thread(target=asks) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, True]
    assert BulkItem.objects.count() == 2
    with pytest.raises(services.IdempotencyMismatch):
        ask(owner, idempotency_key="k")


def test_nothing_and_too_much_are_refused(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bulk.NoRuns):
        ask(owner)
    start_runs(owner, 3)
    monkeypatch.setattr(bulk, "MOST_RUNS", 2)
    with pytest.raises(bulk.TooManyRuns):
        ask(owner)
    assert BulkAction.objects.count() == 0


def test_the_sweep_works_on_what_no_bell_was_heard_for(owner: User) -> None:
    from runs import worker as process

    start_runs(owner, 3)
    action = ask(owner)
    process.sweep()
    assert told(action) == {"done": 3}


def test_others_neither_see_nor_stop_it(owner: User, stranger: User) -> None:
    start_runs(owner, 1)
    action = ask(owner)
    assert not bulk.visible(viewer=Actor(stranger)).exists()
    peer = people.person("pia", Role.OPERATOR)
    assert not visible_to(Actor(peer), BulkAction.objects.all()).exists()
    assert bulk.visible(viewer=Actor(people.administrator("ada"))).get() == action


def test_old_actions_are_forgotten_with_their_items(owner: User) -> None:
    start_runs(owner, 1)
    old, young = ask(owner), ask(owner, BulkVerb.PAUSE)
    bulk.work(seconds=30)
    BulkAction.objects.filter(pk=old.pk).update(finished_at="2020-01-01T00:00:00Z")
    assert bulk.forget(days=30) == 1
    assert list(BulkAction.objects.all()) == [young]
    assert BulkItem.objects.count() == 1
