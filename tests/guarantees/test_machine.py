"""Random histories of several workers, senders and operators on the real statements."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
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

from agentops.execution.port import Suspended
from agentops.execution.records import Phase
from agentops.sdk.codec import NULL, encode
from runs.engine import store
from runs.engine.store import NewRun, Verdict
from runs.models import Run, StopReason
from tests.guarantees.fake import QUEUE, Worker
from tests.runs.fake_worker import connect

FINAL = ("succeeded", "failed", "cancelled", "expired")
MOST_RUNS = 2
WORKERS = 3
pick = st.integers(0, 999)


class Histories(RuleBasedStateMachine):
    """Any interleaving of claims, rows, effects, deaths, freezes, signals, cancels and answers.

    A frozen worker is one that is not chosen for a while; when it is, it still believes in what it
    held.
    """

    @initialize()
    def begin(self) -> None:
        self.db = connect()
        self.db.execute("TRUNCATE run, run_payload, journal, inbox, worker CASCADE")
        self.workers = [Worker() for _ in range(WORKERS)]
        self.effects: Counter[int] = Counter()
        self.slept_at: dict[int, int] = {}
        # By run: the epoch of its newest owner and the last number that owner read.
        self.loaded: dict[int, tuple[int, int]] = {}
        self.rows: list[Any] = []
        for _ in range(MOST_RUNS):
            self.start()

    def teardown(self) -> None:
        if not hasattr(self, "db"):
            return
        try:
            self._settle_everything()
        finally:
            for worker in self.workers:
                worker.exit()
            self.db.close()

    # -- choosing

    def _worker(self, choice: int) -> Worker:
        return self.workers[choice % len(self.workers)]

    def _held(self, choice: int) -> tuple[Worker, int] | None:
        pairs = [(worker, run) for worker in self.workers for run in sorted(worker.runs)]
        return pairs[choice % len(pairs)] if pairs else None

    def _run(self, choice: int) -> int:
        newest = self.db.execute("SELECT id FROM run ORDER BY id DESC LIMIT 3").fetchall()
        runs = [row[0] for row in newest]
        return int(runs[choice % len(runs)])

    def _live(self) -> int:
        return sum(row[1] not in FINAL for row in self.rows)

    def _some_run(self) -> bool:
        return bool(self.db.execute("SELECT 1 FROM run LIMIT 1").fetchall())

    def _believes(self) -> bool:
        return any(worker.runs for worker in self.workers)

    # -- from outside

    @precondition(lambda self: self._live() < MOST_RUNS)
    @rule()
    def start(self) -> None:
        new = NewRun(
            agent="a", agent_version="", input=NULL, input_digest=b"", owner_id=None,
            started_by="test", queue=QUEUE,
        )  # fmt: skip
        with self.db.cursor() as cursor:
            assert store.start(cursor, new) is not None

    @precondition(_some_run)
    @rule(choice=pick)
    def signal(self, choice: int) -> None:
        self._tell(self._run(choice), "go", None)

    def _tell(self, run: int, name: str, dedup: str | None) -> None:
        with self.db.transaction(), self.db.cursor() as cursor:
            store.signal(cursor, run_id=run, name=name, payload=NULL, sender="s", dedup_key=dedup)

    @precondition(_some_run)
    @rule(choice=pick, meant=st.integers(0, 3))
    def cancel(self, choice: int, meant: int) -> None:
        if meant:
            return
        ending = store.cancellation(StopReason.CANCELLED_BY_USER)
        with self.db.transaction(), self.db.cursor() as cursor:
            store.cancel(cursor, [self._run(choice)], ending)

    @precondition(lambda self: self.rows and self._live() < MOST_RUNS)
    @rule(choice=pick, at=pick)
    def fork(self, choice: int, at: int) -> None:
        source = Run(pk=self._run(choice), public_id="run_source")
        new = NewRun(
            agent="a", agent_version="", input=NULL, input_digest=b"", owner_id=None,
            started_by="test", queue=QUEUE, forked_from_id=source.pk, forked_at_seq=1,
        )  # fmt: skip
        with (
            suppress(store.NoSuchEvent),
            self.db.transaction(),
            self.db.cursor() as cursor,
        ):
            store.fork(cursor, source, new, at_seq=1 + at % 8, by="test")

    @precondition(_some_run)
    @rule()
    def sweep(self) -> None:
        with self.db.transaction(), self.db.cursor() as cursor:
            store.reclaim(cursor, grace_seconds=5, crash_limit=50)

    @rule(choice=pick)
    def silence(self, choice: int) -> None:
        """The lease of a worker ends; the worker does not know yet."""
        self.db.execute("UPDATE worker SET state = 'dead' WHERE id = %s", [self._worker(choice).id])

    @rule(choice=pick)
    def crash(self, choice: int) -> None:
        """A process dies, is seen to be gone, and another one starts."""
        worker = self._worker(choice)
        worker.exit()
        self.db.execute(
            "UPDATE worker SET state = 'dead', exited_at = now() WHERE id = %s", [worker.id]
        )
        self.workers[self.workers.index(worker)] = Worker()

    # -- workers

    @precondition(_some_run)
    @rule(choice=pick, room=st.integers(1, 2))
    def claim(self, choice: int, room: int) -> None:
        self._claim(self._living(choice), room)

    def _living(self, choice: int) -> Worker:
        """A worker whose lease lives; one that lost it and holds nothing registers anew."""
        worker = self._worker(choice)
        dead = self.db.execute(
            "SELECT 1 FROM worker WHERE id = %s AND state = 'dead'", [worker.id]
        ).fetchall()
        if dead and not worker.runs:
            worker.exit()
            place = self.workers.index(worker)
            worker = self.workers[place] = Worker()
        return worker

    def _claim(self, worker: Worker, room: int) -> list[int]:
        taken = worker.claim(room)
        for run in taken:
            self.loaded[run] = (worker.runs[run].claim.epoch, worker.runs[run].seq)
        return taken

    @precondition(_believes)
    @rule(choice=pick, other=pick)
    def take_over(self, choice: int, other: int) -> None:
        """A worker is declared dead and another one takes its runs; the first still believes."""
        worker, _ = self._held(choice) or (None, 0)
        assert worker is not None
        self.db.execute("UPDATE worker SET state = 'dead' WHERE id = %s", [worker.id])
        self.sweep()
        self._claim(self._living(other), 2)

    @precondition(_believes)
    @rule(choice=pick)
    def signal_one_that_runs(self, choice: int) -> None:
        _, run = self._held(choice) or (None, 0)
        self._tell(run, "go", None)

    @precondition(_believes)
    @rule(choice=pick)
    def step(self, choice: int) -> None:
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        worker.append(run, f"look#{len(held.outcomes) + 1}", Phase.OUTCOME)

    @precondition(_believes)
    @rule(choice=pick)
    def promise(self, choice: int) -> None:
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        if held.pay in held.outcomes or held.cancelled:
            return
        if held.open_intent and not held.acting:
            self._settle_or_ask(worker, run)
        elif not held.acting:
            worker.promise(run)

    def _settle_or_ask(self, worker: Worker, run: int) -> None:
        held = worker.runs[run]
        if held.open_intent in held.settled:
            if worker.append(run, held.pay, Phase.OUTCOME):
                held.open_intent = 0
        else:
            worker.suspend(run, Suspended("operator", f"uncertain:{held.pay}", None, held.seen))

    @precondition(_believes)
    @rule(choice=pick)
    def act(self, choice: int) -> None:
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        if held.acting and not held.acted:
            self.effects[run] += 1
            held.acted = held.acting

    @precondition(_believes)
    @rule(choice=pick)
    def record(self, choice: int) -> None:
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        if held.acted and not worker.append(run, held.pay, Phase.OUTCOME):
            name = f"settled:{held.pay}:{held.acted}"
            self._tell(run, name, name)
        elif held.acted:
            held.acting = held.acted = held.open_intent = 0

    @precondition(_believes)
    @rule(choice=pick)
    def fail(self, choice: int) -> None:
        """The tool refuses without having acted, for good; the run will fail with it."""
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        error = {"code": "tool_error", "message": "no"}
        if (
            held.acting
            and not held.acted
            and worker.append(run, held.pay, Phase.OUTCOME, error=error)
        ):
            held.acting = held.open_intent = 0
            held.failed = True

    @precondition(_believes)
    @rule(choice=pick)
    def fail_and_go_on(self, choice: int) -> None:
        """The payment fails for good, the run with it, and somebody retries the failure."""
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        if held.pay in held.outcomes or held.open_intent or held.cancelled:
            return
        error = {"code": "tool_error", "message": "no"}
        if not worker.promise(run) or not worker.append(run, held.pay, Phase.OUTCOME, error=error):
            return
        held.failed, held.acting, held.open_intent = True, 0, 0
        if worker.finish(run):
            self._reopen(run)

    @precondition(_believes)
    @rule(choice=pick, why=st.sampled_from(["event", "timer", "given back"]))
    def suspend(self, choice: int, why: str) -> None:
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        held = worker.runs[run]
        if held.acting:
            return
        now = datetime.now(UTC)
        endings = {
            "event": Suspended("event", "go", None, 0),
            "timer": Suspended("timer", "", now, 0),
            "given back": None,
        }
        if worker.suspend(run, endings[why]) == "waiting":
            self.slept_at[run] = held.seen

    @precondition(_believes)
    @rule(choice=pick, meant=st.integers(0, 2))
    def finish(self, choice: int, meant: int) -> None:
        if meant:
            return
        worker, run = self._held(choice) or (None, 0)
        assert worker is not None
        if not worker.runs[run].acting and not worker.runs[run].open_intent:
            worker.finish(run)

    # -- people

    @precondition(_some_run)
    @rule(choice=pick)
    def settle(self, choice: int) -> None:
        self._answer(self._run(choice))

    def _answer(self, run: int) -> None:
        """First whether the old attempt is over, then what the world says: see the model."""
        intents = self.db.execute(
            "SELECT i.key, i.n FROM journal i WHERE i.run_id = %s AND i.phase = 0"
            " ORDER BY i.seq DESC LIMIT 1",
            [run],
        ).fetchall()
        if not intents:
            return
        verdict = Verdict.HAPPENED if self.effects[run] else Verdict.DID_NOT_HAPPEN
        key, attempt = intents[0]
        said = store.Settlement(key, verdict, "test", encode("done"), attempt=attempt)
        refusals = (store.InQuarantine, store.NotUncertain, store.RunIsBusy, store.RunIsFinal)
        with suppress(*refusals), self.db.transaction(), self.db.cursor() as cursor:
            store.settle(cursor, run, said, grace_seconds=5)

    @precondition(_some_run)
    @rule(choice=pick)
    def pause(self, choice: int) -> None:
        with self.db.transaction(), self.db.cursor() as cursor:
            store.pause(cursor, self._run(choice), by="test")

    @precondition(_some_run)
    @rule(choice=pick)
    def resume(self, choice: int) -> None:
        self._resume(self._run(choice))

    def _resume(self, run: int) -> None:
        refusals = (store.RunIsFinal, store.NotParked, store.NeedsSettlement)
        with suppress(*refusals), self.db.transaction(), self.db.cursor() as cursor:
            store.resume(cursor, run, by="test")

    @precondition(_some_run)
    @rule(choice=pick)
    def reopen(self, choice: int) -> None:
        """A run that failed goes on; others refuse."""
        self._reopen(self._run(choice))

    def _reopen(self, run: int) -> None:
        refusals = (store.NotFailed, store.NotRetriable)
        with suppress(*refusals), self.db.transaction(), self.db.cursor() as cursor:
            store.reopen(cursor, run, by="test")

    # -- what must always hold

    @invariant()
    def promises(self) -> None:
        if hasattr(self, "db"):
            self.look()
            self.no_effect_happens_twice()
            self.journals_are_sound()
            self.nothing_sleeps_through_a_message()
            self.every_run_can_go_on()

    def look(self) -> None:
        self.rows = self.db.execute(
            "SELECT id, status, waiting_for, ready_at, signal_seq, worker_id, cancel_requested_at"
            " FROM run ORDER BY id"
        ).fetchall()

    def no_effect_happens_twice(self) -> None:
        assert all(times <= 1 for times in self.effects.values())

    def journals_are_sound(self) -> None:
        for row in self.rows:
            lines = self.db.execute(
                "SELECT seq, epoch, key, phase, kind, meta->'again' FROM journal"
                " WHERE run_id = %s ORDER BY seq",
                [row[0]],
            ).fetchall()
            assert [line[0] for line in lines] == list(range(1, len(lines) + 1)), lines
            epochs = [line[1] for line in lines]
            assert epochs == sorted(epochs), lines
            outcomes = [line[2] for line in lines if line[3] == 1]
            assert len(outcomes) == len(set(outcomes)), lines
            epoch, read = self.loaded.get(row[0], (0, 0))
            assert all(line[1] >= epoch for line in lines if line[0] > read), (epoch, read, lines)
            ends = [n for n, line in enumerate(lines) if line[4].removeprefix("run.") in FINAL]
            over = [n for n in ends if n == len(lines) - 1]
            assert over == ([len(lines) - 1] if row[1] in FINAL else []), lines
            # An end before the last line is a failure after which the run went on at once.
            later = [lines[n + 1][4] for n in ends if n not in over]
            assert all(kind == "run.reopened" for kind in later), lines
            # What is asked for again has a key that nothing was recorded under by then.
            for n, line in enumerate(lines):
                before = {earlier[2] for earlier in lines[:n]}
                assert before.isdisjoint((line[5] or {}).values()), lines

    def nothing_sleeps_through_a_message(self) -> None:
        for run, status, waiting_for, _, counter, _, cancelled in self.rows:
            if status == "waiting" and waiting_for in {"event", "timer"}:
                assert counter <= self.slept_at[run], "a message came and the run sleeps"
                assert cancelled is None

    def every_run_can_go_on(self) -> None:
        for run, status, waiting_for, ready_at, _, worker, _ in self.rows:
            can = {
                "queued": ready_at is not None,
                "running": worker is not None,
                "waiting": ready_at is not None or waiting_for in {"event", "operator"},
            }
            assert status in FINAL or can[status], (run, status)

    def _settle_everything(self) -> None:
        """Whatever has happened: with workers that live and people who answer, all runs end."""
        for worker in self.workers:
            worker.exit()
        self.db.execute("UPDATE worker SET state = 'dead', exited_at = now()")
        self.workers = [Worker()]
        for _ in range(12):
            self.sweep()
            # Time passes: back-offs are over.
            self.db.execute("UPDATE run SET ready_at = now() WHERE ready_at > now()")
            self._finish_what_is_there(self.workers[0])
            self.look()
            left = [row for row in self.rows if row[1] not in FINAL]
            for row in left:
                if row[2] == "operator":
                    self._answer(row[0])
                    self._resume(row[0])
                self._tell(row[0], "go", None)
        assert not left, left
        self.journals_are_sound()
        self.no_effect_happens_twice()

    def _finish_what_is_there(self, worker: Worker) -> None:
        while self._claim(worker, 9):
            for run in list(worker.runs):
                held = worker.runs[run]
                if held.open_intent and not held.cancelled:
                    self._settle_or_ask(worker, run)
                if run in worker.runs:
                    assert worker.finish(run)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300)
def test_random_histories_keep_every_promise() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
