"""The inbox: who is shown what, in which order, within its budget."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals.models import Risk, Snooze, State
from tests import factories, people
from tests.approvals import factories as asked
from tests.console.test_states import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def bo(finance: Team) -> User:
    return people.person("bo", Role.APPROVER, team=finance)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, path: str = "/inbox/") -> list[str]:
    return re.findall(r'<tr id="(req_\w+)"', client.get(path).content.decode())


def test_what_waits_for_somebody_is_ordered_by_deadline_risk_and_age(
    ana: User, bo: User, finance: Team
) -> None:
    now = timezone.now()
    later = asked.approval(ana, team=finance, decide_by=None)
    high = asked.approval(ana, team=finance, decide_by=None, risk=Risk.HIGH)
    soon = asked.approval(ana, team=finance, decide_by=now + timedelta(minutes=5))
    assert shown(signed_in(bo)) == [each.public_id for each in (soon, high, later)]


def test_pages_follow_each_other_without_gap_or_repeat(ana: User, bo: User, finance: Team) -> None:
    run = asked.waiting(ana, team=finance)
    for number in range(120):
        due = timezone.now() + timedelta(minutes=number % 7) if number % 3 else None
        risk = list(Risk)[number % 3]
        asked.request(run, key=f"mail#{number}", decide_by=due, risk=risk)
    client = signed_in(bo)
    first = shown(client)
    second = shown(client, f"/inbox/?after={first[-1]}")
    third = shown(client, f"/inbox/?after={second[-1]}")
    assert [len(first), len(second), len(third)] == [50, 50, 20]
    assert len({*first, *second, *third}) == 120
    assert "is not there any more" in words(client.get("/inbox/?after=req_gone").content)


def test_tabs_part_what_is_mine_from_the_teams_and_from_what_is_done(
    ana: User, bo: User, finance: Team
) -> None:
    mine = asked.approval(ana, team=finance)
    own = asked.approval(bo, team=finance)
    done = asked.approval(ana, team=finance, state=State.REJECTED, decided_by=bo)
    later = asked.approval(ana, team=finance)
    until = timezone.now() + timedelta(hours=1)
    Snooze.objects.create(request=later, person=bo, until=until)
    client = signed_in(bo)
    assert shown(client) == [mine.public_id]
    assert set(shown(client, "/inbox/?tab=team")) == {
        mine.public_id, own.public_id, later.public_id
    }  # fmt: skip
    assert shown(client, "/inbox/?tab=snoozed") == [later.public_id]
    assert shown(client, "/inbox/?tab=done") == [done.public_id]
    told = words(client.get("/inbox/").content)
    assert "Mine 1 Team 3 Snoozed 1 Done" in told
    assert "1 for you" in told


def test_who_may_not_decide_has_nothing_waiting_but_sees_the_teams(
    ana: User, finance: Team
) -> None:
    asked.approval(ana, team=finance)
    vera = signed_in(people.person("vera", Role.VIEWER, team=finance))
    assert shown(vera) == []
    assert "1 request waits for others" in words(vera.get("/inbox/").content)
    assert len(shown(vera, "/inbox/?tab=team")) == 1


def test_strangers_learn_nothing(ana: User, finance: Team, stranger: User) -> None:
    made = asked.approval(ana, team=finance)
    client = signed_in(stranger)
    assert shown(client, "/inbox/?tab=team") == []
    for path in (f"/inbox/{made.public_id}/", "/inbox/req_00000000000000000000/", "/inbox/%00/"):
        assert client.get(path).status_code == 404
    around = client.get(f"/inbox/of/{made.run_public_id}/", follow=True)
    assert made.title not in around.content.decode()


def test_filters_narrow_and_say_what_they_leave_out(ana: User, bo: User, finance: Team) -> None:
    made = asked.approval(ana, team=finance, risk=Risk.HIGH, title="pay invoice 4411")
    asked.question(ana, team=finance)
    client = signed_in(bo)
    only = [made.public_id]
    for query in ("q=4411", "risk=high", "kind=approval", f"run={made.run_public_id}",
                  "q=risk:high",
                  f"q={made.public_id[:14]}", "agent=invoice-clerk&kind=approval"):  # fmt: skip
        assert shown(client, f"/inbox/?tab=team&{query}") == only, query
    assert "Nothing matches" in words(client.get("/inbox/?q=zzz").content)
    assert "There is no risk “huge”" in words(client.get("/inbox/?risk=huge").content)
    assert "does not know: colour" in words(client.get("/inbox/?colour=red").content)


def test_the_link_of_a_run_leads_to_what_it_waits_for(ana: User, bo: User, finance: Team) -> None:
    made = asked.approval(ana, team=finance)
    client = signed_in(bo)
    answer = client.get(f"/inbox/of/{made.run_public_id}/")
    assert (answer.status_code, answer["Location"]) == (302, f"/inbox/{made.public_id}/")
    asked.request(made.run, key="other#1")
    answer = client.get(f"/inbox/of/{made.run_public_id}/")
    assert answer["Location"] == f"/inbox/?tab=team&run={made.run_public_id}"


def test_a_request_shows_what_will_happen_from_the_frozen_bytes(
    ana: User, bo: User, finance: Team
) -> None:
    made = asked.approval(ana, team=finance)
    told = words(signed_in(bo).get(f"/inbox/{made.public_id}/").content)
    assert "Approve: send e-mail to 3 people" in told
    assert "gmail.send as ana not reversible" in told
    assert "to list of 3" in told
    assert "books@acme.example" in told
    assert "Why the model's words, not checked Customer asked for a copy." in told
    assert "rule “Mail to people outside”" in told


def test_what_the_tool_says_would_change_is_shown_as_texts(
    ana: User, bo: User, finance: Team
) -> None:
    preview = {
        "summary": "Moves 120 to <b>Acme</b>",
        "changes": [{"what": "balance", "before": "9120", "after": "9000\u202e"}],
    }
    made = asked.approval(ana, team=finance, preview=preview)
    told = words(signed_in(bo).get(f"/inbox/{made.public_id}/").content)
    assert "Moves 120 to <b>Acme</b>" in told
    assert "balance 9120 9000 U+202E" in told
    asked.approval(ana, team=finance, preview={"summary": "", "changes": [], "error": "No answer"})
    assert "2 steps. Evidence" in told


def test_what_was_decided_alike_before_is_counted(ana: User, bo: User, finance: Team) -> None:
    for state in (State.CONSUMED, State.CONSUMED, State.REJECTED):
        asked.approval(ana, team=finance, state=state, decided_by=bo)
    made = asked.approval(ana, team=finance)
    told = words(signed_in(bo).get(f"/inbox/{made.public_id}/").content)
    assert "Approved 2 of 3 in 30 days" in told


@pytest.mark.parametrize("path", ["/inbox/", "/inbox/?tab=team&q=invoice", "/inbox/?tab=done"])
def test_the_list_stays_in_its_budget(
    ana: User, bo: User, finance: Team, path: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    run = asked.waiting(ana, team=finance)
    for number in range(60):
        asked.request(run, key=f"mail#{number}", title=f"send invoice {number} to {number} people")
        asked.request(run, key=f"done#{number}", title=f"pay {number}", state=State.REJECTED)
    client = signed_in(bo)
    client.get(path)
    with django_assert_max_num_queries(8):
        answer = client.get(path)
    assert len(gzip.compress(answer.content)) <= 14 * 1024


def test_a_request_stays_in_the_budget_of_a_phone(
    ana: User, bo: User, finance: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    made = asked.approval(ana, team=finance)
    client = signed_in(bo)
    path = f"/inbox/{made.public_id}/"
    client.get(path)
    with django_assert_max_num_queries(8):
        answer = client.get(path)
    assert len(gzip.compress(answer.content)) <= 8 * 1024
    assert len(re.findall(r"<[a-z]", unescape(answer.content.decode()))) <= 600


def test_an_empty_inbox_says_what_comes_here(page: Client) -> None:
    assert "All done Nobody is asked anything." in words(page.get("/inbox/").content)
    assert "Nothing was decided yet" in words(page.get("/inbox/?tab=done").content)
    assert "Nothing is snoozed" in words(page.get("/inbox/?tab=snoozed").content)


def test_the_rail_counts_what_waits_for_the_reader(ana: User, bo: User, finance: Team) -> None:
    asked.approval(ana, team=finance)
    factories.running(ana)
    told = signed_in(bo).get("/agents/").content.decode()
    assert re.search(r'id="rail-inbox">1<', told)
    assert re.search(r'id="rail-running" hidden>0<', told)
