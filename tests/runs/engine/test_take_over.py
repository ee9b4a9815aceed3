"""A person takes a run over, does by hand what a tool would, and hands it back; a real worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.access import Actor
from agentops.sdk import catalog, codec
from runs import services, takeovers
from runs.engine import store
from runs.engine.host import Host
from runs.models import Journal, Run, Stop, TakeOver
from tests import people
from tests.runs.engine import stopping
from tests.runs.engine.conftest import ended, eventually, kinds, stands_at, start


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    catalog.configure(("tests.runs.engine.stopping",))
    stopping.done.clear()
    stopping.heard.clear()
    stopping.go_on.clear()
    Stop.objects.create(public_id="stp_1", scope="tool", target="pay", reason="x", by="y")
    return make_host(gates=("runs.engine.stops.StopGate",))


def root(name: str = "ana") -> Actor:
    return Actor(people.administrator(name))


def stuck(agent: str = "shopper") -> Run:
    """A run that is held where it wants to pay."""
    return stands_at(start(agent), "waiting", "operator")


def test_what_a_person_supplies_is_the_result_and_the_tool_is_not_called(host: Host) -> None:
    run, ana = stuck(), root()
    takeovers.take(run=run, actor=ana)
    [step] = takeovers.open_steps(run)
    assert (step.key, step.name, step.arguments) == ("pay#1", "pay", {"amount": "240.00"})
    takeovers.supply(run=run, actor=ana, key="pay#1", result="paid in the bank's own page")
    takeovers.hand_back(run=run, actor=ana)
    assert ended(run).status == "succeeded"
    payload = run.payload
    output = codec.decode(payload.output_codec or 0, bytes(payload.output or b""))
    assert output == ["there", "paid in the bank's own page"]
    assert stopping.done == ["look"]
    line = Journal.objects.get(run=run, key="pay#1")
    assert line.kind == "step.supplied"
    assert line.meta is not None
    assert (line.meta["by"], line.meta["supplied"]) == ("ana", True)
    assert "run.resumed" in kinds(run)


def test_a_model_is_told_that_a_person_did_it(host: Host) -> None:
    run, ana = stuck("asker"), root()
    [key] = Journal.objects.filter(run=run, kind="stop.held").values_list("key", flat=True)
    takeovers.take(run=run, actor=ana)
    takeovers.supply(run=run, actor=ana, key=key.partition("/")[2], result="paid")
    takeovers.hand_back(run=run, actor=ana)
    assert ended(run).status == "succeeded"
    assert stopping.heard[-1].startswith("A person (ana) did this by hand")
    assert stopping.heard[-1].endswith("paid")


def test_a_running_run_is_theirs_at_its_next_step(host: Host) -> None:
    run, ana = start("waits-long"), root()
    eventually(lambda: "waiting" in stopping.done)
    takeovers.take(run=run, actor=ana)
    stopping.go_on.set()
    stands_at(run, "waiting", "operator")
    assert run.waiting_detail == "paused:ana, taking over"
    assert stopping.done == ["waiting"]
    takeovers.hand_back(run=run, actor=ana)
    assert ended(run).status == "succeeded"
    assert stopping.done == ["waiting", "look"]


def test_a_lease_ends_by_itself(host: Host) -> None:
    """Nobody's holiday keeps a run."""
    run, ana = start("waits-long"), root()
    eventually(lambda: "waiting" in stopping.done)
    takeovers.take(run=run, actor=ana)
    stopping.go_on.set()
    stands_at(run, "waiting", "operator")
    TakeOver.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert ended(run).status == "succeeded"
    assert not TakeOver.objects.exists()
    resumed = Journal.objects.get(run=run, kind="run.resumed")
    assert resumed.meta == {"by": "sweep", "after": "taken over"}


def test_only_its_holder_moves_it(host: Host) -> None:
    run, ana, bo = stuck(), root(), root("bo")
    takeovers.take(run=run, actor=ana)
    for move in (
        lambda: takeovers.take(run=run, actor=bo),
        lambda: takeovers.hand_back(run=run, actor=bo),
        lambda: takeovers.supply(run=run, actor=bo, key="pay#1", result=1),
        lambda: services.resume_run(run=run, actor="bo"),
    ):
        with pytest.raises(store.TakenOver, match="ana took this run over"):
            move()
    assert services.cancel_run(run=run, actor="bo", by_operator=True).status == "cancelled"
