"""Tokens: what they are for, when they end, and what a thief of one cannot do."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from agentops.accounts import tokens
from agentops.accounts.models import ApiToken, User
from agentops.accounts.roles import Role, Scope
from runs.models import Reply, Run
from tests import factories
from tests.people import administrator, person, token

pytestmark = pytest.mark.django_db
PASSWORD = "a-good-secret-1"


def bearer(secret: str, **headers: str) -> Client:
    return Client(headers={"authorization": f"Bearer {secret}", **headers})


def basic(name: str, password: str = PASSWORD) -> Client:
    word = base64.b64encode(f"{name}:{password}".encode()).decode()
    return Client(headers={"authorization": f"Basic {word}"})


def post(client: Client, path: str, body: Mapping[str, object] | None = None) -> Any:
    return client.post(f"/api/v1/{path}", body or {}, "application/json")


@pytest.fixture
def ana(db: None) -> User:
    made = person("ana", Role.OPERATOR)
    made.set_password(PASSWORD)
    made.save()
    return made


# -- making one ---------------------------------------------------------------------------------


def test_name_and_password_make_a_token_that_is_shown_once(ana: User) -> None:
    answer = post(basic("ana"), "tokens", {"name": "order desk"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["token"].startswith("agp_")
    assert body["token"].startswith(body["prefix"])
    assert body["scopes"] == ["runs:read", "runs:write"]
    listed = basic("ana").get("/api/v1/tokens")
    assert [item["name"] for item in listed.json()["items"]] == ["order desk"]
    assert body["token"] not in listed.content.decode()
    assert bearer(body["token"]).get("/api/v1/runs").status_code == 200


def test_the_database_holds_no_token(ana: User) -> None:
    secret = token(ana)
    row = ApiToken.objects.values().get()
    assert secret not in str(row)
    assert len(row["digest"]) == 128


def test_a_session_makes_one_and_a_token_does_not(ana: User) -> None:
    client = Client()
    client.force_login(ana)
    assert post(client, "tokens", {"name": "x"}).status_code == 201
    refused = post(bearer(token(ana)), "tokens", {"name": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "person_required")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["approvals:decide"]}, "/scopes/0"),
        ({"name": "x", "days": 0}, "/days"),
        ({"name": "x", "days": 1e9}, "/days"),
        ({"name": "x" * 81}, "/name"),
        ({"name": "x", "user": "opal"}, "/user"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    ana: User, body: dict[str, object], field: str
) -> None:
    answer = post(basic("ana"), "tokens", body)
    assert answer.status_code == 422
    assert list(answer.json()["meta"]["fields"]) == [field]
    assert not ApiToken.objects.exists()


def test_wrong_passwords_close_this_door_too(ana: User, settings: Settings) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        answer = post(basic("ana", "wrong"), "tokens", {"name": "x"})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    post(basic("ana", "wrong"), "tokens", {"name": "x"})
    answer = post(basic("ana"), "tokens", {"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limit_exceeded")
    assert int(answer["Retry-After"]) == 900
    assert not ApiToken.objects.exists()


def test_nobody_learns_which_names_there_are(ana: User) -> None:
    said = [
        {**post(basic(name, "wrong"), "tokens").json(), "error_id": ""} for name in ("ana", "bo")
    ]
    assert said[0] == said[1]


def test_every_refusal_costs_the_same_work(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time it takes would tell which names there are, and which of them are people."""
    gone = person("gone")
    gone.is_active = False
    gone.save()
    robot = User.objects.create(username="robot", is_service=True)
    robot.set_unusable_password()
    robot.save()
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    work = {}
    for name in ("ana", "nobody", "gone", "robot"):
        hashed.clear()
        assert post(basic(name, "wrong"), "tokens").status_code == 401
        work[name] = len(hashed)
    assert set(work.values()) == {1}, work


def test_a_password_that_was_printed_makes_none_until_its_owner_chose_another(ana: User) -> None:
    ana.must_change_password = True
    ana.save()
    refused = post(basic("ana"), "tokens", {"name": "x"})
    assert refused.status_code == 403
    assert "/api/v1/password" in refused.json()["message"]
    weak = post(basic("ana"), "password", {"new_password": "12345"})
    assert list(weak.json()["meta"]["fields"]) == ["/new_password"]
    chosen = {"new_password": "another-good-secret-2"}
    assert post(basic("ana"), "password", chosen).status_code == 204
    made = post(basic("ana", "another-good-secret-2"), "tokens", {"name": "x"})
    assert made.status_code == 201


def test_a_token_cannot_choose_a_password(ana: User) -> None:
    assert post(bearer(token(ana)), "password", {"new_password": "x"}).status_code == 401


def test_name_and_password_open_no_other_door(ana: User) -> None:
    assert basic("ana").get("/api/v1/runs").status_code == 401


def test_a_repeated_request_makes_no_second_token_and_keeps_no_secret(ana: User) -> None:
    client = basic("ana")
    named: Any = {"headers": {"idempotency-key": "desk-1"}, "content_type": "application/json"}
    first = client.post("/api/v1/tokens", {"name": "desk"}, **named)
    assert (first.status_code, first["Cache-Control"]) == (201, "no-store")
    again = client.post("/api/v1/tokens", {"name": "desk"}, **named)
    assert (again.status_code, again.json()["code"]) == (409, "token_already_made")
    assert first.json()["id"] in again.json()["message"]
    assert ApiToken.objects.count() == 1
    assert not Reply.objects.exists()


def test_a_key_that_is_too_long_is_named(ana: User) -> None:
    named: Any = {"headers": {"idempotency-key": "x" * 256}, "content_type": "application/json"}
    answer = basic("ana").post("/api/v1/tokens", {"name": "desk"}, **named)
    assert list(answer.json()["meta"]["fields"]) == ["/Idempotency-Key"]


def test_nothing_of_a_chosen_password_is_kept(ana: User) -> None:
    chosen = {"new_password": "another-good-secret-2"}
    named: Any = {"headers": {"idempotency-key": "x"}, "content_type": "application/json"}
    assert basic("ana").post("/api/v1/password", chosen, **named).status_code == 204
    assert not Reply.objects.exists()


def test_there_are_never_more_than_somebody_can_know(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 1)
    token(ana)
    answer = post(basic("ana"), "tokens", {"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_tokens")


# -- what it opens ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "sees", "starts", "signals", "settles"),
    [
        ((Scope.RUNS_READ,), 200, 403, 403, 403),
        ((Scope.RUNS_READ, Scope.RUNS_RESPOND), 200, 403, 200, 403),
        ((Scope.RUNS_READ, Scope.RUNS_WRITE), 200, 201, 200, 403),
        ((Scope.RUNS_READ, Scope.RUNS_OPERATE), 200, 403, 403, 200),
        ((Scope.AUDIT_READ,), 404, 403, 404, 404),
    ],
)
def test_scopes_narrow_what_a_token_does(
    ana: User, scopes: tuple[Scope, ...], sees: int, starts: int, signals: int, settles: int
) -> None:
    run = factories.uncertain(ana)
    client = bearer(token(ana, *scopes))
    assert client.get(f"/api/v1/runs/{run.public_id}").status_code == sees
    assert post(client, "runs", {"agent": "hello", "input": {"name": "x"}}).status_code == starts
    assert post(client, f"runs/{run.public_id}/signal", {"name": "x"}).status_code == signals
    at = f"runs/{run.public_id}/steps/send_payment%231/settle"
    assert post(client, at, {"verdict": "unknown"}).status_code == settles


def test_no_scope_lets_a_token_administer_or_decide() -> None:
    from agentops.accounts.actors import actor_with
    from agentops.accounts.roles import Action

    boss = administrator("kim")
    boss.is_superuser = True
    actor = actor_with(ApiToken(user=boss, scopes=[scope.value for scope in Scope]))
    assert not {Action.ADMINISTER, Action.DECIDE, Action.MANAGE_CREDENTIALS} & actor.allowed


@pytest.mark.parametrize("days", [-1.0, 0.0])
def test_a_token_that_ended_opens_nothing_and_says_so(ana: User, days: float) -> None:
    answer = bearer(token(ana, days=days)).get("/api/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert "ended at" in answer.json()["message"]


def test_a_revoked_token_opens_nothing_from_then_on(ana: User) -> None:
    secret = token(ana)
    public_id = ApiToken.objects.get().public_id
    assert basic("ana").delete(f"/api/v1/tokens/{public_id}").status_code == 204
    assert bearer(secret).get("/api/v1/runs").status_code == 401
    assert basic("ana").delete(f"/api/v1/tokens/{public_id}").status_code == 404


def test_a_token_sees_and_revokes_itself_alone(ana: User) -> None:
    secret, other = token(ana), token(ana)
    mine, theirs = (ApiToken.objects.get(token_key=text[:15]) for text in (secret, other))
    client = bearer(secret)
    listed = client.get("/api/v1/tokens").json()["items"]
    assert [item["id"] for item in listed] == [mine.public_id]
    assert client.delete(f"/api/v1/tokens/{theirs.public_id}").status_code == 404
    assert client.delete(f"/api/v1/tokens/{mine.public_id}").status_code == 204
    assert bearer(other).get("/api/v1/runs").status_code == 200


def test_nobody_revokes_or_lists_what_is_somebody_elses(ana: User) -> None:
    secret = token(ana)
    public_id = ApiToken.objects.get().public_id
    boss = Client()
    boss.force_login(administrator("kim"))
    assert boss.delete(f"/api/v1/tokens/{public_id}").status_code == 404
    assert boss.get("/api/v1/tokens").json()["items"] == []
    assert bearer(secret).get("/api/v1/runs").status_code == 200


def test_the_token_of_somebody_who_left_opens_nothing(ana: User) -> None:
    secret = token(ana)
    User.objects.filter(pk=ana.pk).update(is_active=False)
    assert bearer(secret).get("/api/v1/runs").status_code == 401


def test_the_right_of_now_counts_not_that_of_when_it_was_made() -> None:
    boss = administrator("kim")
    run, secret = factories.run(person("bo")), token(boss)
    assert bearer(secret).get(f"/api/v1/runs/{run.public_id}").status_code == 200
    boss.groups.clear()
    assert bearer(secret).get(f"/api/v1/runs/{run.public_id}").status_code == 404


def test_a_beginning_is_not_enough(ana: User) -> None:
    secret = token(ana)
    for wrong in (secret[:15], secret[:-1], secret + "0", secret[4:], secret.upper()):
        assert bearer(wrong).get("/api/v1/runs").status_code == 401
    # Another token with the same beginning is another token.
    twin = ApiToken.objects.get()
    twin.pk, twin.public_id = "0" * 128, "tok_twin"
    twin.save(force_insert=True)
    assert bearer(secret).get("/api/v1/runs").status_code == 200


def test_a_token_in_an_address_is_no_token(ana: User) -> None:
    secret = token(ana)
    assert Client().get("/api/v1/runs", {"token": secret}).status_code == 401
    assert Client().get("/api/v1/runs", {"access_token": secret}).status_code == 401


# -- keeping track ------------------------------------------------------------------------------


def test_the_last_use_is_kept_to_the_minute_and_costs_nothing_between(ana: User) -> None:
    client = bearer(token(ana))
    assert ApiToken.objects.get().last_used_at is None
    client.get("/api/v1/agents")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    with CaptureQueriesContext(connection) as queries:
        client.get("/api/v1/agents")
    assert len(queries) == 1
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    client.get("/api/v1/agents")
    latest = ApiToken.objects.get().last_used_at
    assert latest is not None
    assert latest >= first


def test_what_ended_long_ago_is_tidied_away(ana: User) -> None:
    token(ana, days=-40)
    token(ana, days=-20)
    token(ana)
    assert tokens.sweep_expired(timezone.now()) == 1
    assert ApiToken.objects.count() == 2


def test_the_database_refuses_a_token_for_nothing(ana: User) -> None:
    with pytest.raises(IntegrityError, match="accounts_token_is_for_something"):
        ApiToken.objects.create(user=ana, digest="0", token_key="0", scopes=[])


def test_the_command_makes_one_and_prints_only_it(ana: User) -> None:
    said = StringIO()
    call_command(
        "api_token", "ana", "--name", "erp", "--scope", "runs:read", "--days", "1", stdout=said
    )
    secret = said.getvalue().strip()
    assert bearer(secret).get("/api/v1/runs").status_code == 200
    assert post(bearer(secret), "runs", {"agent": "hello"}).status_code == 403
    made = ApiToken.objects.get()
    assert (made.name, made.scopes) == ("erp", ["runs:read"])


def test_the_command_says_what_is_wrong(ana: User) -> None:
    with pytest.raises(CommandError, match="no user bo"):
        call_command("api_token", "bo")
    with pytest.raises(CommandError, match="80 characters"):
        call_command("api_token", "ana", "--name", "x" * 81)


def test_runs_name_the_person_whose_token_started_them(ana: User) -> None:
    answer = post(bearer(token(ana)), "runs", {"agent": "hello", "input": {"name": "x"}})
    run = Run.objects.get(public_id=answer.json()["id"])
    assert (run.owner, run.started_by) == (ana, "ana")
