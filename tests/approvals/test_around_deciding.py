"""Asking back, deputies, the same word on several, and what the database refuses by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from agentops.accounts.access import Forbidden, NotFound, PersonRequired
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from approvals import asking_back, bulk, deciding, deputies, eligibility, moves
from approvals.models import Deputy, Notice, Record, Request, Risk, State, Verdict
from approvals.refusals import AlreadyDecided
from runs.labels import InvalidRequest
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db


# -- asking back ----------------------------------------------------------------------------------


def test_asking_back_tells_whom_the_run_is_for_and_a_reply_who_asked(
    asked: Request, owner: User, ada: User
) -> None:
    asking_back.say(request=asked, actor=Actor(ada), text="Is there a receipt? ")
    asking_back.say(request=asked, actor=Actor(owner), text="Yes, on the ticket.")
    said = [(record.by, record.detail["text"]) for record in asking_back.conversation(asked)]
    assert said == [("ada", "Is there a receipt?"), ("olga", "Yes, on the ticket.")]
    told = set(Notice.objects.values_list("person__username", "event"))
    assert told == {("olga", "asked_back"), ("ada", "replied")}
    asked.refresh_from_db()
    assert asked.state == State.PENDING


def test_asking_back_is_for_people_who_see_it_while_it_is_open(asked: Request, ada: User) -> None:
    with pytest.raises(NotFound):
        asking_back.say(request=asked, actor=Actor(person("sven")), text="?")
    with pytest.raises(PersonRequired):
        asking_back.say(request=asked, actor=Actor(ada, scopes=frozenset(Scope)), text="?")
    for text in ("", " ", "x" * 2001, "\0"):
        with pytest.raises(InvalidRequest, match="text"):
            asking_back.say(request=asked, actor=Actor(ada), text=text)
    deciding.decide(request=asked, actor=Actor(ada), verdict=Verdict.APPROVE, **making.shown(asked))
    with pytest.raises(AlreadyDecided):
        asking_back.say(request=asked, actor=Actor(ada), text="?")


# -- deputies -------------------------------------------------------------------------------------


def appoint(actor: User, deputy: str, **said: Any) -> Deputy:
    now = timezone.now()
    given = {"begins_at": now, "ends_at": now + timedelta(days=1), **said}
    return deputies.appoint(actor=Actor(actor), deputy=deputy, **given)


def test_a_deputy_decides_until_either_of_the_two_ends_it(owner: User, ada: User) -> None:
    ida = making.approver("ida", making.team("finance"))
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 1}])
    row = appoint(ida, "ada", tools=["refund"])
    assert eligibility.may_decide(Actor(ada), asked) is None
    deputies.end(actor=Actor(ada), pk=row.pk)
    deputies.end(actor=Actor(ida), pk=row.pk)
    assert eligibility.may_decide(Actor(ada), asked)
    assert list(Record.objects.values_list("event", flat=True)).count("deputy.ended") == 1


@pytest.mark.parametrize(
    ("deputy", "said", "field"),
    [
        ("nobody", {}, "deputy"),
        ("olga", {}, "deputy"),
        ("ada", {}, "deputy"),
        ("bo", {"ends_at": timezone.now() + timedelta(days=91)}, "ends_at"),
        ("bo", {"ends_at": timezone.now() - timedelta(days=1)}, "ends_at"),
        ("bo", {"tools": ["x"] * 51}, "tools"),
        ("bo", {"tools": [""]}, "tools"),
    ],
)
def test_a_deputy_is_an_approver_for_a_while(
    owner: User, ada: User, bo: User, deputy: str, said: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=field):
        appoint(ada, deputy, **said)


def test_nobody_appoints_a_deputy_for_somebody_else(owner: User, ada: User, bo: User) -> None:
    with pytest.raises(Forbidden):
        appoint(owner, "ada")
    with pytest.raises(PersonRequired):
        deputies.appoint(
            actor=Actor(ada, scopes=frozenset(Scope)), deputy="bo",
            begins_at=timezone.now(), ends_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
    row = appoint(ada, "bo")
    with pytest.raises(NotFound):
        deputies.end(actor=Actor(owner), pk=row.pk)
    admin = Actor(person("root", Role.ADMINISTRATOR))
    assert deputies.end(actor=admin, pk=row.pk).ended_at


# -- several at once ------------------------------------------------------------------------------


def item(request: Request, **said: Any) -> bulk.Item:
    return bulk.Item(public_id=request.public_id, **{**making.shown(request), **said})


def test_several_are_decided_each_by_itself(owner: User, ada: User) -> None:
    good = making.approval(making.waiting_run(owner))
    moved = making.approval(making.waiting_run(owner))
    own = making.approval(making.waiting_run(ada))
    items = [item(good), item(moved, digest="00" * 32), item(own), bulk.Item("req_x", 1, "")]
    made = bulk.decide(actor=Actor(ada), items=items, verdict=Verdict.APPROVE)
    assert [one.code for one in made] == ["", "request_changed", "may_not_decide", "not_found"]
    assert [one.state for one in made] == ["approved", "pending", "pending", ""]
    assert Record.objects.filter(event="approval.decided").count() == 1


def test_several_are_of_one_tool_and_never_of_high_risk(owner: User, ada: User) -> None:
    good = making.approval(making.waiting_run(owner))
    other = making.approval(making.waiting_run(owner), tool="send_mail")
    risky = making.approval(making.waiting_run(owner), risk=Risk.HIGH)
    question = making.question(making.waiting_run(ada))
    many = [bulk.Item(f"req_{n}", 1, "") for n in range(51)]
    for items in (
        [item(good), item(other)],
        [item(good), item(risky)],
        [item(good), bulk.Item(question.public_id, 1, "")],
        [item(good), item(good)],
        many,
        [],
    ):
        with pytest.raises(InvalidRequest, match="items"):
            bulk.decide(actor=Actor(ada), items=items, verdict=Verdict.APPROVE)
    good.refresh_from_db()
    assert good.state == State.PENDING


# -- what the database refuses --------------------------------------------------------------------


def test_a_record_is_neither_changed_nor_deleted_by_anybody(asked: Request) -> None:
    for does in (
        lambda: Record.objects.update(by="somebody else"),
        lambda: Record.objects.all().delete(),
        lambda: asked.records.get().delete(),
        asked.delete,
    ):
        with pytest.raises(IntegrityError, match="evidence"), transaction.atomic():
            does()
    assert Record.objects.get().by == "worker"


def test_no_statement_moves_a_request_where_it_must_not_go() -> None:
    for was in State:
        for to in set(State) - {was}:
            _try(was, to)


def _try(was: State, to: State) -> None:
    row = making.approval(state=was, decided_at=None if was == State.PENDING else timezone.now())
    at = None if to == State.PENDING else timezone.now()
    allowed = to in moves.NEXT.get(was, ())
    try:
        with transaction.atomic():
            Request.objects.filter(pk=row.pk).update(state=to, decided_at=at)
    except IntegrityError:
        assert not allowed, (was, to)
    else:
        assert allowed, (was, to)
