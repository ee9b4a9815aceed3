"""An unmodified Pydantic AI agent is killed after every unit: nothing recorded happens twice.

Its units: four requests to a model with three tools between them, of the classes ``read``,
``idempotent`` and ``once``. The model is a server in a process of its own, which counts requests;
effects are lines of a file. What is recorded when a worker dies is what it had done up to the unit
that the fault names.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT
from runs.engine import store
from runs.engine.store import Verdict
from tests.crash.plant import Plant, Worker, until
from tests.crash.runs import Seen, start
from tests.crash.victims import QUEUE
from tests.modelserver.asked import Asked, Count
from tests.modelserver.behaviours import turns

pytestmark = [pytest.mark.crash, pytest.mark.slow]

HEIRS = "heirs"
SEND = "send:call_3_1"
REQUESTS = ["request 1", "request 2", "request 3", "request 4"]
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
    Death("request 1 answered", "effect.after/model:1", twice="request 1"),
    Death("look_up done", "effect.after/look_up:1", twice="look_up call_1_1"),
    Death("request 2 answered", "effect.after/model:2", twice="request 2"),
    Death("reserve done", "effect.after/reserve:1", twice="reserve call_2_1"),
    Death("request 3 answered", "effect.after/model:3", twice="request 3"),
    Death("request 4 answered", "effect.after/model:4", twice="request 4"),
    # What must happen once is never repeated unasked.
    Death("send done", "effect.after/send:1", asks=True, sent=1),
    Death("send about to be done", "effect.before/send:1", asks=True, says=Verdict.DID_NOT_HAPPEN),
]


class Desk:
    """The agent at work: a server for its model, a file for its effects, a worker that lives."""

    def __init__(self, plant: Plant, folder: Path, address: str) -> None:
        self.plant = plant
        self._count, self._effects = Count(folder / "asked"), folder / "effects"
        self.environment = {"DESK_URL": f"{address}/v1", "DESK_EFFECTS": str(self._effects)}
        self._before = 0, 0

    def begin(self) -> None:
        """Count from here."""
        self._before = len(self._count.read()), len(self._lines())

    @property
    def asked(self) -> list[Asked]:
        return self._count.read()[self._before[0] :]

    def _lines(self) -> list[str]:
        return self._effects.read_text().splitlines() if self._effects.exists() else []

    @property
    def done(self) -> Counter[str]:
        """How often each unit reached the world outside."""
        requests = [f"request {turns(asked) + 1}" for asked in self.asked]
        return Counter(requests + self._lines()[self._before[1] :])

    def dies(self, fault: str, agents: str = "tests.crash.adopted") -> Seen:
        """A run whose worker dies at a fault point and which is then left to one that lives."""
        self.begin()
        run = start(self.plant, "help-desk", queue=QUEUE, prompt="Where are my bolts?")
        victim = self.worker(QUEUE, agents, fault)
        assert victim.wait() == 137, victim.said
        return run.move_to(HEIRS)

    def worker(self, queue: str, agents: str = "tests.crash.adopted", fault: str = "") -> Worker:
        """A worker that has the agent of a module."""
        faults = f"{fault}:exit" if fault else ""
        return self.plant.worker(
            queue=queue, faults=faults, AGENTOPS_AGENTS=agents, **self.environment
        )


@contextmanager
def _model_server(log: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.modelserver", "--log", str(log)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture(scope="module")
def desk(standing: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    standing.clear()
    folder = tmp_path_factory.mktemp("desk")
    with _model_server(folder / "asked") as address:
        made = Desk(standing, folder, address)
        made.worker(HEIRS)
        yield made
    standing.clear()


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
    run = desk.dies(death.fault)
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
    run = desk.dies("effect.after/look_up:1", unmodified).move_to("bare")
    desk.worker("bare", unmodified)
    run.until_waiting("uncertain:look_up:call_1_1")
    assert desk.done == Counter(["request 1", "look_up call_1_1"])
