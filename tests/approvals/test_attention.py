"""Every run that cannot go on by itself stands in the inbox, once, for as long as it cannot."""

from __future__ import annotations

import pytest

from approvals import attention, duties
from approvals.models import Kind, Record, Request, Risk, State
from runs import services
from runs.models import Run, RunStatus
from tests import factories, people

pytestmark = pytest.mark.django_db(transaction=True)


def parked(detail: str, waiting_for: str = "operator") -> Run:
    return factories.run(
        status=RunStatus.WAITING, waiting_for=waiting_for, waiting_detail=detail, ready_at=None
    )


def requests() -> list[tuple[str, str, int]]:
    rows = Request.objects.filter(kind=Kind.ATTENTION).order_by("pk")
    return [(row.key, row.state, row.round) for row in rows]


@pytest.mark.parametrize(
    ("detail", "waiting_for", "title", "risk"),
    [
        ("uncertain:~1/pay#1", "operator", "Did pay happen?", Risk.HIGH),
        ("code_changed", "operator", "The agent's code no longer fits", Risk.MEDIUM),
        ("crash_loop", "operator", "It took its worker down", Risk.MEDIUM),
        ("tool_changed:crm/find", "operator", "What crm/find says of itself", Risk.MEDIUM),
        ("something_new", "operator", "It waits for an operator: something new", Risk.MEDIUM),
        ("", "budget", "Its budget is used up", Risk.MEDIUM),
        ("", "credential", "A credential is missing", Risk.MEDIUM),
    ],
)
def test_a_run_that_waits_for_an_operator_is_raised_once(
    detail: str, waiting_for: str, title: str, risk: Risk
) -> None:
    run = parked(detail, waiting_for)
    for _ in range(3):
        attention.keep()
    made = Request.objects.get()
    assert made.title.startswith(title)
    assert (made.risk, made.run_public_id, made.agent) == (risk, run.public_id, run.agent)
    assert Record.objects.get().event == "attention.raised"


@pytest.mark.parametrize(
    ("detail", "waiting_for"),
    [("paused:bo", "operator"), ("stop:stp_1", "operator"), ("", "approval"), ("", "timer"),
     ("", "answer"), ("event:x", "event")],
)  # fmt: skip
def test_what_waits_on_purpose_or_for_something_else_is_not(detail: str, waiting_for: str) -> None:
    parked(detail, waiting_for)
    attention.keep()
    assert requests() == []


def test_it_is_over_when_the_run_goes_on_and_raised_anew_when_it_stops_again() -> None:
    run = parked("crash_loop")
    attention.keep()
    services.resume_run(run=run, actor="bo")
    attention.keep()
    assert requests() == [("crash_loop", State.RESOLVED, 1)]
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.WAITING, waiting_for="operator", waiting_detail="crash_loop", ready_at=None
    )
    attention.keep()
    assert requests() == [("crash_loop", State.RESOLVED, 1), ("crash_loop", State.PENDING, 2)]


def test_another_reason_closes_the_one_and_raises_the_other() -> None:
    run = parked("crash_loop")
    attention.keep()
    Run.objects.filter(pk=run.pk).update(waiting_detail="code_changed")
    attention.keep()
    assert requests() == [("crash_loop", State.RESOLVED, 1), ("code_changed", State.PENDING, 1)]


def test_a_run_that_ended_takes_its_request_with_it() -> None:
    run = parked("crash_loop")
    attention.keep()
    services.cancel_run(run=run, actor="bo", by_operator=True)
    attention.keep()
    duties.sweep()
    assert requests() == [("crash_loop", State.CANCELLED, 1)]


def test_it_belongs_to_whom_the_run_belongs_to() -> None:
    ana = people.person("ana")
    factories.uncertain(ana)
    attention.keep()
    assert Request.objects.get().owner == ana
