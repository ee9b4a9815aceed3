"""`replay_run` tells whether recorded runs fit the code, and touches nothing."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from agentops import RunContext, agent
from agentops.execution.checking import check
from agentops.execution.records import Claim, History
from agentops.testing import BEGINNING, Journal, run


async def _look() -> str:
    return "seen"


@agent(name="walker", version="1")
async def _walker(ctx: RunContext) -> str:
    await ctx.step(_look, name="first")
    await ctx.step(_look, name="second")
    return "done"


@agent(name="walker", version="2")
async def _hurried(ctx: RunContext) -> str:
    await ctx.step(_look, name="second")
    return "done"


@agent(name="walker", version="3")
async def _thorough(ctx: RunContext) -> str:
    await ctx.step(_look, name="first")
    await ctx.step(_look, name="second")
    await ctx.step(_look, name="third")
    return "done"


def _recorded() -> tuple[Claim, History]:
    journal: Journal = run(_walker).journal
    claim = Claim(1, "run_x", 1, "walker", "1", None, BEGINNING)
    return claim, History(journal.entries, journal.inbox)


def test_the_same_code_fits() -> None:
    fit = check(_walker, *_recorded(), final=True)
    assert (fit.fits, fit.delivered) == (True, 2)


def test_a_step_left_out_is_named() -> None:
    fit = check(_hurried, *_recorded(), final=True)
    assert (fit.fits, fit.asked) == (False, ("second#1",))
    assert fit.expected.startswith("first#1")


def test_a_step_added_after_the_recorded_end_is_named() -> None:
    fit = check(_thorough, *_recorded(), final=True)
    assert (fit.fits, fit.expected, fit.asked) == (False, "the end", ("third#1",))


def test_a_step_added_where_an_unfinished_run_stands_fits() -> None:
    assert check(_thorough, *_recorded(), final=False).fits


@pytest.mark.django_db
def test_the_command_wants_to_know_what_to_replay() -> None:
    with pytest.raises(CommandError, match="--agent"):
        call_command("replay_run")
