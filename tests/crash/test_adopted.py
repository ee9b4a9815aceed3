"""An unmodified Pydantic AI agent is killed after every unit: nothing recorded happens twice.

Its units: four requests to a model with three tools between them, of the classes ``read``,
``idempotent`` and ``once``. The model is a server in a process of its own, which counts requests;
effects are lines of a file. What is recorded when a worker dies is what it had done up to the unit
that the fault names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runs.engine import store
from runs.engine.store import Verdict
from tests.crash import serving
from tests.crash.plant import Plant, until
from tests.crash.runs import Seen
from tests.crash.serving import Desk

pytestmark = [pytest.mark.crash, pytest.mark.slow]

PROMPT = "Where are my bolts?"
SEND = "send:call_3_1"
REQUESTS = ["tour 1", "tour 2", "tour 3", "tour 4"]
EFFECTS = ["look_up call_1_1", "reserve call_2_1", "send call_3_1"]


@dataclass(frozen=True)
class Death:
    """When the worker dies, and what must come of it.

    ``twice``: the unit that is done again, with the same key. ``asks``: the run waits for a person
    to say what became of the letter, with so many of them sent; they answer ``says``.
    """

    when: str
    fault: str
    twice: str = ""
    asks: bool = False
    sent: int = 0
    says: Verdict = Verdict.HAPPENED


TABLE = [
    # Before anything.
    Death("before the first request", "effect.before/model:1"),
    # After each unit is recorded, which is before the next one acts.
    Death("request 1 recorded", "effect.before/look_up:1"),
    Death("look_up recorded", "effect.before/model:2"),
    Death("request 2 recorded", "effect.before/reserve:1"),
    Death("reserve recorded", "effect.before/model:3"),
    Death("request 3 recorded", "effect.before_intent/send:1"),
    Death("send recorded", "effect.before/model:4"),
    Death("request 4 recorded, the end is not", "writer.before_send/finish:1"),
    Death("the end recorded", "writer.after_commit/finish:1"),
    # Done and not recorded: what may be repeated is, once.
    Death("request 1 answered", "effect.after/model:1", twice="tour 1"),
    Death("look_up done", "effect.after/look_up:1", twice="look_up call_1_1"),
    Death("request 2 answered", "effect.after/model:2", twice="tour 2"),
    Death("reserve done", "effect.after/reserve:1", twice="reserve call_2_1"),
    Death("request 3 answered", "effect.after/model:3", twice="tour 3"),
    Death("request 4 answered", "effect.after/model:4", twice="tour 4"),
    # What must happen once is never repeated unasked.
    Death("send done", "effect.after/send:1", asks=True, sent=1),
    Death("send about to be done", "effect.before/send:1", asks=True, says=Verdict.DID_NOT_HAPPEN),
]


@pytest.fixture(scope="module")
def desk(standing: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with serving.desk(standing, folder, "tests.crash.adopted") as made:
        yield made


def _settle(run: Seen, key: str, verdict: Verdict) -> None:
    """As soon as what is said can no longer change."""

    def said() -> bool:
        try:
            run.settle(key, verdict, "sent, says the post")
        except store.InQuarantine:
            return False
        return True

    until(said, "the quarantine is over")


@pytest.mark.parametrize("death", TABLE, ids=lambda death: death.when)
def test_one_request_and_one_effect_per_unit(desk: Desk, death: Death) -> None:
    run = desk.dies(death.fault, "help-desk", prompt=PROMPT)
    if death.asks:
        run.until_waiting(f"uncertain:{SEND}")
        assert desk.done["send call_3_1"] == death.sent
        _settle(run, SEND, death.says)
    run.succeeded("Done after 3 turns.")
    expected = Counter([*REQUESTS, *EFFECTS])
    if death.twice:
        expected[death.twice] += 1
    assert desk.done == expected
    assert all(asked.streams for asked in desk.asked)


def test_without_a_word_about_its_tools_none_is_repeated(desk: Desk) -> None:
    """Found by itself in its module, the same agent asks a person after the first lost effect."""
    unmodified = "tests.crash.desk"
    run = desk.dies("effect.after/look_up:1", "help-desk", unmodified, prompt=PROMPT)
    run.move_to("bare")
    desk.worker("bare", agents=unmodified)
    run.until_waiting("uncertain:look_up:call_1_1")
    assert desk.done == Counter(["tour 1", "look_up call_1_1"])
