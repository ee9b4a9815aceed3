"""A worker with a queue of its own, so that nobody else takes its run before its time has come."""

from __future__ import annotations

from tests.crash.plant import Plant, Worker, until
from tests.crash.runs import Seen, start

QUEUE = "victim"


def dies(plant: Plant, faults: str, *steps: str) -> Seen:
    """A run whose worker dies at a fault point and which is then left to one that lives."""
    plant.stayer()
    run = start(plant, "clerk", queue=QUEUE, steps=list(steps))
    victim = plant.worker(queue=QUEUE, faults=faults)
    assert victim.wait() == 137, victim.said
    return run.move_to("default")


def freezes(plant: Plant, faults: str, *steps: str) -> tuple[Seen, Worker]:
    """A run whose worker freezes at a fault point and loses it to one that lives."""
    plant.stayer()
    run = start(plant, "clerk", queue=QUEUE, steps=list(steps))
    victim = plant.worker(queue=QUEUE, faults=faults)
    until(lambda: victim.is_frozen, "the worker freezes")
    return run.move_to("default"), victim


def holds(plant: Plant, agent: str, trace: str, **given: object) -> tuple[Seen, Worker]:
    """A run whose worker is in the middle of a step that left this trace."""
    plant.stayer()
    run = start(plant, agent, queue=QUEUE, **given)
    victim = plant.worker(queue=QUEUE)
    until(lambda: plant.world.count(trace), f"a step left {trace}")
    return run, victim
