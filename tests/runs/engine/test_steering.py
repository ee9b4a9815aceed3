"""A worker obeys: runs stop at the boundary of a step, and go on where they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from agentops.sdk.codec import decode
from runs import services
from runs.engine import store
from runs.engine.history import _stored
from runs.engine.host import Host
from runs.models import Inbox, Journal, Run, RunPayload
from tests.runs.engine import agents
from tests.runs.engine.conftest import ended, eventually, kinds, stands_at, start


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    agents.GO_ON.clear()
    agents.BROKEN.clear()
    agents.CALLS.clear()
    while agents.STARTED.acquire(blocking=False):
        """Nobody's start is left from another test."""
    yield
    agents.GO_ON.set()


def output(run: Run) -> object:
    payload = RunPayload.objects.get(run=run)
    assert payload.output_codec is not None
    return decode(*_stored(payload.output_codec, payload.output or b""))


def test_the_step_under_way_is_recorded_and_no_other_begins(host: Host) -> None:
    run = start("stays")
    assert agents.STARTED.acquire(timeout=15)
    services.pause_run(run=run, actor="ana")
    agents.GO_ON.set()

    stands_at(run, "waiting", "operator")
    assert run.waiting_detail == "paused:ana"
    assert kinds(run) == ["run.created", "run.started", "step.completed", "run.paused"]
    services.resume_run(run=run, actor="ana")
    assert output(ended(run)) == "stayed"
    assert kinds(run)[-4:] == ["run.resumed", "run.started", "step.completed", "run.succeeded"]


def test_a_pause_taken_back_during_a_step_changes_nothing(host: Host) -> None:
    run = start("stays")
    assert agents.STARTED.acquire(timeout=15)
    services.pause_run(run=run, actor="ana")
    eventually(lambda: host._executions[run.pk].starts_nothing)
    services.resume_run(run=run, actor="ana")
    eventually(lambda: not host._executions[run.pk].starts_nothing)
    agents.GO_ON.set()

    assert ended(run).status == "succeeded"
    assert "run.paused" not in kinds(run)


def test_a_wish_that_outlived_its_worker_is_obeyed_by_the_next_one(
    make_host: Callable[..., Host],
) -> None:
    run = start("counts")
    Run.objects.filter(pk=run.pk).update(pause_by="ana")
    make_host()

    stands_at(run, "waiting", "operator")
    assert kinds(run) == ["run.created", "run.paused"]


def test_a_paused_sleeper_sleeps_on_after_it_is_resumed(host: Host) -> None:
    run = start("sleeps", seconds=300)
    stands_at(run, "waiting", "timer")
    due = run.ready_at
    services.pause_run(run=run, actor="ana")
    services.resume_run(run=run, actor="ana")

    stands_at(run, "waiting", "timer")
    assert run.ready_at == due


def test_a_failed_run_goes_on_from_its_failing_step(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    assert (run.status, agents.CALLS) == ("failed", ["a", "b"])
    agents.BROKEN.clear()
    again = services.retry_failure(run=run, actor="ana")
    assert (again.status, again.stop_reason, again.finished_at) == ("queued", "", None)

    assert output(ended(run)) == "abc"
    assert agents.CALLS == ["a", "b", "b", "c"]
    assert [agents.KEYS[1], agents.KEYS[2]] == [agents.KEYS[1]] * 2, "the same call to the outside"
    assert kinds(run).count("run.failed") == 1


def test_it_may_fail_and_go_on_again_and_again(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    for _ in range(2):
        services.retry_failure(run=run, actor="ana")
        assert ended(run).status == "failed"
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == "abc"
    keys = Journal.objects.filter(run=run, phase=1).order_by("seq").values_list("key", flat=True)
    assert list(keys) == ["act:a", "act:b", "act:b!2", "act:b!3", "act:b!4", "act:c"]


def test_what_succeeded_beside_the_failure_is_not_done_again(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("abreast"))
    assert run.status == "failed"
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == ["a", "b", "c"]
    assert sorted(agents.CALLS) == ["a", "b", "b", "c"]


def test_what_dealt_with_the_failure_is_used_if_it_is_asked_for_again(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("tidies"))
    assert agents.CALLS == ["b", "tidy", "report"]
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == "done"
    assert agents.CALLS == ["b", "tidy", "report", "b"], "report was sent once"


def test_it_survives_a_pause_after_it_went_on(host: Host) -> None:
    """Another claim replays a journal with a failure in the middle."""
    agents.BROKEN.add("b")
    run = ended(start("chain-and-listens"))
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")
    stands_at(run, "waiting", "event")
    services.signal_run(run=run, name="go", payload=None, sender="x")

    assert output(ended(run)) == "ab"
    assert agents.CALLS == ["a", "b", "b"]


def test_a_run_that_failed_with_its_child_goes_on_with_its_child(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("family"))
    child = run.children.get()
    assert (run.status, child.status) == ("failed", "failed")
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == "abc"
    assert agents.CALLS == ["a", "b", "b", "c"]
    assert run.children.count() == 1
    names = Inbox.objects.filter(run=run).order_by("n").values_list("name", flat=True)
    assert [name.startswith("void:") for name in names] == [True, False]


def test_a_child_does_not_go_on_without_who_started_it(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("family"))
    child = run.children.get()
    before = kinds(child)

    with pytest.raises(store.NotRetriable, match=run.public_id):
        services.retry_failure(run=child, actor="ana")
    child.refresh_from_db()
    assert (child.status, kinds(child)) == ("failed", before)


def test_a_child_that_ended_while_its_parent_had_failed_is_heard_of(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("siblings"))
    assert (run.status, agents.CALLS) == ("failed", ["b"])
    other = run.children.get(agent="listens")
    services.signal_run(run=other, name="go", payload="heard", sender="x")
    assert ended(other).status == "succeeded"
    assert not Inbox.objects.filter(run=run, name__startswith="child:").exists()
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert Inbox.objects.filter(run=run, dedup_key=f"child:{other.public_id}").count() == 1
    assert output(ended(run)) == ["heard"]


def test_what_was_wished_before_the_failure_is_void(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    wished = {"pause_by": "ana", "cancel_reason": "killed", "cancel_requested_at": Now()}
    Run.objects.filter(pk=run.pk).update(**wished)
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == "abc"


def test_a_run_that_goes_on_is_not_forgotten(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain-and-listens"))
    Run.objects.filter(pk=run.pk).update(finished_at=Now() - timedelta(days=100))
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")
    with connection.cursor() as cursor:
        assert store.forget_runs(cursor, days=30) == []

    stands_at(run, "waiting", "event")
    assert RunPayload.objects.get(run=run).error is None


def test_a_run_that_was_forgotten_meanwhile_is_not_found(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    Run.objects.filter(pk=run.pk).update(finished_at=Now() - timedelta(days=100))
    with connection.cursor() as cursor:
        assert store.forget_runs(cursor, days=30) == [run.public_id]
    wishes = (services.retry_failure, services.retry_now, services.pause_run, services.resume_run)
    for wish in wishes:
        with pytest.raises(store.RunIsGone):
            wish(run=run, actor="ana")


def test_an_error_of_the_agents_own_code_is_met_again_with_all_steps_kept(host: Host) -> None:
    agents.BROKEN.add("own")
    run = ended(start("stumbles"))
    assert run.stop_reason == "agent_error"
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")

    assert output(ended(run)) == "a"
    assert agents.CALLS == ["a"]


def test_working_time_begins_anew(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    Run.objects.filter(pk=run.pk).update(timeout_seconds=10, worked_ms=9_999)
    again = services.retry_failure(run=run, actor="ana")
    assert again.timeout_seconds == pytest.approx(19.999)
    ended(run)


def test_only_a_failed_run_goes_on_from_its_failure(host: Host) -> None:
    run = ended(start("counts"))
    with pytest.raises(store.NotFailed):
        services.retry_failure(run=run, actor="ana")
    assert kinds(run)[-1] == "run.succeeded"


def test_a_fork_of_a_run_that_went_on_begins_with_all_of_it(host: Host) -> None:
    agents.BROKEN.add("b")
    run = ended(start("chain"))
    agents.BROKEN.clear()
    services.retry_failure(run=run, actor="ana")
    last = Journal.objects.filter(run=ended(run)).count()
    fork = services.fork_run(run=run, at_seq=last, actor="ana", owner=None).run

    assert output(ended(fork)) == "abc"
    assert agents.CALLS == ["a", "b", "b", "c"]


def test_a_run_is_run_again_with_the_same_input_or_another(host: Host) -> None:
    run = ended(start("counts", steps=2))
    same = services.replay_run(run=run, actor="ana", owner=None).run
    other = services.replay_run(run=run, actor="ana", owner=None, input={"steps": 3}).run

    assert [output(ended(again)) for again in (same, other)] == [1, 3]
    assert (same.forked_from_id, same.forked_at_seq) == (run.pk, 0)
