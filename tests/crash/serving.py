"""A model server in a process of its own and a world outside: what units cost, counted there."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentops.launcher.home import PROJECT
from tests.crash.plant import Plant, Worker
from tests.crash.runs import Seen, start
from tests.crash.victims import QUEUE
from tests.modelserver.asked import Asked, Count
from tests.modelserver.behaviours import turns

HEIRS = "heirs"


class Desk:
    """Agents at work: a server for their models, a file for their effects, a worker that lives."""

    def __init__(self, plant: Plant, folder: Path, address: str, agents: str) -> None:
        self.plant, self.address, self._agents = plant, address, agents
        self._count, self._effects = Count(folder / "asked"), folder / "effects"
        self._environment = {
            "DESK_URL": f"{address}/v1",
            "DESK_EFFECTS": str(self._effects),
            "DESK_KEY": "none",
        }
        self._before = 0, 0

    @property
    def asked(self) -> list[Asked]:
        """The requests since the last run began."""
        return self._count.read()[self._before[0] :]

    def _lines(self) -> list[str]:
        return self._effects.read_text().splitlines() if self._effects.exists() else []

    @property
    def done(self) -> Counter[str]:
        """How often each unit of the last run reached the world outside."""
        requests = [f"{asked.model} {turns(asked) + 1}" for asked in self.asked]
        return Counter(requests + self._lines()[self._before[1] :])

    def dies(self, fault: str, agent: str, agents: str = "", **given: object) -> Seen:
        """A run whose worker dies at a fault point and which is then left to one that lives."""
        self._before = len(self._count.read()), len(self._lines())
        run = start(self.plant, agent, queue=QUEUE, **given)
        victim = self.worker(QUEUE, fault, agents)
        assert victim.wait() == 137, victim.said
        return run.move_to(HEIRS)

    def worker(self, queue: str, fault: str = "", agents: str = "") -> Worker:
        """A worker that has the agents, unless others are named."""
        return self.plant.worker(
            queue=queue,
            faults=f"{fault}:exit" if fault else "",
            AGENTOPS_AGENTS=agents or self._agents,
            **self._environment,
        )


@contextmanager
def model_server(log: Path, *faults: str) -> Iterator[str]:
    """The address of a model server, whose requests are lines of ``log``.

    ``faults`` such as ``2=stall`` say what goes wrong with which of them.
    """
    command = [sys.executable, "-m", "tests.modelserver", "--log", str(log)]
    command += [part for fault in faults for part in ("--fault", fault)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def desk(plant: Plant, folder: Path, agents: str) -> Iterator[Desk]:
    """The desk of a module's agents, with a worker that takes over what others leave."""
    plant.clear()
    with model_server(folder / "asked") as address:
        made = Desk(plant, folder, address, agents)
        made.worker(HEIRS)
        yield made
    plant.clear()
