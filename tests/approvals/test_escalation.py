"""Escalation: each telling once, in its time, to whoever could act, whatever stops in between."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from agentops.accounts.access import Actor, PersonRequired
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from approvals import acknowledging, auditing, chains, escalation, moves, notices, recounting
from approvals.models import (
    Chain,
    ChainVersion,
    Notice,
    OnExpiry,
    Preference,
    Record,
    Request,
    Risk,
    Rota,
    State,
)  # fmt: skip
from approvals.refusals import AlreadyDecided, MayNotDecide
from runs.models import OutboxMail, Stop, StopScope
from tests import people
from tests.approvals import making

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DECIDERS = {"tell": [{"deciders": True}], "wait_minutes": 10}
EVE = {"tell": [{"person": "eve"}], "wait_minutes": 10}


def chain(*steps: Any, name: str = "usual", is_usual: bool = True) -> None:
    made, _ = Chain.objects.get_or_create(name=name, defaults={"is_usual": is_usual})
    ChainVersion.objects.create(chain=made, number=made.versions.count() + 1, steps=list(steps))


def passes(minutes: float) -> None:
    """The sweep comes by at that minute."""
    now = START + minutes * MINUTE
    with transaction.atomic():
        escalation.begin(now=now)
        escalation.advance(now=now)
        notices.deliver_held(now=now)


def told() -> list[tuple[str, str, int]]:
    rows = Notice.objects.filter(mail__isnull=False).order_by("step", "person__username")
    return [(row.person.username, row.event, row.step) for row in rows.select_related("person")]


def why_not() -> dict[str, str]:
    return {row.person.username: row.why_not for row in Notice.objects.exclude(why_not="")}


@pytest.fixture(autouse=True)
def _addresses(db: None) -> None:
    for name in ("ada", "bo", "eve"):
        making.approver(name)
    User.objects.update(email=F("username"))
    for user in User.objects.all():
        user.email = f"{user.username}@example.org"
        user.save(update_fields=["email"])


@pytest.fixture
def ada() -> User:
    return User.objects.get(username="ada")


@pytest.fixture
def owner() -> User:
    return people.person("olga", Role.OPERATOR)


def test_people_are_told_one_step_after_the_other(asked: Request) -> None:
    chain({"tell": [{"person": "ada"}], "wait_minutes": 10, "times": 2}, EVE)
    for minute in (0, 5, 10, 19, 20, 40, 60):
        passes(minute)
    assert told() == [("ada", "asked", 0), ("ada", "reminded", 1), ("eve", "escalated", 2)]
    assert OutboxMail.objects.count() == 3
    asked.refresh_from_db()
    assert asked.next_step_at is None
    records = Record.objects.filter(request=asked, event="approval.escalated").order_by("pk")
    assert [record.detail["told"] for record in records] == [["ada"], ["ada"], ["eve"]]


def test_without_a_chain_whoever_may_decide_is_told_at_once_and_again(asked: Request) -> None:
    for minute in (0, 30, 60, 120, 600):
        passes(minute)
    assert [(who, step) for who, _, step in told()] == [
        (who, step) for step in (0, 1, 2) for who in ("ada", "bo", "eve")
    ]


def test_a_rule_names_its_chain_and_later_versions_change_nothing(owner: User) -> None:
    chain(EVE, name="night", is_usual=False)
    chain(DECIDERS)
    asked = making.approval(making.waiting_run(owner), rule={"chain": "night"})
    passes(0)
    chain(DECIDERS, name="night")
    asked.refresh_from_db()
    assert (asked.chain or {})["version"] == 1
    assert told() == [("eve", "asked", 0)]


def test_a_chain_that_is_gone_is_the_usual_one(owner: User) -> None:
    chain(EVE)
    making.approval(making.waiting_run(owner), rule={"chain": "nobody knows it"})
    passes(0)
    assert told() == [("eve", "asked", 0)]


def test_who_must_not_decide_is_not_told(owner: User) -> None:
    owner.groups.set(people.person("x", Role.APPROVER).groups.all())
    chain({"tell": [{"deciders": True}, {"person": "olga"}, {"person": "nobody"}]})
    asked = making.approval(making.waiting_run(owner))
    passes(0)
    assert [who for who, _, _ in told()] == ["ada", "bo", "eve"]
    assert why_not()["olga"].startswith("The run is for you.")
    record = Record.objects.get(request=asked, event="approval.escalated")
    assert record.detail["nobody"] == ["nobody"]


def test_a_step_for_nobody_does_not_wait(asked: Request) -> None:
    chain({"tell": [{"team": "empty"}], "wait_minutes": 600}, EVE)
    passes(0)
    passes(0.1)
    assert told() == [("eve", "escalated", 1)]


def test_a_decision_ends_it(asked: Request) -> None:
    chain(DECIDERS, EVE)
    passes(0)
    Request.objects.update(state=State.APPROVED, decided_at=START)
    passes(100)
    assert len(told()) == 3


def test_switched_off_and_without_address_are_written_down(asked: Request, ada: User) -> None:
    Preference.objects.create(person=ada, switched_off=["asked"])
    User.objects.filter(username="bo").update(email="")
    chain(DECIDERS, DECIDERS)
    passes(0)
    assert why_not() == {"ada": "switched off", "bo": "no mail address"}
    passes(10)
    assert ("ada", "escalated", 1) in told()


# -- quiet hours ---------------------------------------------------------------------------------


def test_quiet_hours_hold_mail_back_until_they_end(asked: Request, ada: User) -> None:
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain(DECIDERS)
    passes(0)
    assert [who for who, _, _ in told()] == ["bo", "eve"]
    passes(59)
    assert len(told()) == 2
    passes(60)
    assert [who for who, _, _ in told()] == ["ada", "bo", "eve"]


def test_what_is_decided_in_quiet_hours_is_not_mailed_after_them(asked: Request, ada: User) -> None:
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain(DECIDERS)
    passes(0)
    Request.objects.update(state=State.REJECTED, decided_at=START)
    passes(60)
    assert "ada" not in [who for who, _, _ in told()]
    assert "before quiet hours ended" in why_not()["ada"]


def test_a_step_whose_people_all_sleep_waits_for_the_first_to_wake(
    asked: Request, ada: User
) -> None:
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain({"tell": [{"person": "ada"}], "wait_minutes": 10}, EVE, {"then": "reject"})
    for minute in (0, 20, 60, 69):
        passes(minute)
    assert told() == [("ada", "asked", 0)]
    passes(70)
    assert ("eve", "escalated", 1) in told()


def test_urgent_steps_mind_no_quiet_hours(asked: Request, ada: User) -> None:
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain({"tell": [{"person": "ada"}], "urgent": True})
    passes(0)
    assert told() == [("ada", "asked", 0)]


def test_a_rota_names_whose_turn_it_is_then(asked: Request) -> None:
    hours = [{"from": "14:00", "to": "18:00"}]
    plan = {"turns": ["ada", "eve"], "each_days": 1, "from": "2026-03-02T00:00", "hours": hours}
    Rota.objects.create(name="on-call", plan=plan)
    chain({"tell": [{"rota": "on-call"}], "wait_minutes": 24 * 60, "times": 2})
    passes(0)
    assert told() == []
    passes(120)
    assert told() == [("ada", "asked", 0)]
    passes(120 + 24 * 60)
    assert ("eve", "escalated", 1) in told()


# -- the end -------------------------------------------------------------------------------------


def test_the_end_of_a_chain_lets_its_time_be_over(asked: Request) -> None:
    chain(DECIDERS, {"then": "reject"})
    passes(0)
    passes(9)
    asked.refresh_from_db()
    assert asked.decide_by is not None
    assert asked.decide_by > START + 10 * MINUTE
    passes(10)
    asked.refresh_from_db()
    assert (asked.decide_by, asked.on_expiry) == (START + 10 * MINUTE, OnExpiry.DENY)


def test_nothing_is_rejected_of_which_nobody_was_told(asked: Request) -> None:
    User.objects.update(email="")
    chain(DECIDERS, {"then": "reject"})
    before = asked.decide_by
    passes(0)
    passes(10)
    asked.refresh_from_db()
    assert asked.decide_by == before
    assert Record.objects.filter(request=asked, event="escalation.failed").count() == 1


@pytest.mark.parametrize(("risk", "passed"), [(Risk.LOW, True), (Risk.HIGH, False)])
def test_only_low_risk_passes_unasked(asked: Request, risk: Risk, passed: bool) -> None:
    Request.objects.update(risk=risk)
    chain(DECIDERS, {"then": "approve"})
    passes(0)
    passes(10)
    asked.refresh_from_db()
    assert (asked.on_expiry == OnExpiry.APPROVE) is passed


# -- what goes wrong -----------------------------------------------------------------------------


def test_one_request_that_cannot_go_on_stops_no_other(asked: Request) -> None:
    other = making.approval()
    chain(EVE)
    escalation.begin(now=START)
    Request.objects.filter(pk=asked.pk).update(chain={"steps": [{"tell": "nonsense"}]})
    passes(0)
    assert Notice.objects.filter(request=other, mail__isnull=False).exists()
    record = Record.objects.get(request=asked, event="escalation.failed")
    assert record.detail["error"].startswith("InvalidChain: step 1")
    Request.objects.filter(pk=asked.pk).update(chain={"steps": [EVE]})
    passes(1)
    assert Notice.objects.filter(request=asked, mail__isnull=False).exists()


def test_a_sweep_that_dies_has_done_nothing_and_the_next_does_it(asked: Request) -> None:
    chain(DECIDERS)

    def dies() -> None:
        with transaction.atomic():
            escalation.begin(now=START)
            escalation.advance(now=START)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dies()
    assert not Notice.objects.exists()
    assert not OutboxMail.objects.exists()
    passes(0)
    passes(0)
    assert len(told()) == 3


def test_after_ten_minutes_without_a_sweep_everybody_still_has_their_time(asked: Request) -> None:
    chain({**DECIDERS, "wait_minutes": 2}, {**EVE, "wait_minutes": 2, "times": 3})
    passes(0)
    passes(12)
    assert [step for _, _, step in told()] == [0, 0, 0, 1]
    passes(13)
    assert len(told()) == 4
    for minute in (14, 16, 18):
        passes(minute)
    assert [step for _, _, step in told()] == [0, 0, 0, 1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_many_sweepers_at_once_tell_each_person_once(asked: Request) -> None:
    for _ in range(5):
        making.approval()
    chain(DECIDERS, DECIDERS)
    start = threading.Barrier(6)

    def sweeper() -> None:
        start.wait(10)
        for minute in (0, 0, 10, 10, 20):
            with transaction.atomic():
                escalation.begin(now=START + minute * MINUTE)
                escalation.advance(now=START + minute * MINUTE)
        connection.close()

    threads = [threading.Thread(target=sweeper) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    passes(10)
    assert Notice.objects.filter(mail__isnull=False).count() == 6 * 3 * 2
    assert OutboxMail.objects.count() == 6 * 3 * 2
    assert not Record.objects.filter(event="escalation.failed").exists()


def test_questions_go_to_whom_the_run_is_for_and_attention_to_operators(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(email="olga@example.org")
    making.question(making.waiting_run(owner))
    making.attention()
    passes(0)
    assert {(row.request.kind, row.person.username) for row in Notice.objects.all()} == {
        ("question", "olga")
    }
    administrator = people.administrator("opal")
    administrator.email = "opal@example.org"
    administrator.save()
    passes(60)
    assert ("opal", "escalated", 1) in told()


def test_the_usual_chain_never_ends_a_request(asked: Request) -> None:
    assert not any(telling.then for telling in chains.plan(chains.USUAL))


def test_whose_run_it_is_hears_once_that_it_was_rejected(asked: Request, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(email="olga@example.org")
    asked.refresh_from_db()
    with transaction.atomic():
        moves.move(moves.locked(asked.pk), State.REJECTED, moves.By("ada"))
    mail = OutboxMail.objects.get(person=owner)
    assert "rejected" in mail.subject


def test_who_said_no_to_their_own_is_told_nothing(asked: Request, owner: User) -> None:
    with transaction.atomic():
        moves.move(moves.locked(asked.pk), State.REJECTED, moves.By("olga", owner.pk))
    assert not OutboxMail.objects.exists()


# -- deadlines and people --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_expiry", "later"), [(OnExpiry.ESCALATE, 60), (OnExpiry.WAIT, 24 * 60)]
)
def test_after_a_deadline_more_people_are_told_once_more(
    asked: Request, on_expiry: OnExpiry, later: int
) -> None:
    chain({"tell": [{"person": "ada"}], "wait_minutes": 600}, EVE, {"then": "reject"})
    Request.objects.update(decide_by=START + 30 * MINUTE, on_expiry=on_expiry)

    def sweeps(minute: float) -> None:
        with transaction.atomic():
            escalation.widen(now=START + minute * MINUTE)
        passes(minute)

    for minute in (0, 29):
        sweeps(minute)
    assert told() == [("ada", "asked", 0)]
    for minute in (30, 31, 40):
        sweeps(minute)
    assert told()[1:] == [("eve", "escalated", 1), *(
        (who, "reminded" if who != "bo" else "escalated", 2) for who in ("ada", "bo", "eve")
    )]  # fmt: skip
    sweeps(40 + later)
    assert {step for _, _, step in told()} == {0, 1, 2, 3}
    asked.refresh_from_db()
    assert (asked.state, asked.decide_by) == (State.PENDING, START + 30 * MINUTE)
    assert Record.objects.filter(request=asked, detail__late=True).count() == 1


def test_taking_up_stops_notices_and_giving_back_goes_on(asked: Request, ada: User) -> None:
    chain(DECIDERS, EVE)
    passes(0)
    actor = Actor(ada)
    acknowledging.acknowledge(request=asked, actor=actor, now=START)
    passes(100)
    assert len(told()) == 3
    asked.refresh_from_db()
    assert asked.acknowledged_by == ada
    acknowledging.give_back(request=asked, actor=actor, now=START + 100 * MINUTE)
    passes(100)
    assert told()[3:] == [("eve", "reminded", 1)]
    events = asked.records.filter(by="ada").order_by("pk").values_list("event", flat=True)
    assert list(events) == ["approval.acknowledged", "approval.given_back"]


def test_who_cannot_decide_takes_nothing_up(asked: Request, owner: User) -> None:
    with pytest.raises(MayNotDecide, match="role approver"):
        acknowledging.acknowledge(request=asked, actor=Actor(owner), now=START)
    with pytest.raises(PersonRequired):
        acknowledging.acknowledge(
            request=asked, actor=Actor(owner, scopes=frozenset(Scope)), now=START
        )


def test_what_is_decided_is_not_taken_up(asked: Request, ada: User) -> None:
    Request.objects.update(state=State.REJECTED, decided_at=START)
    for act in (acknowledging.acknowledge, acknowledging.give_back, acknowledging.hurry):
        with pytest.raises(AlreadyDecided):
            act(request=asked, actor=Actor(ada), now=START)


def test_people_hurry_the_next_telling_and_never_the_end(asked: Request, owner: User) -> None:
    chain({"tell": [{"person": "ada"}], "wait_minutes": 600}, EVE, {"then": "reject"})
    passes(0)
    acknowledging.hurry(request=asked, actor=Actor(owner), now=START + MINUTE)
    passes(1)
    assert told() == [("ada", "asked", 0), ("eve", "escalated", 1)]
    with pytest.raises(acknowledging.AllTold):
        acknowledging.hurry(request=asked, actor=Actor(owner), now=START + MINUTE)
    before = asked.decide_by
    asked.refresh_from_db()
    assert asked.decide_by == before


def test_the_record_says_who_was_told_and_who_was_not_and_why(asked: Request, ada: User) -> None:
    User.objects.filter(username="bo").update(email="")
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain({"tell": [{"deciders": True}, {"team": "none"}], "wait_minutes": 10})
    passes(0)
    row = Record.objects.get(request=asked, event="approval.escalated")
    assert recounting.sentence(row) == (
        "Told eve, ada after quiet hours; not bo (no mail address), team none (nobody now)"
    )


def test_what_is_stopped_tells_nobody_and_is_not_overdue(asked: Request, ada: User) -> None:
    Preference.objects.create(person=ada, quiet={"from": "11:00", "to": "13:00"}, zone="UTC")
    chain(DECIDERS, EVE)
    passes(0)
    before = told()
    stop = Stop.objects.create(scope=StopScope.AGENT, target=asked.agent, reason="x", by="opal")
    Request.objects.update(decide_by=START, on_expiry=OnExpiry.ESCALATE)
    with transaction.atomic():
        assert escalation.widen(now=START + 100 * MINUTE) == 0
    passes(100)
    assert told() == before
    assert auditing.look().overdue == 0
    Stop.objects.filter(pk=stop.pk).delete()
    assert auditing.look().overdue == 1
    passes(100)
    assert len(told()) > len(before)
