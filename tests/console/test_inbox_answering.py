"""Questions, runs that cannot go on, several at once, and words to and fro, on the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals import attention
from approvals.models import Kind, Request, Risk, State
from runs.models import Journal, Run, RunStatus
from tests import factories, people
from tests.approvals import factories as asked
from tests.console.test_inbox_deciding import post, signed_in
from tests.console.test_states import words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def bo(finance: Team) -> Client:
    return signed_in(people.person("bo", Role.APPROVER, team=finance))


@pytest.fixture
def olga(finance: Team) -> Client:
    return signed_in(people.person("olga", Role.OPERATOR, team=finance))


# -- questions -----------------------------------------------------------------------------------


def test_a_question_is_answered_with_its_form(page: Client, ana: User, finance: Team) -> None:
    made = asked.question(ana, team=finance)
    body = page.get(f"/inbox/{made.public_id}/").content.decode()
    assert "Customer since" in body
    assert "Close the other one" in body
    told = post(page, made, "answer", account="Acme GmbH", share="40")
    assert made.state == State.ANSWERED
    assert made.answer == {"account": "Acme GmbH", "share": 40, "close": False}
    assert "Answered by ana" in told


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"account": ""}, "This is needed."),
        ({"account": "Acme GmbH", "share": "many"}, "This is not a number."),
        ({"account": "Acme GmbH", "share": "400"}, "100"),
        ({"account": "Elsewhere"}, "Acme Ltd"),
        ({"account": "Acme GmbH", "since": "yesterday"}, "date"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_at_its_field(
    page: Client, ana: User, finance: Team, typed: dict[str, str], said: str
) -> None:
    made = asked.question(ana, team=finance)
    answer = page.post(f"/inbox/{made.public_id}/answer/", typed)
    assert answer.status_code == 422
    wrong = re.findall(r'<p class="wrong">([^<]*)', answer.content.decode())
    assert len(wrong) == 1
    assert said in wrong[0] + words(answer.content)
    made.refresh_from_db()
    assert made.state == State.PENDING


def test_declining_tells_the_agent_and_is_said_once(page: Client, ana: User, finance: Team) -> None:
    made = asked.question(ana, team=finance)
    told = post(page, made, "decline", comment="Ask the customer")
    assert (made.state, made.comment) == (State.DECLINED, "Ask the customer")
    assert "Declined by ana" in told
    assert "Nothing was done now" in post(page, made, "answer", account="Acme GmbH")


def test_who_may_not_answer_sees_why(bo: Client, ana: User, finance: Team) -> None:
    made = asked.question(ana, team=finance)
    body = bo.get(f"/inbox/{made.public_id}/").content
    assert "an operator of its team, answers this" in words(body)
    post(bo, made, "answer", account="Acme GmbH")
    assert made.state == State.PENDING


# -- runs that cannot go on ----------------------------------------------------------------------


def raised(run: Run, team: Team) -> Request:
    Run.objects.filter(pk=run.pk).update(team=team)
    attention.keep()
    return Request.objects.get(run=run, kind=Kind.ATTENTION, state=State.PENDING)


def test_an_uncertain_outcome_is_settled_from_the_inbox(
    olga: Client, ana: User, finance: Team
) -> None:
    made = raised(factories.uncertain(ana), finance)
    told = words(olga.get(f"/inbox/{made.public_id}/").content)
    assert "Did send_payment happen?" in told
    assert "nobody saw it end" in told
    assert "send_payment is called once more, with the same arguments" in told
    told = post(olga, made, "attend", choice="happened", attempt="1", result='{"id": 7}',
                reference="statement 12")  # fmt: skip
    assert "Resolved by olga" in told
    assert made.comment == "statement 12"
    assert Run.objects.get(pk=made.run_id).status == RunStatus.QUEUED
    settled = Journal.objects.get(run=made.run_id, kind="step.settled")
    assert b'"id": 7' in bytes(settled.data or b"") or b'"id":7' in bytes(settled.data or b"")


def test_in_quarantine_running_again_is_locked_and_refused(
    olga: Client, ana: User, finance: Team
) -> None:
    made = raised(factories.uncertain(ana, quarantined=True), finance)
    body = olga.get(f"/inbox/{made.public_id}/").content.decode()
    assert re.search(r'value="did_not_happen" required disabled', body)
    assert "until then the lost attempt may still act" in words(body.encode())
    told = post(olga, made, "attend", choice="did_not_happen", attempt="1")
    assert "may still act" in told
    assert made.state == State.PENDING


def test_an_answer_about_another_attempt_is_refused(olga: Client, ana: User, finance: Team) -> None:
    made = raised(factories.uncertain(ana), finance)
    told = post(olga, made, "attend", choice="unknown", attempt="7")
    assert "Attempt 7 of step send_payment#1 was settled before" in told
    assert made.state == State.PENDING


@pytest.mark.parametrize("detail", ["code_changed", "crash_loop", "payload", "gate_failed:X"])
@pytest.mark.parametrize(("choice", "status"), [("resume", "queued"), ("cancel", "cancelled")])
def test_a_parked_run_goes_on_or_ends_with_what_follows_said_before(
    olga: Client, ana: User, finance: Team, detail: str, choice: str, status: str
) -> None:
    run = factories.run(ana, status="waiting", waiting_for="operator", waiting_detail=detail,
                        ready_at=None)  # fmt: skip
    made = raised(run, finance)
    told = words(olga.get(f"/inbox/{made.public_id}/").content)
    assert "Let it go on" in told
    assert "Recorded steps stay as they are" in told
    assert "Resolved by olga" in post(olga, made, "attend", choice=choice)
    assert Run.objects.get(pk=run.pk).status == status


@pytest.mark.parametrize("choice", ["", "happened", "resume' OR 1", "unknown"])
def test_what_is_no_choice_changes_nothing(
    olga: Client, ana: User, finance: Team, choice: str
) -> None:
    run = factories.run(ana, status="waiting", waiting_for="operator",
                        waiting_detail="crash_loop", ready_at=None)  # fmt: skip
    made = raised(run, finance)
    post(olga, made, "attend", choice=choice)
    assert made.state == State.PENDING
    assert Run.objects.get(pk=run.pk).status == RunStatus.WAITING


def test_who_is_no_operator_sees_the_choices_and_why_they_are_not_theirs(
    bo: Client, ana: User, finance: Team
) -> None:
    made = raised(factories.uncertain(ana), finance)
    assert "needs the role operator" in words(bo.get(f"/inbox/{made.public_id}/").content)
    told = post(bo, made, "attend", choice="stop", attempt="1")
    assert "needs the role operator" in told
    assert made.state == State.PENDING


def test_a_changed_tool_is_answered_on_its_own_page(olga: Client, ana: User, finance: Team) -> None:
    run = factories.run(ana, status="waiting", waiting_for="operator",
                        waiting_detail="tool_changed:crm/find", ready_at=None)  # fmt: skip
    made = raised(run, finance)
    body = olga.get(f"/inbox/{made.public_id}/").content.decode()
    assert '<a class="button primary" href="/tools/">' in body
    post(olga, made, "attend", choice="resume")
    assert made.state == State.PENDING


# -- several at once -----------------------------------------------------------------------------


def items(client: Client, path: str) -> list[str]:
    return re.findall(r'name="item" value="([^"]+)"', client.get(path).content.decode())


def several(ana: User, finance: Team, **fields: Any) -> list[Request]:
    return [asked.approval(ana, {"n": n}, team=finance, title=f"pay {n}", **fields)
            for n in range(3)]  # fmt: skip


def test_several_of_one_tool_are_shown_then_decided_each_by_itself(
    bo: Client, ana: User, finance: Team
) -> None:
    made = several(ana, finance)
    path = "/inbox/bulk/?do=approve&" + "&".join(f"id={it.public_id}" for it in made)
    shown = items(bo, path)
    assert len(shown) == 3
    asked.revise(made[1], {"n": 9}, made_by=ana)
    told = words(bo.post("/inbox/bulk/", {"verdict": "approve", "item": shown}).content)
    assert "Approved: 2, 1 left as it was" in told
    assert "not what is asked about now" in told
    states = [Request.objects.get(pk=it.pk).state for it in made]
    assert states == [State.APPROVED, State.PENDING, State.APPROVED]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "other.tool"}, "no mixture"),
        ({"risk": Risk.HIGH}, "of high risk; decide it by itself"),
        ({"state": State.REJECTED}, "Nothing that waits is selected"),
        ({"kind": Kind.QUESTION}, "Nothing that waits is selected"),
    ],
)
def test_what_cannot_be_decided_together_says_why(
    bo: Client, ana: User, finance: Team, change: dict[str, Any], said: str
) -> None:
    one, two, _ = several(ana, finance)
    chosen = [one] if len(said) > 40 or "Nothing" in said else [one, two]
    fields = {**change, "decided_at": one.created_at} if "state" in change else change
    Request.objects.filter(pk=one.pk).update(**fields)
    query = "&".join(f"id={it.public_id}" for it in chosen)
    told = words(bo.get(f"/inbox/bulk/?do=approve&{query}").content)
    assert said in told


def test_denying_several_wants_a_reason(bo: Client, ana: User, finance: Team) -> None:
    made = several(ana, finance)
    path = "/inbox/bulk/?do=reject&" + "&".join(f"id={it.public_id}" for it in made)
    shown = items(bo, path)
    bo.post("/inbox/bulk/", {"verdict": "reject", "item": shown})
    assert not Request.objects.filter(state=State.REJECTED).exists()
    bo.post("/inbox/bulk/", {"verdict": "reject", "item": shown, "comment": "All wrong"})
    assert Request.objects.filter(state=State.REJECTED, comment="All wrong").count() == 3


def test_parts_that_are_not_shown_are_not_approved_together(
    bo: Client, ana: User, finance: Team
) -> None:
    made = asked.approval(ana, team=finance)
    told = words(bo.get(f"/inbox/bulk/?do=approve&id={made.public_id}").content)
    assert "has parts that are not shown here; open it" in told


# -- to and fro ----------------------------------------------------------------------------------


def test_asking_back_and_the_reply_stand_on_the_page(
    bo: Client, page: Client, ana: User, finance: Team
) -> None:
    made = asked.approval(ana, {"n": 1}, team=finance)
    post(bo, made, "ask", text="Which <b>Acme</b>?")
    told = post(page, made, "ask", text="The GmbH")
    assert "Which <b>Acme</b>?" in told
    assert "The GmbH" in told
    assert made.state == State.PENDING
