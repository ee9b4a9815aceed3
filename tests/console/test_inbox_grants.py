"""Standing permissions on the page: offered narrowly, listed with their use, and ended."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals.models import Grant, Request, State
from tests import factories, people
from tests.approvals import factories as asked
from tests.console.test_inbox_deciding import signed_in
from tests.console.test_states import words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def bo(finance: Team) -> Client:
    return signed_in(people.person("bo", Role.APPROVER, team=finance), fresh=True)


@pytest.fixture
def made(ana: User, finance: Team) -> Request:
    return asked.approval(ana, {"to": "Acme", "amount": "120.50"}, team=finance)


def offers(client: Client, made: Request) -> list[str]:
    body = client.get(f"/inbox/{made.public_id}/grant/").content.decode()
    return re.findall(r'name="offer" value="(\w+)"', body)


def test_a_permission_is_given_within_what_is_offered_and_decides_nothing(
    bo: Client, made: Request
) -> None:
    assert "Allow from now on…" in words(bo.get(f"/inbox/{made.public_id}/").content)
    narrow = offers(bo, made)[0]
    said = {"offer": narrow, "scope": "run", "hours": "2", "max_uses": "3"}
    told = words(bo.post(f"/inbox/{made.public_id}/grant/", said, follow=True).content)
    assert "gmail.send is allowed within these bounds" in told
    grant = Grant.objects.get()
    assert (grant.max_uses, grant.run_id, grant.action is None) == (3, made.run_id, False)
    made.refresh_from_db()
    assert made.state == State.PENDING
    shown = words(bo.get("/inbox/grants/").content)
    assert "this very action" in shown
    assert "0 of 3" in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hours": "9999"}, "hours: more than 0"),
        ({"offer": "0" * 32}, ""),
        ({"sum_of": "amount", "sum_limit": "much"}, "write a number"),
        ({"sum_of": "to", "sum_limit": "5"}, "name an argument that is a number"),
        ({"scope": "everything"}, "Select a valid choice"),
    ],
)
def test_what_goes_too_far_is_refused_by_name(
    bo: Client, made: Request, change: dict[str, str], said: str
) -> None:
    good = {"offer": offers(bo, made)[0], "scope": "run", "hours": "1"}
    answer = bo.post(f"/inbox/{made.public_id}/grant/", {**good, **change})
    assert answer.status_code == 422
    assert said in words(answer.content)
    assert not Grant.objects.exists()


def test_giving_one_wants_a_fresh_sign_in(finance: Team, made: Request) -> None:
    stale = signed_in(people.person("ida", Role.APPROVER, team=finance))
    said = {"offer": offers(stale, made)[0], "scope": "run", "hours": "1"}
    answer = stale.post(f"/inbox/{made.public_id}/grant/", said)
    assert answer["Location"].startswith("/sign-in/again/")
    assert not Grant.objects.exists()


def test_who_may_not_decide_gives_none(page: Client, ana: User, made: Request) -> None:
    assert "Allow from now on" not in words(page.get(f"/inbox/{made.public_id}/").content)
    own = signed_in(ana, fresh=True)
    said = {"offer": offers(own, made)[0], "scope": "run", "hours": "1"}
    answer = own.post(f"/inbox/{made.public_id}/grant/", said)
    assert "needs the role approver" in words(answer.content)
    assert not Grant.objects.exists()


def test_where_the_rule_always_asks_there_is_none(bo: Client, made: Request) -> None:
    Request.objects.filter(pk=made.pk).update(rule={**made.rule, "always": True})
    assert "Allow from now on" not in words(bo.get(f"/inbox/{made.public_id}/").content)
    assert "The rule always asks." in words(bo.get(f"/inbox/{made.public_id}/grant/").content)


def test_a_permission_is_ended_and_stays_listed(bo: Client, stranger: User, made: Request) -> None:
    bo.post(f"/inbox/{made.public_id}/grant/",
            {"offer": offers(bo, made)[0], "scope": "run", "hours": "1"})  # fmt: skip
    grant = Grant.objects.get()
    path = f"/inbox/grants/{grant.public_id}/end/"
    assert signed_in(stranger).post(path).status_code == 404
    assert bo.get(path).status_code == 405
    assert "asks again from now on" in words(bo.post(path, follow=True).content)
    assert "No permission stands" in words(bo.get("/inbox/grants/").content)
    assert "Ended (1)" in words(bo.get("/inbox/grants/").content)
    assert grant.public_id not in signed_in(stranger).get("/inbox/grants/").content.decode()


# -- where else the inbox shows ------------------------------------------------------------------


def test_a_run_that_waits_for_a_word_leads_to_it(page: Client, made: Request) -> None:
    body = page.get(f"/runs/{made.run_public_id}/").content.decode()
    assert f'href="/inbox/of/{made.run_public_id}/"' in body
    assert "Review" in words(body.encode())


def test_the_overview_shows_the_most_urgent_requests(bo: Client, made: Request) -> None:
    shown = bo.get("/").content.decode()
    assert f'href="/inbox/{made.public_id}/"' in shown
    assert "Inbox, most urgent first" in words(shown.encode())


def test_the_overview_shows_runs_while_nothing_is_asked_yet(page: Client, ana: User) -> None:
    factories.uncertain(ana)
    assert "Waiting longest for a person" in words(page.get("/").content)
