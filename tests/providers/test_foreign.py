"""Pydantic AI agents that stand in authors' modules are found there, without a word of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentops.providers import foreign
from agentops.sdk.catalog import Catalog, recognise

Write = Callable[[str, str], str]

AGENT = "from pydantic_ai import Agent\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    recognise(foreign.find)

    def make(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(AGENT + source)
        return name

    return make


def test_an_agent_with_a_name_is_found(write: Write) -> None:
    made = Catalog((write("desk_named", 'desk = Agent(name="help_desk", description="Helps.")\n'),))
    [found] = made.agents()
    assert (found.name, found.description) == ("help-desk", "Helps.")
    assert found.input_schema["required"] == ["prompt"]
    assert made.problems() == []


def test_its_version_is_that_of_the_module_that_holds_it(write: Write, tmp_path: Path) -> None:
    source = 'desk = Agent(name="versioned")\n'
    one, two = write("desk_v1", source), write("desk_v2", source + "# changed\n")
    versions = [Catalog((name,)).agent("versioned").version for name in (one, two)]
    assert len(set(versions)) == 2
    taken = write("desk_v3", 'from agentops import adopt\nours = adopt(Agent(name="versioned"))\n')
    assert Catalog((taken,)).agent("versioned").fn.__module__ == taken


def test_one_without_a_name_is_reported_with_what_to_do(write: Write) -> None:
    made = Catalog((write("desk_unnamed", "helper = Agent()\n_own = Agent()\n"),))
    [problem] = made.problems()
    assert made.agents() == []
    assert problem.sentence == (
        "desk_unnamed.helper is a Pydantic AI agent without a name. Say "
        "Agent(…, name=“helper”), or call it _helper if only your code runs it."
    )


def test_what_is_adopted_is_left_as_it_was_adopted(write: Write) -> None:
    held = write("desk_held", 'desk = Agent(name="held")\n')
    adopts = "import agentops, desk_held\nours = agentops.adopt(desk_held.desk, queue='q')\n"
    made = Catalog((held, write("desk_adopts", adopts)))
    [found] = made.agents()
    assert (found.name, found.queue) == ("held", "q")
    assert made.problems() == []


def test_an_agent_that_two_modules_know_is_one(write: Write) -> None:
    held = write("desk_shared", 'desk = Agent(name="shared")\n')
    made = Catalog((held, write("desk_uses", "from desk_shared import desk\n")))
    assert [agent.name for agent in made.agents()] == ["shared"]
    assert made.problems() == []


LISTS = """
import sys
import agentops
from agentops.providers import foreign
from agentops.sdk.catalog import Catalog, recognise
recognise(foreign.find)
Catalog(("{module}",)).agents()
agentops.adopt
heavy = {{"pydantic_ai", "agentops.providers.adoption", "agentops.providers.adapter"}}
print(sorted(heavy & set(sys.modules)))
"""


def _loaded_by(module: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LISTS.format(module=module)],
        env={"PYTHONPATH": f"{folder}:{Path(foreign.__file__).parents[2]}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_who_only_lists_agents_imports_what_their_modules_import(
    write: Write, tmp_path: Path
) -> None:
    write("desk_listed", 'desk = Agent(name="listed")\n')
    (tmp_path / "plain_listed.py").write_text("import agentops\n")
    assert _loaded_by("plain_listed", tmp_path) == "[]"
    assert _loaded_by("desk_listed", tmp_path) == "['pydantic_ai']"
