"""A word counts once, of the right person, about exactly what they were shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agentops.accounts.access import NotFound, PersonRequired
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from approvals import deciding, editing
from approvals.models import OnExpiry, PolicyVersion, Record, Request, Risk, State, Verdict, Vote
from approvals.refusals import (
    AlreadyDecided,
    AlreadyVoted,
    InvalidEdit,
    MayNotDecide,
    RequestChanged,
    Tampered,
    TooLate,
)
from runs.labels import InvalidRequest
from runs.models import Inbox, Run
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db


def approves(request: Request, by: User, **said: Any) -> deciding.Decided:
    given = {"verdict": Verdict.APPROVE, **making.shown(request), **said}
    return deciding.decide(request=request, actor=Actor(by), **given)


def rejects(request: Request, by: User, **said: Any) -> deciding.Decided:
    return approves(request, by, verdict=Verdict.REJECT, **said)


def events(request: Request) -> list[str]:
    return list(request.records.order_by("id").values_list("event", flat=True))


def test_one_approver_is_enough_where_one_is_asked(asked: Request, ada: User) -> None:
    made = approves(asked, ada, comment="Seen the photo.")
    assert (made.request.state, made.is_settled, made.missing) == (State.APPROVED, True, [0])
    assert made.request.decided_by == ada
    assert made.request.comment == "Seen the photo."
    assert made.request.execute_by is not None
    assert made.request.ready_at == made.request.execute_by - timedelta(minutes=15)
    assert events(asked) == ["approval.requested", "approval.voted", "approval.decided"]


def test_the_record_says_who_said_what_of_which_digest(asked: Request, ada: User) -> None:
    approves(asked, ada)
    decided = Record.objects.get(request=asked, event="approval.decided")
    assert (decided.by, decided.person) == ("ada", ada)
    assert bytes(decided.digest or b"").hex() == making.shown(asked)["digest"]
    assert decided.detail == {"from": "pending", "to": "approved", "revision": 1}


def test_the_run_hears_of_it_and_is_ready(asked: Request, ada: User) -> None:
    approves(asked, ada)
    run = Run.objects.get(pk=asked.run_id)
    assert (run.status, run.signal_seq) == ("queued", 1)
    assert Inbox.objects.get(run=run).name == f"decided:{asked.public_id}"


def test_one_rejection_is_enough_and_the_agent_hears_why(asked: Request, ada: User) -> None:
    made = rejects(asked, ada, comment="Ask for the receipt first.", for_good=True)
    assert (made.request.state, made.request.for_good) == (State.REJECTED, True)
    assert made.request.comment == "Ask for the receipt first."
    assert made.request.execute_by is None


def test_rejecting_can_end_the_run_in_the_same_moment(asked: Request, ada: User) -> None:
    rejects(asked, ada, stop_run=True, comment="Not at all.")
    run = Run.objects.get(pk=asked.run_id)
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled_by_operator")
    assert not Inbox.objects.filter(run=run).exists()


def test_what_was_decided_is_not_decided_again(asked: Request, ada: User, bo: User) -> None:
    said = making.shown(asked)
    approves(asked, ada)
    for again in (ada, bo):
        with pytest.raises(AlreadyDecided, match=r"approved since .*, by ada"):
            deciding.decide(request=asked, actor=Actor(again), verdict=Verdict.REJECT, **said)
    assert Vote.objects.count() == 1


@pytest.mark.parametrize("said", [{"revision": 2}, {"digest": "00" * 32}, {"digest": ""}])
def test_who_saw_something_else_decides_nothing(
    asked: Request, ada: User, said: dict[str, Any]
) -> None:
    with pytest.raises(RequestChanged):
        approves(asked, ada, **said)
    asked.refresh_from_db()
    assert asked.state == State.PENDING


def test_bytes_that_were_changed_behind_our_back_cannot_be_approved(
    asked: Request, ada: User
) -> None:
    said = making.shown(asked)
    newest = asked.revisions.get()
    forged = bytes(newest.envelope).replace(b"240.00", b"940.00")
    asked.revisions.update(envelope=forged)
    with pytest.raises(Tampered):
        deciding.decide(request=asked, actor=Actor(ada), verdict=Verdict.APPROVE, **said)


def test_after_the_deadline_nobody_decides(asked: Request, ada: User) -> None:
    Request.objects.update(decide_by=timezone.now() - timedelta(seconds=1))
    with pytest.raises(TooLate):
        approves(asked, ada)


@pytest.mark.parametrize("on_expiry", [OnExpiry.WAIT, OnExpiry.ESCALATE])
def test_what_goes_on_waiting_is_decided_after_its_deadline(
    asked: Request, ada: User, on_expiry: str
) -> None:
    Request.objects.update(decide_by=timezone.now(), on_expiry=on_expiry)
    assert approves(asked, ada).is_settled


def test_tokens_and_services_decide_nothing(asked: Request, ada: User) -> None:
    service = person("robot", Role.APPROVER)
    User.objects.filter(pk=service.pk).update(is_service=True)
    service.refresh_from_db()
    given = {"request": asked, "verdict": Verdict.APPROVE, **making.shown(asked)}
    with pytest.raises(PersonRequired):
        deciding.decide(actor=Actor(ada, scopes=frozenset(Scope)), **given)
    with pytest.raises(PersonRequired):
        deciding.decide(actor=Actor(ada, service=service, scopes=frozenset(Scope)), **given)
    with pytest.raises(MayNotDecide):
        deciding.decide(actor=Actor(service), **given)
    assert not Vote.objects.exists()


def test_a_stranger_is_not_told_that_there_is_something(owner: User, ada: User) -> None:
    own = making.approval(making.waiting_run(owner, team=making.team("finance")))
    with pytest.raises(NotFound):
        approves(own, ada)


def test_who_sees_it_without_the_role_is_told_who_decides(asked: Request) -> None:
    admin = person("root", Role.ADMINISTRATOR)
    with pytest.raises(MayNotDecide, match="role approver"):
        approves(asked, admin)


def test_an_edit_of_the_only_approver_is_what_they_approve(asked: Request, ada: User) -> None:
    made = approves(asked, ada, arguments={**making.REFUND, "amount": "120.00"})
    assert made.request.state == State.APPROVED
    newest = asked.revisions.get(number=2)
    read = editing.read(newest)
    assert (read["arguments"]["amount"], read["revision"]) == ("120.00", 2)  # type: ignore[index]
    assert newest.made_by == ada
    edited = Record.objects.get(event="approval.edited")
    assert edited.detail == {"revision": 2, "changed": ["amount"]}
    decided = Record.objects.get(event="approval.decided")
    assert bytes(newest.digest) == bytes(decided.digest or b"") == bytes(edited.digest or b"")


def test_json_kinds_survive_an_edit(asked: Request, ada: User) -> None:
    approves(asked, ada, arguments={**making.REFUND, "order": 4412})
    assert editing.read(asked.revisions.get(number=2))["arguments"]["order"] == 4412  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({**making.REFUND, "order": "4411"}, "arguments/order"),
        ({**making.REFUND, "bcc": "x"}, "arguments/bcc"),
        ({"amount": "1"}, "arguments/customer"),
        ({**making.REFUND, "order": 2**60}, "arguments"),
        (making.REFUND, "already"),
    ],
)
def test_an_edit_that_is_no_call_of_the_tool_is_refused(
    asked: Request, ada: User, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidEdit, match=said):
        approves(asked, ada, arguments=arguments)
    assert asked.revisions.count() == 1


def rules(*said: dict[str, object]) -> None:
    usual = {"tools": ["refund"], "when": "double(arguments.amount) > 500.0"}
    made = [{"id": f"r{n}", **usual, **one} for n, one in enumerate(said)]
    PolicyVersion.objects.create(number=1, rules=made, unmatched="ask")


def test_nobody_reaches_by_an_edit_what_a_rule_denies(asked: Request, ada: User) -> None:
    rules({"effect": "deny", "title": "Large refunds"})
    with pytest.raises(InvalidEdit, match="“Large refunds” denies"):
        approves(asked, ada, arguments={**making.REFUND, "amount": "501.00"})
    assert approves(asked, ada, arguments={**making.REFUND, "amount": "500.00"}).is_settled


def test_an_edit_asks_whom_the_rules_want_for_it(owner: User, ada: User) -> None:
    rules({"effect": "ask", "factors": [{"team": "finance", "count": 1}], "risk": "high"})
    ida = making.approver("ida", making.team("finance"))
    asked = making.approval(making.waiting_run(owner), risk=Risk.LOW, on_expiry=OnExpiry.APPROVE)
    made = approves(asked, ada, arguments={**making.REFUND, "amount": "900.00"})
    asked.refresh_from_db()
    assert (made.is_settled, made.missing) == (False, [1, 1])
    assert (asked.risk, asked.on_expiry) == (Risk.HIGH, OnExpiry.DENY)
    assert asked.records.get(event="approval.edited").detail["asks"] == (
        "1 approver and 1 of team finance"
    )
    approves(asked, ida)
    assert approves(asked, making.approver("cleo")).is_settled


def test_nobody_edits_what_they_reject(asked: Request, ada: User) -> None:
    with pytest.raises(InvalidRequest, match="arguments"):
        rejects(asked, ada, arguments={**making.REFUND, "amount": "1"})
    with pytest.raises(InvalidRequest, match="for_good"):
        approves(asked, ada, for_good=True)


def test_where_two_are_asked_the_first_is_not_enough(owner: User, ada: User, bo: User) -> None:
    two = making.approval(making.waiting_run(owner), factors=[{"role": "approver", "count": 2}])
    first = approves(two, ada)
    assert (first.is_settled, first.missing) == (False, [1])
    with pytest.raises(AlreadyVoted):
        approves(two, ada)
    assert approves(two, bo).is_settled


def test_an_edit_voids_the_votes_before_it(owner: User, ada: User, bo: User) -> None:
    two = making.approval(making.waiting_run(owner), factors=[{"role": "approver", "count": 2}])
    cleo = making.approver("cleo")
    approves(two, ada)
    edited = approves(two, bo, arguments={**making.REFUND, "amount": "1.00"})
    assert (edited.is_settled, edited.missing) == (False, [2])
    with pytest.raises(MayNotDecide, match="edited"):
        approves(two, bo)
    assert not approves(two, ada).is_settled
    assert approves(two, cleo).is_settled


def test_low_risk_that_was_approved_can_be_undone_for_a_moment(owner: User, ada: User) -> None:
    low = making.approval(making.waiting_run(owner), risk=Risk.LOW, undo_seconds=20)
    approved = approves(low, ada).request
    assert approved.ready_at is not None
    assert approved.ready_at > timezone.now() + timedelta(seconds=15)
    held = deciding.withdraw(request=low, actor=Actor(ada))
    assert (held.state, held.decided_by, held.ready_at) == (State.PENDING, None, None)
    assert approves(low, ada).is_settled
    assert events(low).count("approval.withdrawn") == 1


def test_after_the_time_to_undo_there_is_only_revoking(asked: Request, ada: User) -> None:
    approves(asked, ada)
    with pytest.raises(TooLate):
        deciding.withdraw(request=asked, actor=Actor(ada))
    held = deciding.revoke(request=asked, actor=Actor(ada), comment="I read it wrong.")
    assert (held.state, held.comment) == (State.REVOKED, "I read it wrong.")
    with pytest.raises(AlreadyDecided):
        deciding.revoke(request=asked, actor=Actor(ada))


def test_only_who_gave_a_word_takes_it_back(owner: User, ada: User, bo: User) -> None:
    two = making.approval(making.waiting_run(owner), factors=[{"role": "approver", "count": 2}])
    approves(two, ada)
    with pytest.raises(InvalidRequest):
        deciding.withdraw(request=two, actor=Actor(bo))
    deciding.withdraw(request=two, actor=Actor(ada))
    assert not approves(two, bo).is_settled
