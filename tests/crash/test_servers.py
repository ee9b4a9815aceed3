"""The broker, the database or the scheduler fails under the workers."""

from __future__ import annotations

import signal

import pytest

from tests.crash.plant import Plant, until
from tests.crash.runs import Seen, start

pytestmark = pytest.mark.crash
LOAD = 40


def under_load(plant: Plant) -> list[Seen]:
    """Runs in the middle of their work."""
    plant.stayer()
    steps = ["look", "pay", "post", "sleep", "pay"]
    runs = [start(plant, "clerk", steps=steps) for _ in range(LOAD)]
    until(lambda: plant.world.count("pay ") >= LOAD // 4, "the work is under way")
    return runs


def all_done(plant: Plant, runs: list[Seen]) -> None:
    for run in runs:
        run.succeeded(["look", "pay", "post", "sleep", "pay"])
    effects = plant.world.effects()
    paid = {what: times for what, times in effects.items() if what.startswith("pay ")}
    assert len(paid) == 2 * len(runs)
    assert set(paid.values()) == {1}


def test_without_a_broker_work_goes_on_by_the_clock(plant: Plant) -> None:
    plant.valkey.end(signal.SIGKILL)
    try:
        all_done(plant, under_load(plant))
    finally:
        plant.valkey.start()
    start(plant, "clerk", steps=["look"]).succeeded(["look"])


def test_a_wiped_broker_loses_nothing(plant: Plant) -> None:
    runs = under_load(plant)
    plant.wipe_broker()
    all_done(plant, runs)


def test_bells_that_ring_too_often_find_nothing_more_to_do(plant: Plant) -> None:
    run = start(plant, "clerk", steps=["look", "pay"])
    plant.stayer()
    for _ in range(50):
        plant.ring()
    run.succeeded(["look", "pay"])
    assert run.row["epoch"] == 1
    assert plant.world.count("pay ") == 1


def test_a_bell_is_heard_at_once(plant: Plant) -> None:
    """Only the bell can be that quick: the clock ticks once in a minute here."""
    plant.worker(queue="quiet", AGENTOPS_TICK_SECONDS="60")
    # The first claim finds nothing; from now on the worker waits.
    run = start(plant, "clerk", queue="quiet", steps=["look"])
    plant.ring("quiet")
    run.succeeded(["look"])


def test_without_a_bell_the_tick_finds_the_run(plant: Plant) -> None:
    """The web process died between its commit and the bell."""
    plant.stayer()
    start(plant, "clerk", steps=["look"]).succeeded(["look"])


def test_postgres_dies_under_load(plant: Plant) -> None:
    runs = under_load(plant)
    plant.restart_postgres()
    all_done(plant, runs)
    assert plant.value("SELECT count(*) FROM worker WHERE state = 'dead'") == 0


def test_a_connection_cut_in_the_middle_of_a_flush_is_made_again(plant: Plant) -> None:
    runs = under_load(plant)
    for _ in range(5):
        plant.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    all_done(plant, runs)


def test_of_two_schedulers_one_leads_and_the_other_takes_over(plant: Plant) -> None:
    first, second = plant.beat(), plant.beat()
    beats = [first, second]

    def leading() -> list[object]:
        return [beat for beat in beats if "beat.leading" in beat.said]

    until(leading, "one of them leads")
    until(lambda: any("standing_by" in beat.said for beat in beats), "the other stands by")
    assert len(leading()) == 1
    leader = first if first in leading() else second
    leader.kill()
    until(lambda: len(leading()) == 2, "the other one leads")
