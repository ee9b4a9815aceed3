"""What every attempt passes: asked in order, told once, closed when in doubt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection

from agentops.execution.port import Asks, Held, Passed, Permit, Refused
from agentops.execution.records import Claim
from agentops.sdk import catalog, codec
from runs.engine import store
from runs.engine.host import Host
from runs.models import Journal, Phase, Run
from tests.runs.engine import gating
from tests.runs.engine.conftest import ended, eventually, kinds, stands_at, start
from tests.runs.engine.gating import script


@pytest.fixture
def gated(make_host: Callable[..., Host]) -> Iterator[Callable[..., Host]]:
    catalog.configure(("tests.runs.engine.gating", "tests.runs.engine.agents"))
    script.__init__()  # type: ignore[misc]
    yield lambda *paths: make_host(gates=paths or gating.PATHS)
    script.__init__()  # type: ignore[misc]


def claim() -> Claim:
    return Claim(1, "run_1", 1, "sender", "", None, datetime.now(UTC))


def decided(run: Run, id: str = "req_1") -> None:
    with connection.cursor() as cursor:
        store.signal(
            cursor,
            run_id=run.pk,
            name=f"decided:{id}",
            payload=codec.NULL,
            sender="test",
            dedup_key=None,
        )


def output(run: Run) -> object:
    payload = ended(run).payload
    return codec.decode(payload.output_codec or 0, bytes(payload.output or b""))


def row(run: Run, phase: Phase) -> Journal:
    return Journal.objects.get(run=run, phase=phase, key__startswith="send")


def given(entry: Journal) -> object:
    return json.loads(bytes(entry.input or b"null"))


def test_all_gates_are_asked_and_what_they_note_is_recorded(gated: Callable[..., Host]) -> None:
    gated()
    run = start("sender")
    assert output(run) == "hello × 2"
    for phase in (Phase.INTENT, Phase.OUTCOME):
        meta = row(run, phase).meta or {}
        assert (meta["known"], meta["asked"]) == (True, True)


def test_what_all_gates_know_asks_nobody(gated: Callable[..., Host]) -> None:
    host = gated()
    script.quick = lambda _: Passed()
    assert output(start("sender")) == "hello × 2"
    assert (script.seen, host.gates.is_stopped(claim(), "send")) == ([], False)


def test_the_first_gate_that_does_not_pass_wins(gated: Callable[..., Host]) -> None:
    gated()
    script.known = lambda a: Refused("denied", f"not {a.arguments['text']}") if a.tool else Passed()
    run = start("sender")
    assert output(run) == "denied: not hello"
    assert (script.seen, script.sent) == ([], [])
    assert kinds(run).count("step.intended") == 0


def test_who_is_asked_is_waited_for_and_a_decision_wakes_the_run(
    gated: Callable[..., Host],
) -> None:
    gated()
    asks = Asks("approval", "decided:req_1", "req_1", events=gating.told())
    script.asked = lambda _: asks
    run = stands_at(start("sender"), "waiting", "approval")
    assert (run.waiting_detail, script.sent) == ("req_1", [])
    decided(run)
    eventually(lambda: len(script.seen) > 2)
    stands_at(run, "waiting", "approval")
    script.asked = lambda _: Passed()
    decided(run)
    assert output(run) == "hello × 2"
    assert kinds(run).count("approval.requested") == 1


def test_a_decision_that_comes_while_the_gate_looks_is_not_missed(
    gated: Callable[..., Host],
) -> None:
    gated()

    def looks(_: object) -> Permit:
        if len(script.seen) == 1:
            decided(run)  # after the row was read, before the run waits
        return Passed() if len(script.seen) > 1 else Asks("approval", "decided:req_1", "req_1")

    script.asked = looks
    run = start("sender")
    assert output(run) == "hello × 2"


def test_an_approval_that_counts_later_is_waited_for(gated: Callable[..., Host]) -> None:
    host = gated()
    due = host.keeper.now().replace(microsecond=0)

    def looks(_: object) -> Permit:
        early = len(script.seen) < 3
        return Asks("approval", "decided:req_1", "req_1", due) if early else Passed()

    script.asked = looks
    assert output(start("sender")) == "hello × 2"


def test_it_runs_with_the_arguments_of_the_permit(gated: Callable[..., Host]) -> None:
    gated()
    script.asked = lambda _: Passed({}, {"text": "edited", "times": 1}, "A person changed it.")
    run = start("sender")
    assert output(run) == "edited × 1"
    assert given(row(run, Phase.INTENT)) == {"text": "edited", "times": 1}
    assert (row(run, Phase.OUTCOME).meta or {})["told"] == "A person changed it."


def test_a_gate_that_waits_for_an_operator_holds_the_run(gated: Callable[..., Host]) -> None:
    gated()
    script.known = lambda a: Held("stopped:stp_1") if a.tool else Passed()
    run = stands_at(start("sender"), "waiting", "operator")
    assert run.waiting_detail == "stopped:stp_1"


@pytest.mark.parametrize("agent", ["sender", "putter"])
def test_what_is_stopped_after_its_permit_does_not_act(
    gated: Callable[..., Host], agent: str
) -> None:
    gated()

    def passes_and_is_stopped(action: object) -> Permit:
        script.stopped = True
        script.known = lambda _: Held("stopped:stp_1")
        return Passed()

    script.asked = passes_and_is_stopped
    run = stands_at(start(agent), "waiting", "operator")
    assert script.sent == []
    assert (run.waiting_detail, run.steps) == ("stopped:stp_1", 0)


def test_a_gate_that_breaks_lets_nothing_through(gated: Callable[..., Host]) -> None:
    gated("tests.runs.engine.gating.Broken")
    run = stands_at(start("sender"), "waiting", "operator")
    assert (run.waiting_detail, script.sent) == ("gate_failed:Broken", [])


def test_a_database_that_is_away_is_waited_for(gated: Callable[..., Host]) -> None:
    gated()

    def away(_: object) -> Permit:
        if len(script.seen) < 3:
            raise OperationalError("away")
        return Passed()

    script.asked = away
    assert output(start("sender")) == "hello × 2"
    assert {n for _, n in script.seen} == {1}


def test_what_is_known_is_read_again_each_second_and_before_anything_passes(
    gated: Callable[..., Host],
) -> None:
    host = gated()
    assert script.looks >= 1
    eventually(lambda: script.looks >= 3)
    before = script.looks
    host.gates._fresh_until = 0.0
    assert host.gates.is_stopped(claim(), "send")
    assert output(start("sender")) == "hello × 2"
    assert script.looks > before
