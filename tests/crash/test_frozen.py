"""A frozen worker wakes up after others took its runs."""

from __future__ import annotations

import signal

import pytest

from runs.engine import store
from runs.engine.store import Verdict
from tests.crash.plant import Plant, until
from tests.crash.runs import start
from tests.crash.victims import QUEUE, freezes, holds

pytestmark = pytest.mark.crash


def test_an_effect_finished_after_the_takeover_settles_itself(plant: Plant) -> None:
    run, victim = freezes(plant, "effect.before/pay:1:stop", "pay")
    run.until_waiting("uncertain:pay#1")
    with pytest.raises(store.InQuarantine):
        run.settle("pay#1", Verdict.DID_NOT_HAPPEN)
    victim.send(signal.SIGCONT)
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1
    assert run.journal[-2]["kind"] in {"step.completed", "step.settled"}


def test_an_attempt_that_wakes_before_its_last_look_does_not_act(plant: Plant) -> None:
    run, victim = freezes(plant, "effect.after_intent/pay:1:stop", "pay")
    run.until_waiting("uncertain:pay#1")
    victim.send(signal.SIGCONT)
    until(lambda: (plant.id_of(victim) or 0) > 0 and "lost_lease" in victim.said, "it notices")
    assert plant.world.count("pay ") == 0
    victim.kill()

    def said() -> bool:
        try:
            run.settle("pay#1", Verdict.DID_NOT_HAPPEN)
        except store.InQuarantine:
            return False
        return True

    until(said, "the worker is seen to be gone")
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1


def test_what_a_zombie_writes_is_refused(plant: Plant) -> None:
    run, victim = freezes(plant, "writer.before_send/append:2:stop", "look", "post")
    run.succeeded(["look", "post"])
    before = run.journal
    victim.send(signal.SIGCONT)
    until(lambda: "lost_lease" in victim.said, "the zombie notices")
    assert run.journal == before
    run.check()


def test_a_thawed_worker_works_again(plant: Plant) -> None:
    _, victim = freezes(plant, "effect.before/look:1:stop", "look")
    victim.send(signal.SIGCONT)
    start(plant, "clerk", queue=QUEUE, steps=["look"]).succeeded(["look"])
    assert victim.process.poll() is None


def test_a_worker_frozen_inside_a_transaction_does_not_lock_the_run_for_ever(plant: Plant) -> None:
    given = {"steps": ["book!"], "gate": "g"}
    run, victim = holds(plant, "clerk", "enter book", **given)
    victim.send(signal.SIGSTOP)
    plant.world.open("g")
    run.move_to("default").succeeded(["booked"])
    victim.send(signal.SIGCONT)
    until(lambda: "lost_lease" in victim.said, "the zombie notices")
    until(
        lambda: (
            not plant.rows("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        ),
        "its transaction is over",
    )
    assert plant.value("SELECT count(*) FROM ledger") == 1
    run.check()
