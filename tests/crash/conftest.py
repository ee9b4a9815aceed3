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
def plant(standing: Plant) -> Plant:
    standing.clear()
    return standing
