"""An agent that asks a route is killed between its steps: who refused and who answered is known.

The first model of the route refuses every key, the second one answers. Each step asks the first one
once, however often the worker dies.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agentops.launcher.home import PROJECT
from tests.crash import serving
from tests.crash.plant import Plant
from tests.crash.serving import Desk

pytestmark = [pytest.mark.crash, pytest.mark.slow]

REFUSES = "fault-unauthorised"
UNITS = [f"{REFUSES} 1", "tour 1", "look", f"{REFUSES} 2", "tour 2"]
ROUTE = """
from runs.models import ModelEndpoint, RouteVersion
ModelEndpoint.objects.create(
    name="desk", protocol="openai", base_url="{address}/v1", key_variable="DESK_KEY")
RouteVersion.objects.create(route="table", number=1, candidates=[
    {{"endpoint": "desk", "model": "{refuses}"}}, {{"endpoint": "desk", "model": "tour"}}])
"""


@dataclass(frozen=True)
class Death:
    """When the worker dies; ``twice``: what is done again."""

    when: str
    fault: str
    twice: str = ""


TABLE = [
    Death("before the first model is asked", "effect.before/table:1"),
    Death("its refusal recorded", "effect.before/table:2"),
    Death("the second one has answered", "effect.after/table:1", twice="tour 1"),
    Death("its answer recorded", "effect.before/look:1"),
    Death("the tool has looked", "effect.after/look:1", twice="look"),
    Death("what it saw recorded", "effect.before/table:3"),
    Death("its second refusal recorded", "effect.before/table:4"),
    Death("the last answer has come", "effect.after/table:2", twice="tour 2"),
    Death("the last answer recorded", "writer.before_send/finish:1"),
]


@pytest.fixture(scope="module")
def desk(standing: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with serving.desk(standing, folder, "tests.crash.asker") as made:
        route = ROUTE.format(address=made.address, refuses=REFUSES)
        command = [sys.executable, "manage.py", "shell", "--command", route]
        subprocess.run(command, cwd=PROJECT, env=standing.environment(), check=True, timeout=60)
        yield made
    standing.execute("TRUNCATE model_endpoint, route_version")


@pytest.mark.parametrize("death", TABLE, ids=lambda death: death.when)
def test_nobody_is_asked_again_for_what_is_recorded(desk: Desk, death: Death) -> None:
    seen = desk.plant.world.count("look")
    run = desk.dies(death.fault, "asker")
    run.succeeded("Done after 1 turns.")
    expected = Counter(UNITS)
    if death.twice:
        expected[death.twice] += 1
    looked = Counter({"look": desk.plant.world.count("look") - seen})
    assert desk.done + looked == expected
