"""Whatever several workers do in whatever order, the record stays whole.

The workers are fakes; what they say to PostgreSQL is what real ones say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentops.sdk import catalog
from runs import services
from runs.engine import statements, store
from runs.engine.statements import Statement
from runs.models import Inbox, Journal, Run, RunPayload, Worker
from tests.runs.fake_worker import FakeWorker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
WORKERS = 3
AGENT = "echo"


@dataclass
class Held:
    """A run as a worker believes to hold it."""

    epoch: int
    seq: int
    seen: int


@dataclass
class Fake:
    """A worker process. ``held`` may be out of date: that is what the fence is for."""

    row: Worker
    held: dict[int, Held] = field(default_factory=dict)


def say(statement: Statement, *values: object) -> list[tuple[Any, ...]]:
    """Send a worker's statement over Django's connection."""
    connection.ensure_connection()
    cursor = psycopg.RawCursor(connection.connection)
    cursor.execute(statement.sql.decode(), values)
    return cursor.fetchall() if cursor.description else []


class Engine(RuleBasedStateMachine):
    """Random workers, crashes, signals, sweeps and operators on one database."""

    def __init__(self) -> None:
        super().__init__()
        self._keys = itertools.count(1)
        self.workers: list[Fake] = []
        self.seen_at_suspend: dict[int, int] = {}

    @initialize()
    def begin(self) -> None:
        for model in (Journal, Inbox, RunPayload, Run, Worker):
            model.objects.all().delete()
        self.workers = [Fake(FakeWorker.born().row) for _ in range(WORKERS)]

    # -- what happens -----------------------------------------------------------------------

    @rule()
    def an_app_starts_a_run(self) -> None:
        if Run.objects.count() < 4:
            services.start_run(agent=AGENT, input={"ticket": "t"}, owner=None, started_by="test")

    @rule(who=st.integers(0, WORKERS - 1))
    def a_worker_claims(self, who: int) -> None:
        worker = self.workers[who]
        for row in say(statements.CLAIM, "default", 2, worker.row.pk):
            worker.held[row[0]] = Held(epoch=row[2], seq=row[7], seen=row[6])

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data())
    def a_worker_records_a_step(self, data: st.DataObject) -> None:
        worker, run = self._some_held(data)
        held = worker.held[run]
        rows = self._append(run, held, f"step#{next(self._keys)}")
        if rows:
            held.seq += 1
        else:
            assert not self._owns(worker, run), "a row of the owner was refused"
            del worker.held[run]

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data())
    def a_worker_records_the_same_step_again(self, data: st.DataObject) -> None:
        """As after an answer that was lost: nothing is written twice."""
        worker, run = self._some_held(data)
        held = worker.held[run]
        key = f"step#{next(self._keys)}"
        if self._append(run, held, key):
            assert self._append(run, held, key) == []
            held.seq += 1
            assert Journal.objects.filter(run_id=run, key=key).count() == 1
        else:
            del worker.held[run]

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data(), look=st.booleans())
    def a_worker_suspends(self, data: st.DataObject, look: bool) -> None:
        worker, run = self._some_held(data)
        held = worker.held.pop(run)
        seen = Run.objects.get(pk=run).signal_seq if look else held.seen
        moved = say(
            statements.SUSPEND, [run], [held.epoch], ["waiting"], ["event"], [""], [None], [seen],
            [held.seq + 1], ["1"], [0], [0], [0], [""], [None],
        )  # fmt: skip
        if moved and moved[0][1] == "waiting":
            self.seen_at_suspend[run] = seen

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data())
    def a_worker_finishes(self, data: st.DataObject) -> None:
        worker, run = self._some_held(data)
        owned = self._owns(worker, run)
        held = worker.held.pop(run)
        done = say(
            statements.FINISH, [run], [held.epoch], ["succeeded"], ["completed"], [held.seq + 1],
            ["{}"], [0], [b"1"], [None], [None], [None], [None], [""], ["1"], [1], [0], [0], [""],
            [run],
        )  # fmt: skip
        assert bool(done) == owned, "a run is finished by its owner and by nobody else"

    @precondition(lambda self: Run.objects.exists())
    @rule(data=st.data())
    def somebody_signals(self, data: st.DataObject) -> None:
        run = self._some_run(data)
        if not run.is_final:
            services.signal_run(run=run, name="go", payload=1, sender="test")

    @precondition(lambda self: Run.objects.exists())
    @rule(data=st.data())
    def an_operator_cancels(self, data: st.DataObject) -> None:
        services.cancel_run(run=self._some_run(data), actor="test", by_operator=True)

    @rule(who=st.integers(0, WORKERS - 1), forgets=st.booleans())
    def a_worker_dies_and_another_is_born(self, who: int, forgets: bool) -> None:
        """``forgets`` is a crash; otherwise it was frozen and goes on believing."""
        dead = self.workers[who]
        Worker.objects.filter(pk=dead.row.pk).update(state="dead")
        with transaction.atomic(), connection.cursor() as cursor:
            store.reclaim(cursor, grace_seconds=5, crash_limit=1000)
        believed = {} if forgets else dead.held
        self.workers[who] = Fake(FakeWorker.born().row, believed)

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data())
    def a_frozen_worker_wakes_after_a_takeover(self, data: st.DataObject) -> None:
        """It writes what it has at once, before the new owner wrote anything."""
        zombie, run = self._some_held(data)
        self.a_worker_dies_and_another_is_born(self.workers.index(zombie), forgets=False)
        heir = data.draw(st.integers(0, WORKERS - 1))
        before = dict(zombie.held)
        self.workers[heir].held = {}
        self.a_worker_claims(heir)
        rows = self._append(run, before[run], f"step#{next(self._keys)}")
        assert rows == [], "a frozen worker wrote to a run it had lost"

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def numbers_are_dense_and_epochs_never_go_back(self) -> None:
        for run in Run.objects.all():
            rows = list(Journal.objects.filter(run=run).order_by("seq").values_list("seq", "epoch"))
            assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
            epochs = [epoch for _, epoch in rows]
            assert epochs == sorted(epochs), "an old owner wrote after a new one"

    @invariant()
    def every_run_can_go_on(self) -> None:
        for run in Run.objects.select_related("worker"):
            if run.status == "running":
                assert run.worker is not None
                assert run.worker.state == "alive"
            elif run.status == "queued":
                assert run.ready_at is not None
            elif run.status == "waiting":
                assert run.waiting_for

    @invariant()
    def no_wake_up_is_lost(self) -> None:
        for run in Run.objects.filter(status="waiting", waiting_for="event"):
            assert run.signal_seq <= self.seen_at_suspend[run.pk], "a signal nobody saw"

    # -- helpers --------------------------------------------------------------------------------

    def _append(self, run: int, held: Held, key: str) -> list[tuple[Any, ...]]:
        return say(
            statements.APPEND, [run], [held.epoch], [key], [1], [0], [held.seq + 1],
            ["step.completed"], ["step"], ["step"], [0], [b"1"], [None], [None], ["{}"], [None],
            [Run.objects.get(pk=run).created_at], [run],
        )  # fmt: skip

    def _owns(self, worker: Fake, run: int) -> bool:
        held = worker.held[run]
        return Run.objects.filter(pk=run, status="running", epoch=held.epoch).exists()

    def _some_held(self, data: st.DataObject) -> tuple[Fake, int]:
        worker = data.draw(st.sampled_from([w for w in self.workers if w.held]))
        return worker, data.draw(st.sampled_from(sorted(worker.held)))

    def _some_run(self, data: st.DataObject) -> Run:
        return data.draw(st.sampled_from(list(Run.objects.order_by("pk"))))


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog()
    catalog.configure(("tests.runs.agents",))
    yield
    catalog._catalog = before


def test_any_order_of_events_keeps_the_record_whole() -> None:
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
