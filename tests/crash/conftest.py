"""One installation for all crash tests; every test has workers of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.plant import Plant
from tests.crash.plant import plant as running_plant


@pytest.fixture(scope="session")
def standing() -> Iterator[Plant]:
    with running_plant() as plant:
        yield plant


@pytest.fixture
def plant(standing: Plant) -> Iterator[Plant]:
    """What the workers said is printed, and shown by pytest when the test fails."""
    standing.clear()
    yield standing
    for worker in standing.workers:
        print(f"--- {worker.log.name}\n{worker.said[-4000:]}")
    for row in standing.rows(
        "SELECT run_id, seq, epoch, kind, key, n, meta FROM journal ORDER BY run_id, seq LIMIT 40"
    ):
        print(*row.values())
