"""While a stop holds nothing it is about is decided, and its time stands still. Note [Frozen]."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from approvals import deciding, duties, escalation, freezing, questions
from approvals.models import OnExpiry, Request, Risk, State, Verdict
from approvals.refusals import Frozen
from runs import stops
from runs.models import Stop, WaitingFor
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def stop(scope: str = "everything", target: str = "", ago: timedelta = timedelta()) -> Stop:
    made = Stop.objects.create(scope=scope, target=target, reason="It pays twice.", by="ana")
    Stop.objects.filter(pk=made.pk).update(thrown_at=timezone.now() - ago)
    made.refresh_from_db()
    return made


def lifted(made: Stop, ago: timedelta = timedelta()) -> Stop:
    Stop.objects.filter(pk=made.pk).update(lifted_at=timezone.now() - ago)
    made.refresh_from_db()
    return made


def decide(asked: Request, by: User, verdict: Verdict = Verdict.APPROVE) -> State:
    said = {"verdict": verdict, **making.shown(asked)}
    return State(deciding.decide(request=asked, actor=Actor(by), **said).request.state)


def asked_by(minutes: float, **fields: object) -> Request:
    """Asked a day ago, to be decided within so many minutes from now."""
    made = making.approval(decide_by=timezone.now() + minutes * MINUTE, **fields)  # type: ignore[arg-type]
    Request.objects.filter(pk=made.pk).update(created_at=timezone.now() - 24 * HOUR)
    made.refresh_from_db()
    return made


def near(moment: datetime | None, other: datetime) -> bool:
    return moment is not None and abs(moment - other) < timedelta(seconds=20)


@pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.REJECT])
def test_nothing_is_decided_of_what_is_stopped(asked: Request, ada: User, verdict: Verdict) -> None:
    made = stop("tool", asked.name)
    with pytest.raises(Frozen, match=f"It pays twice. Lift stop {made.public_id}"):
        decide(asked, ada, verdict)
    asked.refresh_from_db()
    assert (asked.state, asked.votes.count()) == (State.PENDING, 0)
    lifted(made)
    assert decide(asked, ada, verdict) != State.PENDING


def test_questions_are_neither_answered_nor_declined(owner: User) -> None:
    asked = making.question(making.waiting_run(owner, WaitingFor.ANSWER))
    made = stop("person", owner.username)
    with pytest.raises(Frozen):
        questions.answer(request=asked, actor=Actor(owner), answer={"account": "EU"})
    with pytest.raises(Frozen):
        questions.decline(request=asked, actor=Actor(owner))
    lifted(made)
    questions.answer(request=asked, actor=Actor(owner), answer={"account": "EU"})


def test_each_stop_freezes_what_it_is_about(owner: User) -> None:
    above = making.waiting_run(owner)
    below = making.waiting_run(parent=above, root=above, parent_key="c#1", agent="below")
    asked = {"refund": making.approval(above), "send": making.approval(below, tool="send")}
    asked["ask"] = making.question(making.waiting_run(agent="else"))

    def frozen(scope: str, target: str) -> set[str]:
        made = stop(scope, target)
        awake = set(freezing.awake(Request.objects.all()))
        made.delete()
        return {name for name, request in asked.items() if request not in awake}

    assert frozen("everything", "") == {"refund", "send", "ask"}
    assert frozen("agent", "invoice-clerk") == {"refund"}
    assert frozen("agent_version", "invoice-clerk@14") == {"refund"}
    assert frozen("agent_version", "invoice-clerk@15") == set()
    assert frozen("tool", "send") == {"send"}
    assert frozen("tool", "ask") == set()
    assert frozen("person", owner.username) == {"refund"}
    assert frozen("run", above.public_id) == {"refund", "send"}
    assert frozen("run", below.public_id) == {"send"}


@pytest.mark.parametrize("on_expiry", [OnExpiry.DENY, OnExpiry.APPROVE])
def test_it_neither_expires_nor_is_approved_by_default(on_expiry: str) -> None:
    asked = asked_by(-5, on_expiry=on_expiry, risk=Risk.LOW)
    made = stop("agent", asked.agent, ago=10 * MINUTE)
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == State.PENDING
    lifted(made)
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == State.PENDING, "there were five minutes left when it was stopped"
    assert near(asked.decide_by, timezone.now() + 5 * MINUTE)


def test_what_is_approved_does_not_lapse_and_nobody_is_told_again(asked: Request) -> None:
    past = timezone.now() - MINUTE
    Request.objects.update(state=State.APPROVED, decided_at=past, execute_by=past)
    other = making.approval()
    Request.objects.filter(pk=other.pk).update(next_step_at=past, chain={"steps": []})
    stop(ago=2 * MINUTE)
    duties.sweep()
    escalation.advance(now=timezone.now())
    asked.refresh_from_db()
    other.refresh_from_db()
    assert asked.state == State.APPROVED
    assert other.next_step_at == past


def test_deadlines_move_once_by_the_time_of_the_stop() -> None:
    asked = asked_by(60)
    before = asked.decide_by
    lifted(stop(ago=30 * MINUTE), ago=10 * MINUTE)
    duties.sweep()
    duties.sweep()
    asked.refresh_from_db()
    assert before is not None
    assert near(asked.decide_by, before + 20 * MINUTE)
    assert Stop.objects.get().thawed_at is not None


def test_what_was_asked_during_a_stop_was_frozen_from_then_on() -> None:
    asked = asked_by(60)
    Request.objects.update(created_at=timezone.now() - 5 * MINUTE)
    before = asked.decide_by
    lifted(stop(ago=30 * MINUTE))
    duties.sweep()
    asked.refresh_from_db()
    assert before is not None
    assert near(asked.decide_by, before + 5 * MINUTE)


def test_stops_that_overlap_count_once() -> None:
    """The tool from 40 to 20 minutes ago, everything from 30 to 10: frozen for 30 minutes."""
    asked = asked_by(60)
    before = asked.decide_by
    tool, whole = stop("tool", asked.name, ago=40 * MINUTE), stop(ago=30 * MINUTE)
    lifted(tool, ago=20 * MINUTE)
    duties.sweep()
    asked.refresh_from_db()
    assert asked.decide_by == before, "it is still frozen"
    lifted(whole, ago=10 * MINUTE)
    duties.sweep()
    asked.refresh_from_db()
    assert before is not None
    assert near(asked.decide_by, before + 30 * MINUTE)


def test_a_stop_after_another_adds_its_own_time() -> None:
    """Also where the sweep comes only when the second one holds."""
    asked = asked_by(60)
    before = asked.decide_by
    lifted(stop("tool", asked.name, ago=40 * MINUTE), ago=30 * MINUTE)
    second = stop("agent", asked.agent, ago=20 * MINUTE)
    duties.sweep()
    lifted(second, ago=15 * MINUTE)
    duties.sweep()
    asked.refresh_from_db()
    assert before is not None
    assert near(asked.decide_by, before + 15 * MINUTE)


def test_what_another_stop_is_about_does_not_move() -> None:
    asked = asked_by(60)
    before = asked.decide_by
    lifted(stop("agent", "else", ago=30 * MINUTE))
    lifted(stop("tool", "else", ago=20 * MINUTE))
    duties.sweep()
    asked.refresh_from_db()
    assert asked.decide_by == before


def test_two_people_lift_everything_and_the_inbox_goes_on(asked: Request, ada: User) -> None:
    """From end to end, through the doors people use."""
    ana, bo = Actor(person("ana", Role.OPERATOR)), Actor(person("bo", Role.OPERATOR))
    thrown = stops.throw(actor=ana, scope="everything", target="", reason="Look first.").stop
    stops.lift(actor=ana, public_id=thrown.public_id, reason="Seen.")
    with pytest.raises(Frozen):
        decide(asked, ada)
    stops.lift(actor=bo, public_id=thrown.public_id, reason="Seen, too.")
    assert decide(asked, ada) == State.APPROVED
