"""A worker runs what it claims, and loses nothing when things go wrong around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.sdk.codec import decode
from runs import services
from runs.engine.history import _stored
from runs.engine.host import Host
from runs.engine.partings import DEFER_SECONDS
from runs.models import Journal, Run, RunPayload, Worker
from tests import factories
from tests.runs.engine import agents
from tests.runs.engine.conftest import cut_connections, ended, eventually, kinds, stands_at, start


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    agents.GO_ON.clear()
    while agents.STARTED.acquire(blocking=False):
        """Nobody's start is left from another test."""
    yield
    agents.GO_ON.set()


def output(run: Run) -> object:
    payload = RunPayload.objects.get(run=run)
    assert payload.output_codec is not None
    return decode(*_stored(payload.output_codec, payload.output or b""))


def test_a_run_goes_from_start_to_end(host: Host) -> None:
    run = ended(start("counts", steps=3))

    assert (run.status, run.stop_reason, run.steps, output(run)) == ("succeeded", "completed", 3, 3)
    assert kinds(run) == ["run.created", "run.started", *["step.completed"] * 3, "run.succeeded"]


def test_a_plain_agent_runs_in_threads(host: Host) -> None:
    run = ended(start("plain", steps=2))

    assert output(run) == [0, 1, "a"]


def test_a_wide_run_has_dense_numbers(host: Host) -> None:
    run = ended(start("spreads", width=600))

    assert output(run) == 600
    assert len(kinds(run)) == 603


def test_many_runs_share_the_writer(host: Host) -> None:
    runs = [start("counts", steps=5) for _ in range(40)]

    for run in runs:
        assert output(ended(run)) == 10
    assert host.writer.commits < host.writer.rows


def test_capacity_is_kept_when_more_is_waiting(make_host: Callable[..., Host]) -> None:
    runs = [start("stays") for _ in range(6)]
    host = make_host(capacity=2)

    for _ in range(2):
        assert agents.STARTED.acquire(timeout=15)
    assert not agents.STARTED.acquire(timeout=0.3)
    assert len(host.held()) == 2
    agents.GO_ON.set()
    assert {ended(run).status for run in runs} == {"succeeded"}


def test_children_run_and_tell_their_parent(host: Host) -> None:
    run = ended(start("parent", children=5))

    assert output(run) == [1] * 5
    kinds(run)
    assert all(kinds(child)[0] == "run.created" for child in run.children.all())


def test_starts_of_runs_and_steps_keep_one_order(host: Host) -> None:
    run = ended(start("mixes"))

    assert output(run) == 12
    rows = Journal.objects.filter(run=run).order_by("seq")
    assert len(kinds(run)) == 12 + 3
    assert rows.filter(kind="child.started").count() == 4


def test_a_wait_frees_the_worker_and_ends_in_time(host: Host) -> None:
    run = start("sleeps", seconds=1.3)
    stands_at(run, "waiting", "timer")
    eventually(lambda: not host.held())

    assert output(ended(run)) == "awake"
    assert "timer.fired" in kinds(run)


def test_events_reach_a_run_once_each(host: Host) -> None:
    run = start("listens", times=3)
    for n in range(3):
        services.signal_run(run=run, name="go", payload=n, sender="test")

    assert output(ended(run)) == [0, 1, 2]


def test_an_agent_that_calls_sys_exit_does_not_take_the_worker_along(host: Host) -> None:
    run = ended(start("leaves"))

    assert (run.status, run.stop_reason) == ("failed", "agent_error")
    assert ended(start("counts", steps=1)).status == "succeeded"


def test_text_no_column_takes_is_stored_all_the_same(host: Host) -> None:
    run = ended(start("strange-text"))

    assert (run.status, output(run)) == ("succeeded", "\ud800 \\u0000")
    kinds(run)


def test_an_error_that_quotes_an_escape_is_stored(host: Host) -> None:
    run = ended(start("quotes-an-error"))

    assert (run.status, run.stop_reason) == ("failed", "retries_exhausted")
    failed = Journal.objects.get(run=run, kind="step.failed")
    assert "\\u0000 cannot be converted" in str(failed.meta)


def test_values_too_large_for_a_row_are_kept_beside_it(host: Host) -> None:
    run = ended(start("large", size=1_500_000))

    assert output(run) == 1_500_000
    assert Journal.objects.get(run=run, key="large#1").codec == 2


def test_an_agent_that_raises_fails_its_run(host: Host) -> None:
    run = ended(start("raises"))

    assert (run.status, run.stop_reason) == ("failed", "agent_error")
    assert kinds(run)[-1] == "run.failed"


def test_a_lost_connection_costs_nothing_but_time(host: Host) -> None:
    runs = [start("spreads", width=50) for _ in range(10)]
    eventually(lambda: host.writer.rows > 20)
    cut_connections(host)

    for run in runs:
        assert output(ended(run)) == 50
        kinds(run)


def test_cancelling_a_running_run_ends_it(host: Host) -> None:
    run = start("stays")
    assert agents.STARTED.acquire(timeout=15)

    services.cancel_run(run=run, actor="test", by_operator=True)

    assert (ended(run).status, run.stop_reason) == ("cancelled", "cancelled_by_operator")
    kinds(run)


def test_a_once_tool_that_acts_is_not_cut_by_a_cancel(host: Host) -> None:
    run = start("acts")
    assert agents.STARTED.acquire(timeout=15)
    services.cancel_run(run=run, actor="test", by_operator=True)
    eventually(lambda: not host._executions[run.pk].live)
    agents.GO_ON.set()

    ended(run)

    assert run.status == "cancelled"
    assert kinds(run)[-2:] == ["step.completed", "run.cancelled"]


def test_a_drain_gives_runs_back_and_another_worker_goes_on(
    host: Host, make_host: Callable[..., Host]
) -> None:
    waiting = start("stays")
    assert agents.STARTED.acquire(timeout=15)
    host.begin_drain()
    eventually(lambda: host.draining)
    agents.GO_ON.set()

    assert host.stop() is True
    waiting.refresh_from_db()
    assert waiting.status == "queued"
    assert Worker.objects.get(pk=host.keeper.worker).exited_at is not None
    make_host()
    assert output(ended(waiting)) == "stayed"
    assert kinds(waiting).count("step.completed") == 2


def test_a_worker_declared_dead_lets_go_and_begins_anew(host: Host) -> None:
    run = start("stays")
    assert agents.STARTED.acquire(timeout=15)
    before = host.keeper.worker

    Worker.objects.filter(pk=before).update(state="dead")

    eventually(lambda: host.keeper.worker != before)
    agents.GO_ON.set()
    assert output(ended(run)) == "stayed"
    kinds(run)


def test_a_step_cut_short_after_it_was_announced_is_done_again(host: Host) -> None:
    run = start("stays")
    assert agents.STARTED.acquire(timeout=15)
    eventually(lambda: Journal.objects.filter(run=run, kind="step.started").exists())

    Worker.objects.filter(pk=host.keeper.worker).update(state="dead")
    assert agents.STARTED.acquire(timeout=15)
    eventually(lambda: Journal.objects.filter(run=run, kind="step.started").count() == 2)
    agents.GO_ON.set()

    assert output(ended(run)) == "stayed"
    assert Journal.objects.filter(run=run, kind="step.started").count() == 2
    kinds(run)


def test_a_claim_whose_answer_was_lost_is_given_back(host: Host) -> None:
    run = start("counts", steps=1)
    Run.objects.filter(pk=run.pk).update(ready_at=timezone.now() + timedelta(hours=1))
    ended(start("counts", steps=1))

    Run.objects.filter(pk=run.pk, status="queued").update(
        status="running", worker=host.keeper.worker, epoch=7
    )

    assert output(ended(run)) == 0


def test_a_run_whose_agent_nobody_here_knows_waits(host: Host) -> None:
    later = timezone.now() + timedelta(hours=1)
    run = services.start_run(
        agent="counts", input={"steps": 1}, owner=None, started_by="test", ready_at=later
    ).run
    Run.objects.filter(pk=run.pk).update(agent="elsewhere", ready_at=timezone.now())
    stands_at(run, "waiting", "timer")
    assert "no worker with elsewhere" in run.waiting_detail


def test_a_run_without_an_agent_is_offered_ever_more_seldom(host: Host) -> None:
    run = factories.run(agent="elsewhere", queue="default")
    waits = []
    for _ in range(4):
        stands_at(run, "waiting", "timer")
        assert run.ready_at is not None
        waits.append((run.ready_at - run.status_at).total_seconds())
        Run.objects.filter(pk=run.pk).update(
            status="queued", waiting_for="", ready_at=timezone.now()
        )
        host.ring()
        eventually(lambda: Journal.objects.filter(run=run, kind="run.waiting").count() > len(waits))
    for n, seconds in enumerate(waits):
        assert 0.45 <= seconds / (DEFER_SECONDS * 2**n) <= 1.55


def test_a_worker_that_knows_the_agent_takes_what_waited_for_one(host: Host) -> None:
    waits = factories.run(
        agent="counts", queue="default", status="waiting", waiting_for="timer",
        waiting_detail="no worker with counts", ready_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    host.keeper.register()
    waits.refresh_from_db()
    assert waits.ready_at is not None
    assert waits.ready_at <= timezone.now()


def test_an_input_nobody_can_read_parks_its_run_only(host: Host) -> None:
    bad = start("sleeps", seconds=2)
    stands_at(bad, "waiting", "timer")
    RunPayload.objects.filter(run=bad).update(input=b"\x00broken")
    good = start("counts", steps=1)

    assert ended(good).status == "succeeded"
    stands_at(bad, "waiting", "operator")
    assert bad.waiting_detail == "payload"


def test_a_tool_in_its_own_process_is_killed_at_its_time(host: Host) -> None:
    good, bad = start("isolated", seconds=0), start("isolated", seconds=60)

    assert isinstance(output(ended(good)), int)
    assert (ended(bad).status, bad.stop_reason) == ("failed", "timeout")


def test_a_worker_that_cannot_start_says_why(make_host: Callable[..., Host]) -> None:
    with pytest.raises(ValueError, match="redis"):
        make_host(redis_url="nonsense://")
