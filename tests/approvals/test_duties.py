"""Time and the ends of runs move requests, once, whoever sweeps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from approvals import deciding, duties
from approvals.models import OnExpiry, Request, Risk, State, Verdict
from runs import services
from runs.models import Inbox
from tests.approvals import making

pytestmark = pytest.mark.django_db


def past() -> None:
    Request.objects.update(decide_by=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("on_expiry", "state"),
    [
        (OnExpiry.DENY, State.EXPIRED),
        (OnExpiry.APPROVE, State.APPROVED),
        (OnExpiry.ESCALATE, State.PENDING),
        (OnExpiry.WAIT, State.PENDING),
    ],
)
def test_what_nobody_decided_in_time_becomes_what_its_rule_says(
    owner: User, on_expiry: str, state: str
) -> None:
    asked = making.approval(making.waiting_run(owner), on_expiry=on_expiry, risk=Risk.LOW)
    duties.sweep()
    assert Request.objects.get().state == State.PENDING
    past()
    duties.sweep()
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == state
    assert asked.decided_by is None
    assert Inbox.objects.filter(run=asked.run_id).count() == (state != State.PENDING)


def test_an_approval_by_deadline_is_named_as_such(owner: User) -> None:
    making.approval(making.waiting_run(owner), on_expiry=OnExpiry.APPROVE, risk=Risk.LOW)
    past()
    duties.sweep()
    decided = Request.objects.get().records.get(event="approval.decided")
    assert decided.by == "sweep"
    assert "nobody decided in time" in decided.detail["why"]


def test_an_approval_that_nobody_used_in_time_lapses(asked: Request, ada: User) -> None:
    said = {"verdict": Verdict.APPROVE, **making.shown(asked)}
    deciding.decide(request=asked, actor=Actor(ada), **said)
    Request.objects.update(execute_by=timezone.now() - timedelta(seconds=1))
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == State.LAPSED
    assert asked.decided_by == ada
    assert Inbox.objects.filter(run=asked.run_id).count() == 2


@pytest.mark.parametrize("kind", ["approval", "question", "attention"])
def test_what_waits_for_a_run_that_ended_is_cancelled(owner: User, kind: str) -> None:
    asked = getattr(making, kind)(making.waiting_run(owner))
    services.cancel_run(run=asked.run, actor="olga", by_operator=False)
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == State.CANCELLED
    assert asked.records.filter(event=f"{kind}.cancelled").count() == 1


def test_what_waits_for_a_run_that_is_forgotten_is_cancelled(owner: User) -> None:
    asked = making.approval(making.waiting_run(owner))
    asked.run.payload.delete()
    asked.run.delete()
    duties.sweep()
    asked.refresh_from_db()
    assert asked.state == State.CANCELLED
