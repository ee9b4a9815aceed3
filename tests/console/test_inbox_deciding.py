"""Saying Approve or Deny on the page: what was shown, by whom, once."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals.models import Record, Request, Risk, Snooze, State, Vote
from runs.models import Run, RunStatus
from tests import people
from tests.accounts.doors import doors
from tests.approvals import factories as asked
from tests.console.test_states import words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def bo(finance: Team) -> Client:
    return signed_in(people.person("bo", Role.APPROVER, team=finance))


@pytest.fixture
def made(ana: User, finance: Team) -> Request:
    """Something low enough to be decided by one press."""
    return asked.approval(ana, {"to": "Acme", "amount": 120}, team=finance, risk=Risk.LOW)


def signed_in(user: User, *, fresh: bool = False) -> Client:
    client = Client()
    client.force_login(user)
    if fresh:
        session = client.session
        session["account_authentication_methods_user"] = str(user.pk)
        session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        session.save()
    return client


def form(client: Client, made: Request, query: str = "") -> dict[str, Any]:
    """What the form of the page carries, as a browser would send it."""
    body = client.get(f"/inbox/{made.public_id}/{query}").content.decode()
    hidden = r'<input type="hidden" name="{}" value="([^"]*)"'
    return {
        "revision": re.findall(hidden.format("revision"), body)[0],
        "digest": re.findall(hidden.format("digest"), body)[0],
        "open": sorted(set(re.findall(hidden.format("open"), body))),
    }


def post(client: Client, made: Request, act: str = "decide", **said: Any) -> str:
    answer = client.post(f"/inbox/{made.public_id}/{act}/", said, follow=True)
    made.refresh_from_db()
    return words(answer.content)


def test_approving_what_was_shown_is_told_with_who_and_when(bo: Client, made: Request) -> None:
    told = post(bo, made, verdict="approve", **form(bo, made))
    assert made.state == State.APPROVED
    assert "Approved: “send e-mail to 3 people”." in told
    assert "Approved by bo" in told
    vote = Vote.objects.get()
    assert bytes(vote.shown) == bytes(made.revisions.get().digest)


def test_denying_wants_a_reason_which_the_agent_gets(bo: Client, made: Request) -> None:
    shown = form(bo, made)
    told = post(bo, made, verdict="reject", comment="  ", **shown)
    assert "Nothing was decided. Say why" in told
    assert made.state == State.PENDING
    told = post(bo, made, verdict="reject", comment="Wrong <b>customer</b>", **shown)
    assert (made.state, made.comment) == (State.REJECTED, "Wrong <b>customer</b>")
    assert "Denied by bo" in told


def test_denying_can_stop_the_run_or_hold_for_all_of_it(
    bo: Client, ana: User, finance: Team, made: Request
) -> None:
    other = asked.approval(ana, {"to": "Acme"}, team=finance)
    post(bo, made, verdict="reject", comment="No", how="for_good", **form(bo, made))
    assert made.for_good
    post(bo, other, verdict="reject", comment="No", how="stop_run", **form(bo, other))
    assert Run.objects.get(pk=other.run_id).status == RunStatus.CANCELLED


def test_of_two_approvers_at_once_the_second_learns_who_and_when(
    bo: Client, finance: Team, made: Request
) -> None:
    ida = signed_in(people.person("ida", Role.APPROVER, team=finance))
    hers, his = form(ida, made), form(bo, made)
    post(ida, made, verdict="approve", **hers)
    told = post(bo, made, verdict="reject", comment="No", **his)
    assert "by ida. Nothing was done now." in told
    assert made.state == State.APPROVED
    assert Vote.objects.count() == 1
    assert "Approved by ida" in told


def test_the_same_press_twice_decides_once(bo: Client, made: Request) -> None:
    said = form(bo, made)
    post(bo, made, verdict="approve", **said)
    told = post(bo, made, verdict="approve", **said)
    assert "Nothing was done now" in told
    assert Record.objects.filter(event="approval.decided").count() == 1


def test_what_changed_meanwhile_is_shown_anew_with_what_differs(bo: Client, made: Request) -> None:
    said = form(bo, made)
    asked.revise(made, {"to": "Acme", "amount": 90}, made_by=made.owner)
    told = post(bo, made, verdict="approve", **said)
    assert made.state == State.PENDING
    assert "What you were shown is not what is asked about now." in told
    assert "90 was: 120" in told
    assert "revision 2, changed by ana" in told


@pytest.mark.parametrize("digest", ["", "00" * 32, "zz", "é"])
def test_another_digest_than_the_one_that_was_shown_decides_nothing(
    bo: Client, made: Request, digest: str
) -> None:
    post(bo, made, verdict="approve", revision="1", digest=digest)
    assert made.state == State.PENDING


@pytest.mark.parametrize("said", [{}, {"verdict": "maybe"}, {"verdict": "approve", "revision": "x"},
                                  {"verdict": "approve", "revision": "9" * 99}])  # fmt: skip
def test_nonsense_decides_nothing(bo: Client, made: Request, said: dict[str, str]) -> None:
    post(bo, made, **said)
    assert made.state == State.PENDING


def test_what_was_not_shown_whole_cannot_be_approved(bo: Client, ana: User, finance: Team) -> None:
    long = asked.approval(ana, team=finance, risk=Risk.LOW)
    page = bo.get(f"/inbox/{long.public_id}/").content.decode()
    assert re.search(r'<button class="button approve" type="button" disabled>', page)
    assert "Open body before you approve" in words(page.encode())
    assert "Open the other" in page
    said = form(bo, long)
    assert "Open body first" in post(bo, long, verdict="approve", **said)
    assert long.state == State.PENDING
    opened = form(bo, long, "?open=body")
    assert opened["open"] == ["body"]
    post(bo, long, verdict="approve", **opened)
    assert long.state == State.APPROVED


def test_high_risk_wants_a_word_typed_a_reason_and_a_fresh_sign_in(
    ana: User, finance: Team
) -> None:
    grave = asked.approval(ana, {"to": "Acme"}, team=finance, risk=Risk.HIGH)
    ida = people.person("ida", Role.APPROVER, team=finance)
    fresh = signed_in(ida, fresh=True)
    said = {**form(fresh, grave), "verdict": "approve"}
    assert "Type gmail.send to confirm" in post(fresh, grave, **said, comment="ok")
    assert "Say why" in post(fresh, grave, **said, typed="gmail.send")
    assert grave.state == State.PENDING
    stale = signed_in(ida)
    answer = stale.post(
        f"/inbox/{grave.public_id}/decide/", {**said, "typed": "gmail.send", "comment": "ok"}
    )
    assert (answer.status_code, answer["Location"][:15]) == (302, "/sign-in/again/")
    grave.refresh_from_db()
    assert grave.state == State.PENDING
    post(fresh, grave, **said, typed="gmail.send", comment="ok")
    assert grave.state == State.APPROVED


def test_who_may_not_decide_sees_why_and_cannot(page: Client, finance: Team, made: Request) -> None:
    own = words(page.get(f"/inbox/{made.public_id}/").content)
    assert "Deciding needs the role approver" in own
    vera = signed_in(people.person("vera", Role.VIEWER, team=finance))
    body = vera.get(f"/inbox/{made.public_id}/").content.decode()
    assert "digest" not in body
    told = post(vera, made, verdict="approve", revision="1", digest=_digest(made))
    assert "needs the role approver" in told
    assert made.state == State.PENDING


def _digest(made: Request) -> str:
    return bytes(made.revisions.get().digest).hex()


def test_nobody_decides_about_their_own(ana: User, finance: Team) -> None:
    bea = people.person("bea", Role.APPROVER, team=finance)
    own = asked.approval(bea, {"to": "Acme"}, team=finance, risk=Risk.LOW)
    client = signed_in(bea)
    assert "The run is for you." in words(client.get(f"/inbox/{own.public_id}/").content)
    post(client, own, verdict="approve", revision="1", digest=_digest(own))
    assert own.state == State.PENDING


def test_strangers_decide_nothing(stranger: User, made: Request) -> None:
    client = signed_in(stranger)
    for act in ("decide", "withdraw", "revoke", "snooze", "look", "edit"):
        answer = client.post(f"/inbox/{made.public_id}/{act}/", {"verdict": "approve"})
        assert answer.status_code == 404
    assert Client().post(f"/inbox/{made.public_id}/decide/").status_code == 302


def test_looking_at_a_form_decides_nothing(bo: Client, made: Request) -> None:
    for act in ("", "decide/", "edit/", "withdraw/", "revoke/", "snooze/", "look/"):
        for method in (bo.get, bo.head):
            assert method(f"/inbox/{made.public_id}/{act}").status_code in {200, 405}
    made.refresh_from_db()
    assert made.state == State.PENDING
    assert not Snooze.objects.exists()


def test_an_approval_with_grace_can_be_taken_back_by_one_key(
    bo: Client, ana: User, finance: Team
) -> None:
    made = asked.approval(ana, {"to": "Acme"}, team=finance, risk=Risk.LOW, undo_seconds=30)
    answer = bo.post(f"/inbox/{made.public_id}/decide/",
                     {"verdict": "approve", **form(bo, made)}, follow=True)  # fmt: skip
    body = answer.content.decode()
    assert f'action="/inbox/{made.public_id}/withdraw/"' in body
    assert 'data-keys="u">Undo' in body
    assert "It may begin in 30 s" in words(answer.content)
    assert "It waits for a person again" in post(bo, made, "withdraw")
    assert made.state == State.PENDING


def test_an_approval_that_has_not_begun_can_be_taken_back_for_good(
    bo: Client, made: Request
) -> None:
    post(bo, made, verdict="approve", **form(bo, made))
    assert "taken back for good" in post(bo, made, "revoke")
    assert made.state == State.REVOKED


def test_where_two_must_agree_the_first_word_says_who_is_missing(
    bo: Client, ana: User, finance: Team
) -> None:
    two = [{"role": "approver", "count": 2}]
    made = asked.approval(ana, {"to": "Acme"}, team=finance, risk=Risk.LOW, factors=two)
    told = post(bo, made, verdict="approve", **form(bo, made))
    assert "Your word on “send e-mail to 3 people” counts" in told
    assert "must agree too" in told
    assert made.state == State.PENDING
    assert "You have voted already" in words(bo.get(f"/inbox/{made.public_id}/").content)


def test_edited_arguments_keep_their_types_and_are_approved_at_once(
    bo: Client, made: Request
) -> None:
    page = bo.get(f"/inbox/{made.public_id}/edit/").content.decode()
    assert 'name="amount" value="120" inputmode="numeric"' in page
    told = post(bo, made, "edit", **{**form(bo, made), "to": "Acme", "amount": "90"})
    assert made.state == State.APPROVED
    assert made.revisions.count() == 2
    assert b'"amount":90' in bytes(made.revisions.get(number=2).envelope)
    assert "Approved by bo" in told


@pytest.mark.parametrize(
    ("typed", "said"),
    [("ninety", "This is not a number"), ('"90"', "was a number"), ("120", "has already")],
)
def test_an_edit_that_does_not_fit_is_refused_at_its_field(
    bo: Client, made: Request, typed: str, said: str
) -> None:
    told = post(bo, made, "edit", **{**form(bo, made), "to": "Acme", "amount": typed})
    assert said in told
    assert "Edit, then approve" in told
    assert made.state == State.PENDING


def test_snoozing_never_passes_the_deadline_and_can_be_undone(bo: Client, made: Request) -> None:
    told = post(bo, made, "snooze", **{"for": "4h"})
    assert "Snoozed until" in told
    assert Snooze.objects.get().until == made.decide_by
    bo.post(f"/inbox/{made.public_id}/snooze/?for=none")
    assert not Snooze.objects.exists()
    Request.objects.filter(pk=made.pk).update(decide_by=timezone.now())
    assert "cannot be put off" in post(bo, made, "snooze", **{"for": "1h"})


def test_taking_up_is_seen_by_the_others_and_given_back(bo: Client, made: Request) -> None:
    assert "bo is looking" in post(bo, made, "look")
    assert "bo is looking" in words(bo.get("/inbox/").content)
    assert "Others are told again" in post(bo, made, "look")
    assert made.acknowledged_by is None


def test_no_page_of_the_inbox_can_be_framed(bo: Client, made: Request) -> None:
    """T13: on every page, whatever it answers."""
    for path in ("/inbox/", f"/inbox/{made.public_id}/", f"/inbox/{made.public_id}/edit/",
                 "/inbox/req_none/", f"/inbox/of/{made.run_public_id}/"):  # fmt: skip
        answer = bo.get(path)
        assert answer["X-Frame-Options"] == "DENY", path
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"], path


@pytest.mark.parametrize("address", sorted(at for at, _ in doors() if "<" not in at))
def test_no_page_at_all_can_be_framed(operator: User, address: str) -> None:
    """T13, for every address that needs no name of something, signed in and out."""
    for client in (signed_in(operator), Client()):
        answer = client.get(address)
        assert answer["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_without_a_token_of_our_form_nothing_is_decided(finance: Team, made: Request) -> None:
    """T12 for decisions."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.person("ida", Role.APPROVER, team=finance))
    said = {"verdict": "approve", "revision": "1", "digest": _digest(made)}
    assert client.post(f"/inbox/{made.public_id}/decide/", said).status_code == 403
    made.refresh_from_db()
    assert made.state == State.PENDING
