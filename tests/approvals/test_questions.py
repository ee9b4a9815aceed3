"""Questions are answered once, as their form says, by who may; or declined, or by default."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.access import Forbidden, NotFound, PersonRequired
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from agentops.sdk.forms import InvalidAnswer
from approvals import duties, questions
from approvals.models import Request, State
from approvals.refusals import AlreadyDecided, MayNotDecide, TooLate
from runs.labels import InvalidRequest
from runs.models import Inbox, WaitingFor
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def question(owner: User) -> Request:
    return making.question(making.waiting_run(owner, WaitingFor.ANSWER))


def test_an_answer_reaches_the_run_with_its_defaults(question: Request, owner: User) -> None:
    held = questions.answer(request=question, actor=Actor(owner), answer={"account": "EU"})
    assert (held.state, held.answer) == (State.ANSWERED, {"account": "EU", "sure": False})
    assert held.decided_by == owner
    assert Inbox.objects.get().name == f"decided:{question.public_id}"
    assert held.records.get(event="question.answered").by == "olga"


def test_an_answer_that_does_not_fit_changes_nothing(question: Request, owner: User) -> None:
    with pytest.raises(InvalidAnswer, match="/account"):
        questions.answer(request=question, actor=Actor(owner), answer={"account": "UK"})
    question.refresh_from_db()
    assert question.state == State.PENDING


def test_a_question_is_answered_once(question: Request, owner: User) -> None:
    questions.decline(request=question, actor=Actor(owner), comment="Not mine to say.")
    with pytest.raises(AlreadyDecided, match="declined"):
        questions.answer(request=question, actor=Actor(owner), answer={"account": "EU"})
    question.refresh_from_db()
    assert (question.state, question.comment) == (State.DECLINED, "Not mine to say.")


def test_a_token_that_may_send_to_the_run_may_answer(question: Request, owner: User) -> None:
    reader = Actor(owner, scopes=frozenset({Scope.RUNS_READ}))
    with pytest.raises(Forbidden):
        questions.answer(request=question, actor=reader, answer={"account": "EU"})
    app = Actor(owner, scopes=frozenset({Scope.RUNS_READ, Scope.RUNS_RESPOND}))
    assert questions.answer(request=question, actor=app, answer={"account": "EU"}).answer


def test_a_browser_answers_for_the_run_it_is_for_only(question: Request, owner: User) -> None:
    scopes = frozenset({Scope.RUNS_READ, Scope.RUNS_RESPOND})
    other = Actor(owner, scopes=scopes, only=frozenset({"run_" + "0" * 20}))
    with pytest.raises(NotFound):
        questions.answer(request=question, actor=other, answer={"account": "EU"})
    mine = Actor(owner, scopes=scopes, only=frozenset({question.run_public_id}))
    assert questions.answer(request=question, actor=mine, answer={"account": "EU"}).answer


def test_a_stranger_answers_nothing(question: Request) -> None:
    with pytest.raises(NotFound):
        questions.answer(request=question, actor=Actor(making.approver()), answer={"account": "EU"})


def test_where_a_question_names_who_only_they_answer_in_person(owner: User) -> None:
    finance = making.team("finance")
    ida = making.approver("ida", finance)
    run = making.waiting_run(owner, WaitingFor.ANSWER, team=finance)
    asked = making.question(run, factors=[{"team": "finance", "count": 1}])
    for actor in (Actor(owner), Actor(person("eve", Role.OPERATOR, team=finance))):
        assert questions.may_answer(actor, asked)
        with pytest.raises(MayNotDecide):
            questions.answer(request=asked, actor=actor, answer={"account": "EU"})
    app = Actor(ida, scopes=frozenset(Scope))
    with pytest.raises(PersonRequired):
        questions.answer(request=asked, actor=app, answer={"account": "EU"})
    assert questions.may_answer(Actor(ida), asked) is None
    assert questions.answer(request=asked, actor=Actor(ida), answer={"account": "EU"}).answer


def test_after_the_deadline_the_default_is_the_answer(owner: User) -> None:
    form = {"type": "object", "properties": {"again": {"type": "boolean", "default": True}}}
    late = timezone.now() - timedelta(seconds=1)
    first, second = (making.waiting_run(owner, WaitingFor.ANSWER) for _ in range(2))
    known = making.question(first, form=form, decide_by=late)
    unknown = making.question(second, decide_by=late)
    with pytest.raises(TooLate):
        questions.answer(request=known, actor=Actor(owner), answer={})
    duties.sweep()
    known.refresh_from_db()
    unknown.refresh_from_db()
    assert (known.state, known.answer, known.decided_by) == (State.ANSWERED, {"again": True}, None)
    assert (unknown.state, unknown.answer) == (State.EXPIRED, None)


def test_an_action_is_not_answered(asked: Request, owner: User) -> None:
    with pytest.raises(InvalidRequest, match="approval"):
        questions.answer(request=asked, actor=Actor(owner), answer={})
