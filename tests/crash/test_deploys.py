"""Workers are stopped in good order, and code changes under runs that have begun."""

from __future__ import annotations

import signal

import pytest

from tests.crash.plant import Plant, until
from tests.crash.victims import QUEUE, holds

pytestmark = pytest.mark.crash


def test_a_worker_told_to_stop_ends_its_step_and_hands_the_run_over(plant: Plant) -> None:
    given = {"steps": ["pay!", "look"], "gate": "g"}
    run, victim = holds(plant, "clerk", "enter pay", **given)
    victim.send(signal.SIGTERM)
    until(lambda: "draining" in victim.said, "it drains")
    plant.world.open("g")
    assert victim.wait() == 0, victim.said
    run.move_to("default").succeeded(["pay", "look"])
    assert plant.world.count("pay ") == 1
    assert run.of_kind("step.uncertain") == []


def test_a_worker_that_cannot_end_its_step_in_time_leaves_all_the_same(plant: Plant) -> None:
    given = {"steps": ["look!"], "gate": "g"}
    run, victim = holds(plant, "clerk", "enter look", **given)
    victim.send(signal.SIGTERM)
    victim.wait()
    plant.world.open("g")
    run.move_to("default").succeeded(["look"])


def test_changed_code_parks_the_run_and_says_where(plant: Plant) -> None:
    run, victim = holds(plant, "changing", "enter look", gate="g")
    until(lambda: plant.world.count("enter look") == 2, "the first step is recorded")
    victim.kill()
    plant.world.open("g")
    plant.worker(queue=QUEUE, AGENTOPS_TEST_RELEASE="2")
    run.until_waiting("code_changed")
    (diverged,) = run.of_kind("run.diverged")
    assert "look#1" in diverged["meta"]["expected"]
    assert any("inserted" in key for key in diverged["meta"]["asked"])
    assert plant.world.count("look ") == 1
    run.check()


def test_a_run_that_is_cancelled_while_its_worker_is_frozen_ends(plant: Plant) -> None:
    run, victim = holds(plant, "clerk", "enter look", steps=["look!"], gate="g")
    victim.send(signal.SIGSTOP)
    plant.execute(
        "UPDATE run SET cancel_requested_at = now(), cancel_reason = 'cancelled_by_user'"
        " WHERE id = %s",
        run.id,
    )
    run.move_to("default").until_final()
    assert run.status == "cancelled"
    victim.send(signal.SIGCONT)
    until(lambda: "lost_lease" in victim.said, "the zombie notices")
    run.check()
