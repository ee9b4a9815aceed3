"""A worker dies before, in or after steps that may be repeated, or that need not be."""

from __future__ import annotations

import pytest

from tests.crash.plant import Plant, until
from tests.crash.runs import Seen, start
from tests.crash.victims import QUEUE, dies, holds

pytestmark = pytest.mark.crash


def killed(plant: Plant, agent: str, trace: str, **given: object) -> Seen:
    """The worker is killed in the middle of the step that left this trace."""
    run, victim = holds(plant, agent, trace, **given)
    victim.kill()
    plant.world.open("g")
    return run.move_to("default")


def test_death_before_the_first_step_costs_a_lease(plant: Plant) -> None:
    run = dies(plant, "writer.after_commit/claim:1:exit", "look")
    run.succeeded(["look"])
    assert run.row["epoch"] >= 3
    assert plant.world.count("look ") == 1


def test_death_in_a_read_calls_it_again(plant: Plant) -> None:
    """A model call is a read: the same rule, at the cost of another call."""
    run = killed(plant, "clerk", "enter look", steps=["look!"], gate="g")
    run.succeeded(["look"])
    assert (plant.world.count("enter look"), plant.world.count("look ")) == (2, 1)


def test_death_after_an_idempotent_call_repeats_it_with_the_same_key(plant: Plant) -> None:
    run = dies(plant, "effect.after/post:1:exit", "post")
    run.succeeded(["post"])
    assert plant.world.effects()[f"post {run.public_id}/post#1"] == 2


def test_death_inside_a_transaction_leaves_nothing_of_it(plant: Plant) -> None:
    run = killed(plant, "clerk", "enter book", steps=["book!"], gate="g")
    run.succeeded(["booked"])
    assert plant.value("SELECT count(*) FROM ledger") == 1
    assert plant.world.count("enter book") == 2


def test_death_after_the_commit_of_a_transaction_does_not_repeat_it(plant: Plant) -> None:
    run = dies(plant, "effect.after/book:1:exit", "book", "look")
    run.succeeded(["booked", "look"])
    assert plant.value("SELECT count(*) FROM ledger") == 1
    assert plant.world.count("enter book") == 1


def test_death_after_the_record_goes_on_from_it(plant: Plant) -> None:
    given = {"steps": ["pay", "post", "look!"], "gate": "g"}
    run = killed(plant, "clerk", "enter look", **given)
    run.succeeded(["pay", "post", "look"])
    assert (plant.world.count("pay "), plant.world.count("post ")) == (1, 1)


def test_a_plain_function_goes_on_from_its_record_too(plant: Plant) -> None:
    run, victim = holds(plant, "plain-clerk", "look ", gate="g")
    until(lambda: plant.world.count("enter look") == 2, "the second look begins")
    victim.kill()
    plant.world.open("g")
    run.move_to("default").succeeded(["look", "look", "pay"])
    assert (plant.world.count("look "), plant.world.count("pay ")) == (2, 1)


@pytest.mark.parametrize("moment", ["before_send", "after_send", "after_commit"])
def test_death_while_the_end_is_written_ends_the_run_once(plant: Plant, moment: str) -> None:
    run = dies(plant, f"writer.{moment}/finish:1:exit", "look")
    run.succeeded(["look"])
    assert plant.world.count("look ") == 1


@pytest.mark.parametrize("moment", ["before_send", "after_send"])
def test_death_while_going_to_sleep_wakes_all_the_same(plant: Plant, moment: str) -> None:
    run = dies(plant, f"writer.{moment}/suspend:1:exit", "look", "sleep")
    run.succeeded(["look", "sleep"])
    assert plant.world.count("look ") == 1


def test_a_run_that_kills_every_worker_is_parked(plant: Plant) -> None:
    run = start(plant, "clerk", queue=QUEUE, steps=["look"])
    for _ in range(3):
        worker = plant.worker(queue=QUEUE, faults="effect.before/look:1:exit")
        assert worker.wait() == 137, worker.said
    plant.stayer()
    run.until_waiting("crash_loop")
    run.check()
