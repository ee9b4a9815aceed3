"""A worker dies around an effect of class ``once``: it happens once, or somebody is asked."""

from __future__ import annotations

import pytest

from runs.engine import store
from runs.engine.store import Verdict
from tests.crash.plant import Plant, until
from tests.crash.runs import Seen, start
from tests.crash.victims import dies

pytestmark = pytest.mark.crash


def say_it_did_not_happen(run: Seen) -> None:
    """As soon as that can no longer change."""

    def said() -> bool:
        try:
            run.settle("pay#1", Verdict.DID_NOT_HAPPEN)
        except store.InQuarantine:
            return False
        return True

    until(said, "the quarantine is over")


def test_death_before_the_intent_means_that_nothing_happened(plant: Plant) -> None:
    run = dies(plant, "effect.before_intent/pay:1:exit", "pay")
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1
    assert len(run.of_kind("step.intended")) == 1


def test_death_between_intent_and_effect_asks_and_then_runs_it_once(plant: Plant) -> None:
    run = dies(plant, "effect.before/pay:1:exit", "pay").until_waiting("uncertain:pay#1")
    assert plant.world.count("pay ") == 0
    say_it_did_not_happen(run)
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1
    assert [row["n"] for row in run.of_kind("step.intended")] == [1, 2]


def test_death_between_effect_and_record_asks_and_never_runs_it_again(plant: Plant) -> None:
    run = dies(plant, "effect.after/pay:1:exit", "pay", "look").until_waiting("uncertain:pay#1")
    assert plant.world.count("pay ") == 1
    run.settle("pay#1", Verdict.HAPPENED, "paid, says the bank")
    run.succeeded(["paid, says the bank", "look"])
    assert plant.world.count("pay ") == 1


def test_verify_settles_what_did_not_happen(plant: Plant) -> None:
    run = dies(plant, "effect.before/pay_checked:1:exit", "pay_checked")
    run.succeeded(["pay_checked"])
    assert plant.world.count("pay_checked ") == 1


def test_verify_settles_what_happened(plant: Plant) -> None:
    run = dies(plant, "effect.after/pay_checked:1:exit", "pay_checked")
    run.succeeded(["paid"])
    assert plant.world.count("pay_checked ") == 1


def test_death_with_the_intent_on_its_way_is_settled_either_way(plant: Plant) -> None:
    """The rows were sent and nobody heard whether they came through."""
    run = dies(plant, "writer.after_send/append:2:exit", "pay")
    until(
        lambda: run.status in {"succeeded", "waiting"} and run.status != "queued",
        "the run ends or asks",
    )
    if run.status == "waiting":
        assert plant.world.count("pay ") == 0
        say_it_did_not_happen(run)
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1


def test_a_second_answer_is_refused_and_the_first_one_stands(plant: Plant) -> None:
    run = dies(plant, "effect.after/pay:1:exit", "pay").until_waiting("uncertain:pay#1")
    run.settle("pay#1", Verdict.HAPPENED, "first")
    with pytest.raises((store.NotUncertain, store.RunIsBusy, store.RunIsFinal)):
        run.settle("pay#1", Verdict.DID_NOT_HAPPEN)
    run.succeeded(["first"])
    assert plant.world.count("pay ") == 1


def test_a_message_sent_twice_or_too_late_changes_nothing(plant: Plant) -> None:
    plant.stayer()
    run = start(plant, "listener").until_waiting("answer")
    assert run.signal("answer", "yes", "mail-1") is True
    assert run.signal("answer", "no", "mail-1") in {False, None}
    run.succeeded("yes")
    assert run.signal("answer", "late", "mail-2") is None
