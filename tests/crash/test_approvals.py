"""A worker dies around an approval: people are asked once, and what they said holds."""

from __future__ import annotations

import pytest

from runs.models import RunStatus
from tests.crash.plant import Plant, Worker, until
from tests.crash.runs import Seen, start

pytestmark = pytest.mark.crash
QUEUE = "asks"
DECIDE = """
WITH said AS (
    UPDATE approval_request SET state = %s, decided_at = now(), ready_at = now(),
           execute_by = now() + interval '1 hour' WHERE id = %s AND state = 'pending'
    RETURNING id, run_public_id
)
INSERT INTO approval_record (request_id, run_public_id, event, by, digest, detail)
SELECT said.id, run_public_id, 'approval.decided', 'ada', digest, '{}'
  FROM said JOIN approval_revision r ON r.request_id = said.id
"""


def worker(plant: Plant, faults: str = "") -> Worker:
    return plant.worker(queue=QUEUE, faults=faults, AGENTOPS_UNRULED="ask")


def request(plant: Plant, run: Seen) -> tuple[int, str]:
    """The one request of a run, once it waits for it."""

    def waits() -> bool:
        return run.status == RunStatus.WAITING and run.row["waiting_for"] == "approval"

    until(waits, "the run waits for people")
    rows = plant.rows("SELECT id, public_id FROM approval_request WHERE run_id = %s", run.id)
    assert len(rows) == 1
    return rows[0]["id"], rows[0]["public_id"]


def decide(plant: Plant, run: Seen, state: str) -> None:
    pk, named = request(plant, run)
    plant.execute(DECIDE, state, pk)
    run.signal(f"decided:{named}", None)


def test_death_while_people_are_asked_asks_them_once(plant: Plant) -> None:
    run = start(plant, "clerk", queue=QUEUE, steps=["pay"])
    assert worker(plant, "approval.requested/pay:1:exit").wait() == 137
    worker(plant)
    decide(plant, run, "approved")
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1
    assert len(run.of_kind("approval.requested")) == 1


@pytest.mark.parametrize("place", ["approval.consumed/pay", "effect.before_intent/pay"])
def test_death_between_approval_and_intent_lets_it_happen_once(plant: Plant, place: str) -> None:
    run = start(plant, "clerk", queue=QUEUE, steps=["pay"])
    victim = worker(plant, f"{place}:1:exit")
    decide(plant, run, "approved")
    assert victim.wait() == 137
    worker(plant)
    run.succeeded(["pay"])
    assert plant.world.count("pay ") == 1
    executed = "SELECT count(*) FROM approval_record WHERE event = 'approval.executed'"
    assert plant.value(executed + " AND run_public_id = %s", run.public_id) == 1


def test_what_is_rejected_while_nobody_works_never_happens(plant: Plant) -> None:
    run = start(plant, "clerk", queue=QUEUE, steps=["pay"])
    victim = worker(plant)
    request(plant, run)
    victim.kill()
    decide(plant, run, "rejected")
    worker(plant)
    run.until_final()
    assert (run.row["stop_reason"], plant.world.count("pay ")) == ("denied", 0)
