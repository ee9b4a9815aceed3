"""Declaring tools and agents; finding them; saying what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentops import (
    Effect,
    InvalidInput,
    Misuse,
    RunContext,
    ToolContext,
    UnknownAgent,
    agent,
    tool,
)
from agentops.sdk.catalog import Catalog


class Ticket(BaseModel):
    id: int
    text: str = ""


@agent
async def takes_a_record(ctx: RunContext, ticket: Ticket) -> None:
    """Work on a ticket."""


@agent(name="named", queue="slow", version="7", timeout=5, max_steps=3)
async def takes_values(ctx: RunContext, count: int, note: str = "none") -> None:
    """Count."""


def test_an_agent_knows_its_name_form_and_limits() -> None:
    assert (takes_a_record.name, takes_a_record.description) == (
        "takes-a-record",
        "Work on a ticket.",
    )
    assert (takes_values.name, takes_values.queue, takes_values.version) == ("named", "slow", "7")
    assert takes_a_record.version.startswith("src-")
    assert set(takes_values.input_schema["properties"]) == {"count", "note"}  # type: ignore[call-overload]


def test_input_becomes_arguments() -> None:
    assert takes_a_record.validate_input({"id": "4"}) == {"ticket": Ticket(id=4)}
    assert takes_values.validate_input({"count": 2}) == {"count": 2, "note": "none"}


@pytest.mark.parametrize(
    ("bad", "path"),
    [({"ticket": 1}, "/id"), ({"id": "x"}, "/id"), ("text", "/"), (None, "/id")],
)
def test_input_that_does_not_fit_names_the_place(bad: object, path: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        takes_a_record.validate_input(bad)

    assert raised.value.path == path


def test_unknown_input_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        takes_values.validate_input({"count": 1, "cuont": 2})

    assert raised.value.path == "/cuont"


def test_a_function_without_a_context_is_no_agent() -> None:
    with pytest.raises(Misuse, match="first parameter is the context"):

        @agent
        async def wrong(value: int) -> None: ...


def test_tools_are_once_unless_they_say_otherwise() -> None:
    @tool
    def acts() -> None: ...

    @tool(effect="read")
    def reads() -> None: ...

    assert (acts.effect, acts.retry.attempts) == (Effect.ONCE, 1)
    assert (reads.effect, reads.retry.attempts) == (Effect.READ, 4)


def test_contradictions_are_refused_with_a_reason() -> None:
    with pytest.raises(Misuse, match="effect must be one of"):
        tool(effect="maybe")(print)  # type: ignore[call-overload]
    with pytest.raises(Misuse, match="must be above 0"):
        tool(timeout=0)(print)
    with pytest.raises(Misuse, match="verify belongs to effect"):
        tool(effect="read", verify=lambda: None)(print)  # type: ignore[call-overload]


def test_a_tool_binds_arguments_after_its_context() -> None:
    @tool(effect="read")
    def uses(ctx: ToolContext, a: int, b: int = 2) -> None: ...

    assert uses.bind((1,), {}) == {"a": 1}
    with pytest.raises(Misuse, match="missing a required argument"):
        uses.bind((), {})


def module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(f"from agentops import agent\n{text}")
    return name


def test_a_catalog_skips_what_is_broken_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    good = "@agent\nasync def works(ctx): ...\n"
    names = (
        module(tmp_path, "cat_good", good),
        module(tmp_path, "cat_twice", good),
        module(tmp_path, "cat_raises", "1 / 0\n"),
        module(tmp_path, "cat_leaves", "raise SystemExit(1)\n"),
        module(tmp_path, "cat_empty", ""),
        "cat_missing",
    )
    catalog = Catalog(names)

    assert [found.name for found in catalog.agents()] == ["works"]
    told = {problem.module: problem.sentence for problem in catalog.problems()}
    assert "Two agents are called “works”" in told["cat_twice"]
    assert "ZeroDivisionError" in told["cat_raises"]
    assert "SystemExit" in told["cat_leaves"]
    assert "has no agent" in told["cat_empty"]
    assert "does not import" in told["cat_missing"]


def test_an_unknown_agent_suggests_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = module(tmp_path, "cat_near", "@agent\nasync def report(ctx): ...\n")

    with pytest.raises(UnknownAgent, match="Did you mean report"):
        Catalog((name,)).agent("reprot")


def test_author_code_needs_no_django() -> None:
    program = "import agentops, agentops.testing, sys; print('django' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )

    assert done.stdout.strip() == "False", done.stderr
