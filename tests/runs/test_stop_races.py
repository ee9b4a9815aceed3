"""Stops and take-overs with connections of their own: one wins, and the others hear of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from django.db import connection

from agentops.accounts.access import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk.errors import AgentopsError
from runs import stops, takeovers
from runs.models import Journal, Run, Stop, TakeOver
from tests import factories, people

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 8


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """What each act returns, or the code of its refusal; all begin in the same moment."""
    start = threading.Barrier(len(acts))
    found: list[object] = []

    def one(act: Callable[[], object]) -> None:
        start.wait()
        try:
            found.append(act())
        except AgentopsError as refused:
            found.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == len(acts)
    return found


def operators(count: int) -> list[User]:
    return [people.person(f"op-{number}", Role.OPERATOR) for number in range(count)]


def throw(who: User, scope: str = "everything", target: str = "") -> stops.Thrown:
    return stops.throw(actor=Actor(who), scope=scope, target=target, reason="It pays twice.")


def lift(who: User, stop: Stop) -> bool:
    after = stops.lift(actor=Actor(who), public_id=stop.public_id, reason="Mended.")
    return after.lifted_at is not None


def test_the_same_stop_is_thrown_once() -> None:
    acts = [partial(throw, who, "tool", "pay") for who in operators(AT_ONCE)]
    thrown = [it for it in at_once(acts) if isinstance(it, stops.Thrown)]
    assert sorted(it.created for it in thrown) == [False] * (AT_ONCE - 1) + [True]
    assert Stop.objects.count() == 1


def test_one_person_in_many_tabs_does_not_lift_everything() -> None:
    [ana] = operators(1)
    stop = throw(ana).stop
    said = at_once([partial(lift, ana, stop)] * AT_ONCE)
    assert (said.count(False), said.count("second_person_needed")) == (1, AT_ONCE - 1)
    assert Stop.objects.get().lifted_at is None


def test_everything_is_lifted_once_by_two_of_many() -> None:
    """And each run that it held goes on once."""
    several = operators(AT_ONCE)
    runs = [factories.run() for _ in range(5)]
    stop = throw(several[0]).stop
    said = at_once([partial(lift, who, stop) for who in several])
    assert [said.count(it) for it in (False, True, "not_holding")] == [1, 1, AT_ONCE - 2]
    stop.refresh_from_db()
    assert stop.lifted_at is not None
    assert stop.first_by_id != stop.lifted_by_id
    for run in runs:
        kinds = Journal.objects.filter(run=run).order_by("seq").values_list("kind", flat=True)
        assert list(kinds) == ["run.waiting", "run.resumed"]


def take(who: User, run: Run) -> int:
    return takeovers.take(run=run, actor=Actor(who)).person_id


def test_one_of_many_takes_a_run_over() -> None:
    several = [people.administrator(f"root-{number}") for number in range(AT_ONCE)]
    run = factories.run()
    said = at_once([partial(take, who, run) for who in several])
    assert said.count("taken_over") == AT_ONCE - 1
    taken = TakeOver.objects.get()
    assert taken.person_id in said
    assert Run.objects.get().pause_by == f"{taken.person.username}, taking over"
    assert Journal.objects.filter(run=run, kind="run.paused").count() == 1


def test_a_result_is_supplied_once_however_often_it_is_sent() -> None:
    ana = people.administrator("root")
    run = factories.run(status="waiting", waiting_for="operator", waiting_detail="stop:stp_1",
                        ready_at=None)  # fmt: skip
    factories.Story.of(run).note("stop.held", key="@stop.held/pay#1", type="tool").save()
    take(ana, run)

    def supply(number: int) -> str:
        given = takeovers.supply(run=run, actor=Actor(ana), key="pay#1", result=number)
        return given.public_id

    said = at_once([partial(supply, number) for number in range(AT_ONCE)])
    assert (said.count(run.public_id), said.count("not_open")) == (1, AT_ONCE - 1)
