"""Questions of agents, from the call to the answer, on a real worker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from approvals import duties, questions
from approvals.models import Kind, Record, Request
from runs import services
from runs.engine.host import Host
from runs.models import Journal, Run
from tests.approvals.gate.conftest import output, start
from tests.runs.engine.conftest import eventually, kinds, stands_at

pytestmark = pytest.mark.slow


def wondered(run: Run) -> Request:
    stands_at(run, "waiting", "answer")
    return Request.objects.get(run=run, kind=Kind.QUESTION)


def test_an_agent_asks_and_goes_on_with_the_answer(host: Host, olga: User) -> None:
    run = start("wonders", olga)
    request = wondered(run)
    assert (request.title, request.agent, request.owner, request.key) == (
        "Which account?", "wonders", olga, "ask#1",
    )  # fmt: skip
    assert Run.objects.get(pk=run.pk).waiting_detail == request.public_id
    questions.answer(request=request, actor=Actor(olga), answer={"answer": "us"})
    assert output(run) == "account us"
    told = [kind for kind in kinds(run) if kind.startswith("question.")]
    assert told == ["question.asked", "question.answered"]
    answered = Journal.objects.get(run=run, kind="question.answered")
    said = {"type": "ask", "request": request.public_id, "by": "olga"}
    assert answered.meta == said
    events = Record.objects.filter(request=request).order_by("pk").values_list("event", flat=True)
    assert list(events) == ["question.asked", "question.answered"]


def test_who_declines_says_why(host: Host, olga: User) -> None:
    run = start("wonders", olga)
    questions.decline(request=wondered(run), actor=Actor(olga), comment="I cannot know.")
    said = "A person declined to answer “Which account?” and said: “I cannot know.”"
    assert output(run) == f"declined: {said}"


def test_nobody_answers_in_time(host: Host, olga: User) -> None:
    run = start("wonders", olga, timeout=3600)
    request = wondered(run)
    assert request.decide_by is not None
    Request.objects.update(decide_by=timezone.now() - timedelta(seconds=1))
    duties.sweep()
    assert output(run) == "unanswered: Nobody answered “Which account?” in time."


def test_a_question_is_asked_once_however_often_the_run_is_taken_up(host: Host, olga: User) -> None:
    run = start("wonders", olga, timeout=3600)
    request = wondered(run)
    before = request.decide_by
    for _ in range(2):
        epoch = Run.objects.get(pk=run.pk).epoch
        services.signal_run(run=run, name="look", payload=None, sender="test")
        eventually(lambda e=epoch: Run.objects.get(pk=run.pk).epoch > e)  # type: ignore[misc]
        stands_at(run, "waiting", "answer")
    assert Request.objects.get().decide_by == before
