"""What chains say, and how a chain that says nonsense is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals import chains

TELL = {"tell": [{"deciders": True}], "wait_minutes": 15}


def test_repeats_are_written_out_in_order() -> None:
    steps = [{**TELL, "times": 2}, {"tell": [{"rota": "on-call"}], "urgent": True}, {"again": 1},
             {"then": "reject"}]  # fmt: skip
    tellings = chains.plan(steps)
    assert [(one.step, one.time, one.then) for one in tellings] == [
        (1, 1, ""), (1, 2, ""), (2, 1, ""), (1, 1, ""), (1, 2, ""), (2, 1, ""), (4, 1, "reject"),
    ]  # fmt: skip
    assert tellings[0].wait == timedelta(minutes=15)
    assert [one.is_urgent for one in tellings[:3]] == [False, False, True]


def test_the_usual_chain_can_be_read() -> None:
    assert len(chains.plan(chains.USUAL)) == 3
    assert chains.words(chains.plan(chains.USUAL)[0]) == "tell everybody who may decide"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("tell everybody", "steps: a list of steps is needed"),
        ([TELL] * 21, "at most 20"),
        (["tell"], "step 1: an object"),
        ([{"tell": []}], "step 1: tell needs at least one receiver"),
        ([{"tell": [{"person": "ada", "team": "x"}]}], "step 1: a receiver is"),
        ([{"tell": [{"deciders": False}]}], "step 1: a receiver is"),
        ([{"tell": [{"person": " "}]}], "step 1: a receiver is"),
        ([{**TELL, "wait_minutes": 0}], "step 1: wait_minutes is a whole number from 1"),
        ([{**TELL, "wait_minutes": True}], "step 1: wait_minutes"),
        ([{**TELL, "times": 21}], "step 1: times is a whole number from 1 to 20"),
        ([{**TELL, "urgent": "yes"}], "step 1: urgent is true or false"),
        ([{**TELL, "wiat": 3}], "step 1: wiat is not known"),
        ([{"again": 1}], "step 1: again needs a step above"),
        ([{"then": "reject"}], "step 1: then needs a step above"),
        ([TELL, {"then": "explode"}], "step 2: then is one of reject, approve"),
        ([TELL, {"then": "reject"}, TELL], "step 2: then must be the last"),
        ([{**TELL, "times": 20}, {"again": 10}], "more than 100 times"),
    ],
)
def test_nonsense_is_refused_with_its_place_and_a_remedy(steps: Any, said: str) -> None:
    with pytest.raises(chains.InvalidChain, match=said):
        chains.plan(steps)
