"""The first gate: what a stop is about is held before it begins, and goes on when it is lifted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from agentops.accounts.access import Actor
from agentops.accounts.roles import Role
from agentops.execution.port import PASSED, Action, Held
from agentops.execution.records import Claim
from agentops.sdk import catalog, steps
from runs import services, stops
from runs.engine.host import Host
from runs.engine.stops import StopGate
from runs.models import Journal, Run, Stop
from tests import people
from tests.runs.engine import stopping
from tests.runs.engine.conftest import ended, stands_at, start


@pytest.fixture
def stop_host(make_host: Callable[..., Host]) -> Callable[..., Host]:
    catalog.configure(("tests.runs.engine.stopping",))
    stopping.done.clear()
    return make_host


def ana() -> Actor:
    return Actor(people.person("ana", Role.OPERATOR))


def throw(scope: str, target: str = "") -> Stop:
    return stops.throw(actor=ana(), scope=scope, target=target, reason="it pays twice").stop


def lift(stop: Stop) -> None:
    by = Actor(people.person("bo", Role.OPERATOR))
    assert stops.lift(actor=by, public_id=stop.public_id, reason="mended").lifted_at


def held(run: Run, stop: Stop) -> None:
    stands_at(run, "waiting", "operator")
    assert run.waiting_detail == f"stop:{stop.public_id}"


def test_a_run_goes_on_until_it_calls_the_stopped_tool(stop_host: Callable[..., Host]) -> None:
    stop = throw("tool", "pay")
    stop_host()
    run = start("shopper")
    held(run, stop)
    assert stopping.done == ["look"]
    told = Journal.objects.get(run=run, kind="stop.held")
    assert (told.key, told.meta) == (
        "@stop.held/pay#1", {"stop": stop.public_id, "scope": "tool", "type": "tool"}
    )  # fmt: skip
    lift(stop)
    assert ended(run).status == "succeeded"
    assert stopping.done == ["look", "pay"]
    assert Journal.objects.filter(run=run, kind="step.intended").count() == 1


@pytest.mark.parametrize("first", ["step", "model"])
def test_steps_and_calls_of_models_are_held_too(stop_host: Callable[..., Host], first: str) -> None:
    """A worker that got the run before the stop holds it at its next step."""
    Stop.objects.create(public_id="stp_1", scope="agent_version", target="thinker@", reason="x")
    stop = Stop.objects.get()
    version = catalog.catalog().agent("thinker").version
    run = start("thinker", first=first)
    # What the row says of the version is older than what would execute it.
    Run.objects.filter(pk=run.pk).update(agent_version="0")
    Stop.objects.update(target=f"thinker@{version}")
    stop_host()
    held(run, stop)
    assert stopping.done == []
    lift(stop)
    assert ended(run).status == "succeeded"
    assert stopping.done == [first]


def test_a_stop_of_a_run_holds_the_runs_below_it(stop_host: Callable[..., Host]) -> None:
    above, other = start("parent"), start("parent")
    stop = Stop.objects.create(scope="run", target=above.public_id, reason="x", by="y")
    stop_host()
    assert ended(other).status == "succeeded"
    assert above.children.count() == 0
    lift(stop)
    assert ended(above).status == "succeeded"


def test_a_stop_of_a_person_holds_their_runs_only(stop_host: Callable[..., Host]) -> None:
    olga = people.person("olga")
    hers = services.start_run(agent="shopper", input={}, owner=olga, started_by="olga").run
    stop = throw("person", "olga")
    stop_host()
    assert ended(start("shopper")).status == "succeeded"
    held(hers, stop)
    lift(stop)
    assert ended(hers).status == "succeeded"


def test_runs_that_begin_during_a_stop_are_parked_by_the_sweep(
    stop_host: Callable[..., Host],
) -> None:
    stop = throw("everything")
    stop_host()
    run = start("shopper")
    held(run, stop)
    assert run.started_at is None
    for name in ("bo", "ida"):
        by = Actor(people.person(name, Role.OPERATOR))
        stops.lift(actor=by, public_id=stop.public_id, reason="mended")
    assert ended(run).status == "succeeded"


def test_what_was_permitted_is_stopped_before_it_acts(stop_host: Callable[..., Host]) -> None:
    """See Note [The last look]: its intent is withdrawn, so nothing about it is uncertain."""
    Stop.objects.create(public_id="stp_late", scope="tool", target="pay", reason="x", by="y")
    stopping.Late.passed.clear()
    stopping.Late.over.clear()
    stop_host(gates=("tests.runs.engine.stopping.Late",))
    run = start("shopper")
    held(run, Stop.objects.get())
    assert stopping.done == ["look"]
    kinds = Journal.objects.filter(run=run, key="pay#1").order_by("seq").values_list("kind")
    assert list(kinds) == [("step.intended",), ("step.settled",)]
    stopping.Late.over.set()
    lift(Stop.objects.get())
    assert ended(run).status == "succeeded"
    assert stopping.done == ["look", "pay"]


def test_the_narrowest_stop_is_named() -> None:
    gate = StopGate(lambda _: (_ for _ in ()).throw(AssertionError))
    rows = [
        ("stp_all", "everything", "", None),
        ("stp_tool", "tool", "pay", None),
        ("stp_run", "run", "", 5),
        ("stp_olga", "person", "olga", 3),
        ("stp_nobody", "person", "gone", None),
    ]
    gate.refresh(lambda _: rows)
    work = steps.tool_call(stopping.pay, (), {}, None)

    def named(**who: int) -> str:
        fields = {"id": 1, "owner_id": None, **who}
        claim = Claim(
            public_id="run_1", epoch=1, agent="shopper", agent_version="7", input=None,
            created_at=None, **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        permit = gate.quick(Action(claim, "pay#1", 1, work))
        assert isinstance(permit, Held)
        assert gate.is_stopped(claim, "pay")
        return permit.detail

    assert named(id=5, owner_id=3) == "stop:stp_run"
    assert named(owner_id=3) == "stop:stp_tool"
    rows[:] = [row for row in rows if row[1] == "person"]
    gate.refresh(lambda _: rows)
    assert named(owner_id=3) == "stop:stp_olga"
    claim = Claim(1, "run_1", 1, "shopper", "7", None, None)  # type: ignore[arg-type]
    assert gate.quick(Action(claim, "pay#1", 1, work)) is PASSED


def test_one_statement_a_second_while_there_is_no_stop(transactional_db: None) -> None:
    asked: list[str] = []
    gate = StopGate(lambda _: (_ for _ in ()).throw(AssertionError))

    def query(sql: str, *_: object) -> list[tuple[object, ...]]:
        asked.append(sql)
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    gate.refresh(query)
    assert len(asked) == 1
    claim = Claim(1, "run_1", 1, "shopper", "7", None, None)  # type: ignore[arg-type]
    assert not gate.is_stopped(claim, "pay")
