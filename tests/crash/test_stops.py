"""T20: a stop of everything holds within two seconds of its commit, with Redis away."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.plant import Plant, until
from tests.crash.runs import start

pytestmark = pytest.mark.crash

RUNS = 100
BAR_SECONDS = 2.0
KINDS = {"once", "plain once", "idempotent", "read", "transactional", "step", "model"}


@pytest.fixture
def busy(plant: Plant) -> Iterator[Plant]:
    """Two workers with a hundred runs that never rest, whose bells died under them."""
    there = {"AGENTOPS_AGENTS": "tests.crash.stopping", "AGENTOPS_CONCURRENCY": "64"}
    for _ in range(2):
        plant.worker(queue="restless", **there)
    for number in range(RUNS):
        start(plant, "restless", queue="restless", number=number)
    plant.ring("restless")
    until(lambda: running(plant) == RUNS, "all runs are at work")
    plant.valkey.end(signal.SIGKILL)
    yield plant
    plant.execute("DELETE FROM stop")
    plant.valkey.start()


def running(plant: Plant) -> int:
    return int(plant.value("SELECT count(*) FROM run WHERE status = 'running'"))


def effects(plant: Plant) -> list[tuple[str, float]]:
    """Which kind of step began, and when."""
    found = [what.rpartition(" ") for what in plant.world.effects().elements()]
    return [(kind, float(at)) for kind, _, at in found]


def test_no_effect_starts_later_than_two_seconds_after_the_commit(busy: Plant) -> None:
    began = time.time()
    until(lambda: {kind for kind, at in effects(busy) if at > began} == KINDS, "all kinds happen")
    time.sleep(1)  # without Redis, under load
    busy.execute(
        "INSERT INTO stop (public_id, scope, target, reason, by)"
        " VALUES ('stp_t20', 'everything', '', 'It pays twice.', 'ana')"
    )
    committed = time.time()
    time.sleep(2 * BAR_SECONDS)
    late = Counter(kind for kind, at in effects(busy) if at > committed + BAR_SECONDS)
    assert late == {}
    before = [kind for kind, at in effects(busy) if committed - 1 < at <= committed]
    last = max(at for _, at in effects(busy)) - committed
    print(f"{len(before)} effects in the second before; the last {last:.2f} s after the commit")
    assert set(before) == KINDS, "nothing was going on that could be stopped"
    until(lambda: running(busy) == 0, "all runs are held")
    held = busy.rows("SELECT waiting_for, waiting_detail, count(*) AS n FROM run GROUP BY 1, 2")
    assert held == [{"waiting_for": "operator", "waiting_detail": "stop:stp_t20", "n": RUNS}]
    assert_everything_goes_on(busy)


def assert_everything_goes_on(busy: Plant) -> None:
    """No bell rings; nobody but the sweep knows of the lift."""
    lifted = time.time()
    busy.execute("UPDATE stop SET lifted_at = clock_timestamp(), lifted_reason = 'Mended.'")
    until(lambda: running(busy) == RUNS, "all runs are at work again")
    until(lambda: {kind for kind, at in effects(busy) if at > lifted} == KINDS, "all kinds happen")
    uncertain = busy.value("SELECT count(*) FROM journal WHERE kind = 'step.uncertain'")
    assert uncertain == 0
