"""A worker dies between a write to memory and its record: both are there, or neither."""

from __future__ import annotations

import pytest

from tests.crash.plant import Plant
from tests.crash.victims import dies

pytestmark = pytest.mark.crash


@pytest.mark.parametrize(
    "place", ["transaction.before_record", "transaction.before_commit/keep", "effect.after/keep"]
)
def test_a_death_around_the_commit_neither_loses_nor_doubles_a_write(
    plant: Plant, place: str
) -> None:
    run = dies(plant, f"{place}:1:exit", "keep", "keep")
    run.succeeded(["kept 1", "kept 2"])
