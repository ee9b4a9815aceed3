"""The doors of requests: who comes in by which, and what they cannot say. T6, T7, T10 and T12."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import Membership, Team, User
from agentops.accounts.roles import Role
from approvals import deciding, escalation, grants
from approvals.models import Deputy, Grant, Record, Request, Risk, State, Verdict, Vote
from runs.models import WaitingFor
from tests.approvals import making
from tests.people import administrator, person, token

pytestmark = pytest.mark.django_db
API = "/api/v1"


def session(user: User, *, is_sure: bool = False) -> Client:
    """A browser in which somebody signed in; a moment ago, if ``is_sure``."""
    client = Client()
    client.force_login(user)
    if is_sure:
        made = client.session
        made["account_authentication_methods_user"] = str(user.pk)
        made["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        made.save()
    return client


def app(user: User) -> Client:
    """A program with a token of theirs for everything a token can do."""
    return Client(headers={"authorization": f"Bearer {token(user)}"})


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}/{path}", json.dumps(body), "application/json")


def decides(client: Client, request: Request, **said: Any) -> Any:
    body = {"verdict": "approve", **making.shown(request), **said}
    return post(client, f"approvals/{request.public_id}/decide", **body)


def state(request: Request) -> tuple[str, int]:
    request.refresh_from_db()
    return request.state, request.votes.count()


UNTOUCHED = (State.PENDING, 0)


# -- who may: T6 -----------------------------------------------------------------------------------

RELATIONS = (
    "stranger",
    "owner",
    "starter",
    "teammate",
    "other team",
    "asked team",
    "administrator",
)


def _related(relation: str, role: Role, asked: Request) -> User:
    """Somebody with this role who stands to the run like this."""
    if relation == "owner":
        who = asked.owner
        assert who is not None
        who.groups.add(*person("x", role).groups.all())
        return who
    who = person("who", role)
    if relation in {"teammate", "starter"} and asked.team_id:
        Membership.objects.create(team_id=asked.team_id, user=who)
    if relation == "starter":
        asked.run.started_by = "who"
        asked.run.save()
    if relation == "other team":
        making.team("sales", who)
    if relation == "asked team":
        Membership.objects.create(team=Team.objects.get(name="finance"), user=who)
    if relation == "administrator":
        who.groups.add(*person("y", Role.ADMINISTRATOR).groups.all())
    return who


def _expected(relation: str, role: Role) -> int:
    decides_it = role is Role.APPROVER
    if relation == "asked team":
        return 200 if decides_it else 404
    if relation == "teammate":
        return 403 if role is not Role.CREDENTIAL_MANAGER and role is not Role.AUDITOR else 404
    if relation == "starter":
        return 403 if role not in {Role.CREDENTIAL_MANAGER, Role.AUDITOR} else 404
    if relation in {"owner", "administrator"}:
        return 403
    return 404


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
@pytest.mark.parametrize("relation", RELATIONS)
def test_t6_role_by_relation_by_transport(relation: str, role: Role) -> None:
    """An action of a run of one team that asks another team: only an approver of that decides."""
    making.team("finance")
    run = making.waiting_run(person("olga", Role.VIEWER), team=making.team("support"))
    asked = making.approval(run, factors=[{"team": "finance", "count": 1}])
    who = _related(relation, role, asked)
    expected = _expected(relation, role)
    by_token = decides(app(who), asked).status_code
    assert by_token == (403 if expected == 403 else by_token)
    assert by_token in {403, 404}
    assert state(asked) == UNTOUCHED
    answer = decides(session(who, is_sure=True), asked)
    assert answer.status_code == expected, answer.content
    assert state(asked) == ((State.APPROVED, 1) if expected == 200 else UNTOUCHED)


def test_t6_nobody_comes_in_without_saying_who_they_are(asked: Request) -> None:
    assert decides(Client(), asked).status_code == 401
    assert state(asked) == UNTOUCHED


@pytest.mark.parametrize(
    "door",
    ["decide", "withdraw", "revoke", "ask-back", "grants", "acknowledge", "give-back", "escalate"],
)
def test_t6_no_token_says_anything_that_people_say(asked: Request, ada: User, door: str) -> None:
    Request.objects.update(team=None, owner=None)
    Request.objects.filter(pk=asked.pk).update(owner=ada)
    answer = post(app(ada), f"approvals/{asked.public_id}/{door}", **making.shown(asked))
    assert (answer.status_code, answer.json()["code"]) == (403, "person_required")
    assert state(asked) == UNTOUCHED


def test_t6_several_at_once_are_no_way_around(asked: Request, owner: User, ada: User) -> None:
    item = {"id": asked.public_id, **making.shown(asked)}
    body = {"items": [item], "verdict": "approve"}
    assert post(app(ada), "approvals/decide", **body).status_code == 403
    for who, code in ((owner, "may_not_decide"), (person("sven"), "not_found")):
        made = post(session(who), "approvals/decide", **body).json()
        assert [one["code"] for one in made["items"]] == [code]
        assert state(asked) == UNTOUCHED
    made = post(session(ada), "approvals/decide", **body).json()
    assert made["items"] == [
        {"id": asked.public_id, "state": "approved", "code": "", "message": ""}
    ]


# -- who it was: T7 --------------------------------------------------------------------------------

SPOOFS = [
    {"decided_by": "bo"}, {"voter": "bo"}, {"by": "bo"}, {"user": "bo"}, {"actor": "bo"},
    {"person": 1}, {"state": "approved"}, {"deputy": 1}, {"team": "finance"},
]  # fmt: skip


@pytest.mark.parametrize("spoof", SPOOFS, ids=str)
def test_t7_no_field_says_who_decides(
    asked: Request, ada: User, bo: User, spoof: dict[str, Any]
) -> None:
    answer = decides(session(ada), asked, **spoof)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert state(asked) == UNTOUCHED


def test_t7_no_header_says_who_decides(asked: Request, ada: User, bo: User) -> None:
    headers = {
        "X-User": "bo", "X-Forwarded-User": "bo", "X-Remote-User": "bo", "Remote-User": "bo",
        "X-Decided-By": "bo", "From": "bo",
    }  # fmt: skip
    client = session(ada)
    body = json.dumps({"verdict": "approve", **making.shown(asked)})
    client.post(
        f"{API}/approvals/{asked.public_id}/decide?decided_by=bo", body, "application/json",
        headers=headers, REMOTE_USER="bo",
    )  # fmt: skip
    assert list(Vote.objects.values_list("voter__username", flat=True)) == ["ada"]
    assert Record.objects.get(event="approval.decided").person == ada


# -- what a word costs -----------------------------------------------------------------------------


def test_a_decision_asks_the_database_little(
    asked: Request, ada: User, django_assert_max_num_queries: Any
) -> None:
    client, body = session(ada), {"verdict": "approve", **making.shown(asked)}
    with django_assert_max_num_queries(22):
        assert post(client, f"approvals/{asked.public_id}/decide", **body).status_code == 200


# -- stale and replayed words: T10 -----------------------------------------------------------------


def test_t10_the_same_post_again_changes_nothing(asked: Request, ada: User) -> None:
    client, body = session(ada), {"verdict": "approve", **making.shown(asked)}
    path = f"approvals/{asked.public_id}/decide"
    assert post(client, path, **body).status_code == 200
    before = list(Record.objects.values())
    again = post(client, path, **body)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    assert "by ada" in again.json()["message"]
    assert list(Record.objects.values()) == before


def test_t10_a_word_on_an_older_revision_is_refused(asked: Request, ada: User) -> None:
    old = making.shown(asked)
    making.revision(asked, {**making.REFUND, "amount": "999.00"})
    answer = post(session(ada), f"approvals/{asked.public_id}/decide", verdict="approve", **old)
    assert (answer.status_code, answer.json()["code"]) == (409, "request_changed")
    assert state(asked) == UNTOUCHED


def test_t10_the_digest_of_another_request_is_refused(
    asked: Request, owner: User, ada: User
) -> None:
    other = making.approval(making.waiting_run(owner), arguments={"amount": "1.00"})
    assert decides(session(ada), asked, **making.shown(other)).status_code == 409
    assert state(asked) == state(other) == UNTOUCHED


def test_t10_a_key_brings_the_first_answer_back(asked: Request, ada: User) -> None:
    client, body = session(ada), {"verdict": "approve", **making.shown(asked)}
    answers = [
        client.post(
            f"{API}/approvals/{asked.public_id}/decide", json.dumps(body), "application/json",
            headers={"Idempotency-Key": "once"},
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert Vote.objects.count() == 1


# -- from whose page it comes: T12 -----------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{}, {"X-CSRFToken": "x" * 32}, {"Origin": "https://evil.example"}]
)
def test_t12_a_foreign_page_decides_nothing(
    asked: Request, ada: User, headers: dict[str, str]
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    body = json.dumps({"verdict": "approve", **making.shown(asked)})
    path = f"{API}/approvals/{asked.public_id}/decide"
    assert client.post(path, body, "application/json", headers=headers).status_code == 403
    assert state(asked) == UNTOUCHED


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete"])
@pytest.mark.parametrize(
    "door",
    ["decide", "withdraw", "revoke", "answer", "decline", "ask-back", "acknowledge", "escalate"],
)
def test_t11_only_a_post_says_anything(asked: Request, ada: User, method: str, door: str) -> None:
    path = f"{API}/approvals/{asked.public_id}/{door}?verdict=approve"
    answer = getattr(session(ada), method)(path)
    assert answer.status_code in {200, 405}
    assert state(asked) == UNTOUCHED


# -- what much hangs on ----------------------------------------------------------------------------


def test_high_risk_is_approved_by_who_said_a_moment_ago_who_they_are(
    owner: User, ada: User
) -> None:
    risky = making.approval(making.waiting_run(owner), risk=Risk.HIGH)
    answer = decides(session(ada), risky)
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again")
    assert state(risky) == UNTOUCHED
    assert decides(session(ada), risky, verdict="reject").status_code == 200
    other = making.approval(making.waiting_run(owner), risk=Risk.HIGH)
    assert decides(session(ada, is_sure=True), other).status_code == 200


# -- reading ---------------------------------------------------------------------------------------


def test_what_is_read_is_what_the_digest_is_of(asked: Request, ada: User) -> None:
    read = session(ada).get(f"{API}/approvals/{asked.public_id}").json()
    action = read["action"]
    assert hashlib.sha256(action["envelope"].encode()).hexdigest() == action["digest"]
    assert action["arguments"] == making.REFUND
    assert (read["why_not"], read["missing"], read["asks"]) == (None, [1], "1 approver")
    assert [record["event"] for record in read["records"]] == ["approval.requested"]


def test_who_may_not_decide_reads_why(asked: Request, owner: User) -> None:
    for client in (session(owner), app(owner)):
        read = client.get(f"{API}/approvals/{asked.public_id}").json()
        assert read["why_not"]
        assert read["action"]["arguments"] == making.REFUND


def test_lists_are_filtered_and_counted(owner: User, ada: User) -> None:
    run = making.waiting_run(owner)
    first = making.approval(run, risk=Risk.HIGH)
    making.approval(making.waiting_run(owner), tool="send_mail", state=State.REJECTED,
                    decided_at=timezone.now())  # fmt: skip
    question = making.question(making.waiting_run(owner, WaitingFor.ANSWER))
    client = session(owner)

    def listed(query: str) -> set[str]:
        return {one["id"] for one in client.get(f"{API}/approvals?{query}").json()["items"]}

    assert len(listed("")) == 3
    assert listed("state=pending&kind=approval") == {first.public_id}
    assert listed("kind=question") == {question.public_id}
    assert listed(f"run={run.public_id}") == {first.public_id}
    assert listed("tool=send_mail&state=pending") == set()
    assert listed("risk=high&limit=1") == {first.public_id}
    assert client.get(f"{API}/approvals?mine=1").status_code == 422
    counted = client.get(f"{API}/approvals/count").json()
    assert counted.pop("next_deadline")
    assert counted == {"pending": 2, "approvals": 1, "questions": 1, "attention": 0, "high_risk": 1}
    assert session(person("sven")).get(f"{API}/approvals/count").json()["pending"] == 0


# -- the other doors -------------------------------------------------------------------------------


def test_a_word_is_withdrawn_and_an_approval_revoked(owner: User, ada: User) -> None:
    asked = making.approval(making.waiting_run(owner), undo_seconds=20)
    client, at = session(ada), f"approvals/{asked.public_id}"
    assert decides(client, asked).json()["state"] == "approved"
    assert post(client, f"{at}/withdraw").json()["state"] == "pending"
    assert decides(client, asked).json()["state"] == "approved"
    assert post(client, f"{at}/revoke", comment="No.").json()["comment"] == "No."
    assert post(client, f"{at}/withdraw").status_code == 409


def test_an_app_answers_for_its_person(owner: User) -> None:
    first, second = (making.question(making.waiting_run(owner, WaitingFor.ANSWER)) for _ in "ab")
    client = app(owner)
    wrong = post(client, f"approvals/{first.public_id}/answer", answer={"account": "UK"})
    assert (wrong.status_code, wrong.json()["meta"]["path"]) == (422, "/account")
    made = post(client, f"approvals/{first.public_id}/answer", answer={"account": "US"}).json()
    assert (made["state"], made["answer"]) == ("answered", {"account": "US", "sure": False})
    declined = post(client, f"approvals/{second.public_id}/decline", comment="Ask Kim.").json()
    assert (declined["state"], declined["comment"]) == ("declined", "Ask Kim.")


def test_asking_back_stands_in_the_record(asked: Request, ada: User) -> None:
    made = post(session(ada), f"approvals/{asked.public_id}/ask-back", text="Receipt?")
    assert (made.status_code, made.json()["detail"]) == (201, {"text": "Receipt?"})


def test_a_permission_is_offered_given_listed_and_ended(asked: Request, ada: User) -> None:
    client, at = session(ada), f"approvals/{asked.public_id}/grants"
    offered = client.get(f"{API}/{at}").json()["items"]
    made = post(client, at, offer=offered[1]["offer"], covers="agent", hours=2, max_uses=3,
                sum_of="amount", sum_limit="500")  # fmt: skip
    assert made.status_code == 201, made.content
    listed = client.get(f"{API}/grants").json()["items"]
    assert [one["id"] for one in listed] == [made.json()["id"]]
    assert listed[0]["when"] == offered[1]["when"]
    ended = post(client, f"grants/{made.json()['id']}/revoke").json()
    assert ended["revoked_by"] == "ada"
    stale = post(client, at, offer="0" * 32)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_offer")


def test_a_deputy_is_appointed_and_ended(ada: User, bo: User) -> None:
    ends = (timezone.now() + timedelta(days=2)).isoformat()
    made = post(session(ada), "deputies", deputy="bo", ends_at=ends, tools=["refund"])
    assert made.status_code == 201, made.content
    for client in (session(ada), session(bo)):
        assert [one["deputy"] for one in client.get(f"{API}/deputies").json()["items"]] == ["bo"]
    assert session(person("sven")).get(f"{API}/deputies").json()["items"] == []
    assert post(app(bo), f"deputies/{made.json()['id']}/end").status_code == 403
    assert post(session(bo), f"deputies/{made.json()['id']}/end").json()["ended_at"]
    assert Deputy.objects.in_force().count() == 0


def test_administrators_see_all_grants_and_give_none(asked: Request, ada: User) -> None:
    grants.issue(request=asked, actor=Actor(ada), wish=grants.Wish(when="true", scope="agent"))
    root = session(administrator("root"), is_sure=True)
    assert len(root.get(f"{API}/grants").json()["items"]) == 1
    assert post(root, f"approvals/{asked.public_id}/grants", when="true").status_code == 403
    assert Grant.objects.count() == 1


def test_what_is_decided_says_so_to_who_comes_second(asked: Request, ada: User, bo: User) -> None:
    deciding.decide(request=asked, actor=Actor(bo), verdict=Verdict.REJECT, **making.shown(asked))
    answer = decides(session(ada), asked)
    assert answer.status_code == 409
    assert "rejected" in answer.json()["message"]
    assert "by bo" in answer.json()["message"]


# -- who looks after it ----------------------------------------------------------------------------


def test_it_is_taken_up_given_back_and_escalated(asked: Request, ada: User, owner: User) -> None:
    escalation.begin(now=timezone.now())
    path = f"approvals/{asked.public_id}"
    assert post(session(ada), f"{path}/acknowledge").status_code == 200
    asked.refresh_from_db()
    assert (asked.acknowledged_by, asked.next_step_at) == (ada, None)
    assert post(session(ada), f"{path}/give-back").status_code == 200
    asked.refresh_from_db()
    assert asked.acknowledged_by is None
    assert post(session(owner), f"{path}/escalate").status_code == 200
    assert post(session(owner), f"{path}/acknowledge").json()["code"] == "may_not_decide"
    assert post(session(person("sven")), f"{path}/escalate").status_code == 404
    Request.objects.update(chain_step=99)
    answer = post(session(ada), f"{path}/escalate")
    assert (answer.status_code, answer.json()["code"]) == (409, "all_told")
