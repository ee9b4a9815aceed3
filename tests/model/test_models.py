"""The rules hold in every reachable state, and no rule can be left out."""

from __future__ import annotations

import pytest

from tests.model.catalogue import MUTANTS, SOUND
from tests.model.explorer import explore


@pytest.mark.parametrize("name", SOUND)
def test_every_promise_is_kept_and_an_end_stays_in_reach(name: str) -> None:
    found = explore(SOUND[name])
    print(f"{name}: {found}")
    assert not found.failure, str(found)
    assert found.states > 100


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found_out(name: str) -> None:
    mutant = MUTANTS[name]
    found = explore(mutant.model)
    print(f"{name}: {found}")
    assert found.failure.startswith(mutant.breaks), f"{name} breaks nothing: {found}"
