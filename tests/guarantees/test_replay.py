"""Whatever an agent does and wherever its worker dies, it goes on as if nothing had happened."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agentops.sdk.agents import AgentDefinition
from agentops.testing import Journal, Result, run
from tests.guarantees.programs import Node, changed, plain_player, player, programs

ASYNC = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
PLAIN = settings(ASYNC, max_examples=40)


def shape(result: Result) -> tuple[str, object, object]:
    """How a run ended."""
    message = result.error and result.error.get("message")
    return result.status, result.output, message


def outcomes(journal: Journal) -> list[tuple[str, object]]:
    return [(e.key, e.value) for e in journal.entries if e.phase == 1]


def goes_on_after_a_crash(agent: AgentDefinition, program: Node, crash: int) -> None:
    whole = run(agent)
    crashed = run(agent, crash_after=crash % (len(whole.journal.entries) + 1))
    before = outcomes(crashed.journal)
    resumed = run(agent, journal=crashed.journal)
    assert resumed.status in {"succeeded", "failed"}, (resumed.status, resumed.detail)
    after = outcomes(resumed.journal)
    assert after[: len(before)] == before
    assert len({key for key, _ in after}) == len(after)
    again = run(agent, journal=resumed.journal)
    assert shape(again) == shape(resumed)
    # Who lost a race may be asked again for what was never recorded of it; nobody else is.
    known = outcomes(again.journal)
    assert known[: len(after)] == after
    assert program.is_race or known == after
    if not program.is_race and whole.status == "succeeded":
        assert {key for key, _ in after} == set(whole.journal.keys())
        assert resumed.status == "succeeded"
    numbers = sorted(e.seq for e in resumed.journal.entries)
    assert numbers == list(range(1, len(numbers) + 1))


@ASYNC
@given(program=programs(), crash=st.integers(0, 200))
def test_an_async_agent_goes_on_after_a_crash_at_any_row(program: Node, crash: int) -> None:
    goes_on_after_a_crash(player(program), program, crash)


@PLAIN
@given(program=programs(plain=True), crash=st.integers(0, 200))
def test_a_plain_agent_goes_on_after_a_crash_at_any_row(program: Node, crash: int) -> None:
    goes_on_after_a_crash(plain_player(program), program, crash)


@settings(ASYNC, max_examples=60)
@given(program=programs(), crashes=st.lists(st.integers(0, 6), max_size=8))
def test_an_agent_that_crashes_again_and_again_gets_there(
    program: Node, crashes: list[int]
) -> None:
    journal = Journal()
    for crash in crashes:
        journal = run(player(program), journal=journal, crash_after=crash).journal
    last = run(player(program), journal=journal)
    assert last.status in {"succeeded", "failed"}, (last.status, last.detail)
    assert shape(run(player(program), journal=last.journal)) == shape(last)


@settings(ASYNC, max_examples=40)
@given(program=programs())
def test_a_step_inserted_before_recorded_ones_is_reported(program: Node) -> None:
    recorded = run(player(program))
    assume(recorded.journal.keys())
    replayed = run(player(changed(program)), journal=recorded.journal)
    assert (replayed.status, replayed.waiting_for) == ("waiting", "operator")
    assert replayed.detail == "code_changed"
    told = next(e for e in replayed.journal.entries if e.kind == "run.diverged")
    assert told.meta is not None
    assert recorded.journal.keys()[0] in str(told.meta["expected"])
    assert "inserted#1" in str(told.meta["asked"])


@settings(ASYNC, max_examples=40)
@given(program=programs())
def test_a_strict_agent_notices_other_arguments_too(program: Node) -> None:
    recorded = run(player(program, "strict"))
    keys = recorded.journal.keys()
    assume("work#1" in keys)
    other = Node("sequence", parts=(Node("call", "inserted"), *program.parts))
    replayed = run(player(other, "strict"), journal=recorded.journal)
    assert (replayed.status, replayed.detail) == ("waiting", "code_changed")


def test_a_recorded_step_that_is_no_longer_asked_for_is_reported() -> None:
    program = Node("sequence", parts=(Node("call", "a"), Node("call", "b")))
    recorded = run(player(program))
    shorter = run(player(Node("sequence", parts=program.parts[:1])), journal=recorded.journal)
    assert (shorter.status, shorter.detail) == ("waiting", "code_changed")


@pytest.mark.parametrize("kind", ["gather", "group", "first"])
def test_one_outcome_is_delivered_at_a_time(kind: str) -> None:
    """Sixty steps at once, each followed by another: the same keys on every replay."""
    pair = Node("sequence", parts=(Node("call", "a"), Node("call", "b")))
    program = Node("sequence", parts=(Node(kind, parts=(pair,) * 20),))
    first = run(player(program))
    assert shape(run(player(program), journal=first.journal)) == shape(first)
