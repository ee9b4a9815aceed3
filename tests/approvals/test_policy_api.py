"""Policies over REST: read by those who look after runs, changed by administrators in person."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role, Scope
from approvals import policies, samples
from approvals.models import PolicyProposal, PolicyVersion
from runs.models import Phase
from tests.factories import ONCE, Story, run
from tests.people import administrator, person, token

pytestmark = pytest.mark.django_db
LIMIT = "double(arguments.amount) > 200.0"
ASK = {"id": "big", "effect": "ask", "tools": ["refund"], "when": LIMIT}
ALLOW = {"id": "small", "effect": "allow", "tools": ["mail"]}


@pytest.fixture(autouse=True)
def _asks(settings: Any) -> None:
    settings.AGENTOPS_UNRULED = "ask"


@pytest.fixture
def ida() -> User:
    return administrator("ida")


def session(user: User, *, fresh: bool = True) -> Client:
    client = Client()
    client.force_login(user)
    kept = client.session
    kept["account_authentication_methods_user"] = str(user.pk)
    at = time.time() if fresh else time.time() - 3600
    kept["account_authentication_methods"] = [{"method": "password", "at": at}]
    kept.save()
    return client


def app(user: User, *scopes: Scope) -> Client:
    return Client(headers={"authorization": f"Bearer {token(user, *scopes)}"})


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/policies{path}", json.dumps(body), content_type="application/json")


def change(client: Client, *rules: dict[str, Any], **said: Any) -> Any:
    return post(client, "/versions", **{"rules": rules, "note": "Why", "based_on": 0, **said})


def test_an_administrator_saves_reads_and_goes_back(ida: User) -> None:
    client = session(ida)
    first = change(client, ASK)
    assert first.status_code == 201
    assert first.json()["version"]["rules"] == [ASK]
    assert change(client, ASK, {"id": "no", "effect": "deny"}, based_on=1).status_code == 201
    held = client.get("/api/v1/policies").json()["items"]
    assert [(layer["team"], layer["version"]["number"]) for layer in held] == [(None, 2)]
    listed = client.get("/api/v1/policies/versions?limit=1").json()
    assert [one["number"] for one in listed["items"]] == [2]
    more = client.get(f"/api/v1/policies/versions?limit=1&cursor={listed['next_cursor']}").json()
    assert [one["number"] for one in more["items"]] == [1]
    pk = listed["items"][0]["id"]
    detail = client.get(f"/api/v1/policies/versions/{pk}").json()
    assert detail["changes"] == ["+ no: Do not let any agent call any tool"]
    back = post(client, f"/versions/{first.json()['version']['id']}/revert", note="No", based_on=2)
    assert back.status_code == 201
    assert back.json()["version"]["number"] == 3


def test_a_fault_is_named_with_its_place(ida: User) -> None:
    answer = change(session(ida), ASK, {**ASK, "id": "b", "when": "amount > 1"})
    assert answer.status_code == 422
    ((pointer, said),) = answer.json()["meta"]["fields"].items()
    assert pointer == "/rules/1/when"
    assert "arguments.amount" in said[0]
    tried = post(session(ida), "/simulate", rules=[{"id": "a"}])
    assert list(tried.json()["meta"]["fields"]) == ["/rules/0/effect"]
    assert not PolicyVersion.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"based_on": 7}, "policy_moved"),
        ({"based_on": 1}, "policy_unchanged"),
        ({"based_on": 1, "note": " "}, "invalid_request"),
        ({"based_on": 1, "team": "made up"}, "invalid_request"),
        ({"based_on": 1, "unmatched": "alow"}, "invalid_request"),
        ({"based_on": 1, "made_by": "root"}, "invalid_request"),
    ],
)
def test_what_cannot_be_saved_says_why(ida: User, body: dict[str, Any], code: str) -> None:
    client = session(ida)
    change(client, ASK)
    assert change(client, ASK, **body).json()["code"] == code
    assert PolicyVersion.objects.count() == 1


def test_more_takes_two_over_rest_too(ida: User) -> None:
    bo = administrator("bo")
    answer = change(session(ida), ALLOW)
    assert answer.status_code == 202
    proposal = answer.json()["proposal"]
    assert proposal["widens"] == ["“small” allows what was not allowed."]
    assert change(session(bo), ASK).json()["code"] == "proposal_open"
    agree = f"/proposals/{proposal['id']}/agree"
    assert post(session(ida), agree).json()["code"] == "needs_another_person"
    assert post(session(bo), agree).status_code == 201
    assert post(session(bo), agree).json()["code"] == "policy_moved"
    second = change(session(ida), based_on=1, unmatched="allow").json()["proposal"]
    assert post(session(bo), f"/proposals/{second['id']}/refuse").status_code == 204
    assert post(session(bo), "/proposals/999999/agree").status_code == 404
    assert PolicyProposal.objects.filter(closed_at__isnull=True).count() == 0


@pytest.mark.parametrize(
    ("client", "code"),
    [
        (app, "person_required"),
        (lambda ida: session(person("op", Role.OPERATOR)), "permission_denied"),
        (lambda ida: session(person("ap", Role.APPROVER)), "permission_denied"),
        (lambda ida: session(ida, fresh=False), "sign_in_again"),
        (lambda ida: Client(), "not_authenticated"),
    ],
)
def test_who_may_not_change_rules_is_told_why(ida: User, client: Any, code: str) -> None:
    version = policies.plant(raw=samples.RULES, note=samples.NOTE)
    assert version is not None
    caller = client(ida)
    doors = ("/versions", f"/versions/{version.pk}/revert", "/proposals/1/agree")
    for door in (*doors, "/proposals/1/refuse"):
        body = {"rules": [], "note": "Why", "based_on": 1}
        assert post(caller, door, **body).json()["code"] == code
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("roles", "status"),
    [((Role.OPERATOR,), 200), ((Role.AUDITOR,), 200), ((Role.VIEWER,), 403), ((), 403)],
)
def test_who_may_read_rules(roles: tuple[Role, ...], status: int) -> None:
    version = policies.plant(raw=samples.RULES, note=samples.NOTE)
    assert version is not None
    client = session(person("x", *roles))
    for path in ("", "/versions", f"/versions/{version.pk}"):
        assert client.get(f"/api/v1/policies{path}").status_code == status
    assert post(client, "/simulate", rules=[]).status_code == status


def test_a_token_of_an_operator_reads_and_tries_rules(ida: User) -> None:
    op = person("op", Role.OPERATOR)
    program = app(op, Scope.RUNS_READ, Scope.RUNS_OPERATE)
    assert program.get("/api/v1/policies").status_code == 200
    assert post(program, "/simulate", rules=[ASK]).status_code == 200
    assert app(op, Scope.RUNS_READ).get("/api/v1/policies").status_code == 403


def test_the_rules_of_a_team_are_not_there_for_others(ida: User) -> None:
    shop, other = Team.objects.create(name="shop"), Team.objects.create(name="other")
    made = change(session(ida), ASK, team="shop", unmatched="allow").json()["version"]
    member, stranger = (person(f"of {t}", Role.OPERATOR, team=t) for t in (shop, other))
    assert session(member).get(f"/api/v1/policies/versions/{made['id']}").status_code == 200
    layers = session(member).get("/api/v1/policies").json()["items"]
    assert [layer["team"] for layer in layers] == [None, "shop"]
    assert layers[0]["version"] is None
    client = session(stranger)
    assert client.get(f"/api/v1/policies/versions/{made['id']}").status_code == 404
    assert client.get("/api/v1/policies/versions?team=shop").status_code == 422
    assert "shop" not in client.get("/api/v1/policies").content.decode()
    assert post(client, "/simulate", rules=[], team="shop").status_code == 422


def test_a_draft_is_tried_on_past_calls(ida: User) -> None:
    story = Story.of(run(agent="support-desk"))
    for n, amount in enumerate(("24.50", "250.00"), 1):
        given = {"amount": amount}
        story.add(f"refund#{n}", Phase.INTENT, "step.intended", n=1, input=given, **ONCE)
    made = story.save()
    rules = [ASK, {"id": "rest", "effect": "allow", "tools": ["refund"]}]
    told = post(session(ida), "/simulate", rules=rules).json()
    assert (told["calls"], told["differs"], told["unclear"]) == (2, 1, 0)
    assert told["lines"] == [
        {"now": "ask", "then": "allow", "calls": 1},
        {"now": "ask", "then": "ask", "calls": 1},
    ]
    (changed,) = told["changed"]
    assert (changed["run"], changed["step"], changed["rule"]) == (
        made.public_id,
        "refund#1",
        "rest",
    )
    assert told["widens"] == ["“rest” allows what was not allowed."]
    assert len(told["changes"]) == 2
    assert not PolicyVersion.objects.exists()
