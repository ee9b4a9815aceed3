"""Services that act for people, and browsers that see one thing for a quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from agentops.accounts import delegations, tokens
from agentops.accounts.models import ApiToken, Delegation, Membership, Team, User
from agentops.accounts.roles import Role, Scope
from agentops.sdk import catalog
from runs import conversations
from runs.models import Conversation, Reply, Run
from tests import factories
from tests.accounts.test_tokens import PASSWORD, basic, bearer, post
from tests.people import administrator, person, token

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog().modules
    catalog.configure(("tests.runs.agents",))
    yield
    catalog.configure(before)


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def ana(finance: Team) -> User:
    made = person("ana", Role.OPERATOR, team=finance)
    made.set_password(PASSWORD)
    made.save()
    return made


@pytest.fixture
def erp(db: None) -> User:
    made = person("erp", Role.VIEWER)
    made.is_service = True
    made.set_unusable_password()
    made.save()
    return made


def given(client: Client, service: str = "erp", **body: object) -> Any:
    return post(client, "delegations", {"service": service, **body})


def acting(erp: User, text: str) -> Client:
    return bearer(token(erp), **{"x-on-behalf-of": text})


# -- services -----------------------------------------------------------------------------------


def test_a_service_acts_for_who_let_it_and_both_are_named(ana: User, erp: User) -> None:
    text = given(basic("ana")).json()["on_behalf_of"]
    client = acting(erp, text)
    started = post(client, "runs", {"agent": "anything"})
    run = Run.objects.get(public_id=started.json()["id"])
    assert (run.owner, run.started_by) == (ana, "erp for ana")
    assert client.get(f"/api/v1/runs/{run.public_id}").status_code == 200
    # Without the word of ana it is nobody to her.
    assert bearer(token(erp)).get(f"/api/v1/runs/{run.public_id}").status_code == 404


def test_a_repeated_word_is_the_same_word(ana: User, erp: User) -> None:
    named: Any = {"headers": {"idempotency-key": "k"}, "content_type": "application/json"}
    texts = [
        basic("ana").post("/api/v1/delegations", {"service": "erp"}, **named).json()["on_behalf_of"]
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert Delegation.objects.count() == 1
    assert not Reply.objects.exists()


def test_it_may_what_both_may(ana: User, erp: User, finance: Team) -> None:
    client = acting(erp, given(basic("ana")).json()["on_behalf_of"])
    of_team = factories.run(person("bo"), team=finance)
    own = factories.uncertain(ana)
    at = f"/api/v1/runs/{of_team.public_id}"
    assert client.get(at).status_code == 404
    Membership.objects.create(team=finance, user=erp)
    assert client.get(at).status_code == 200
    # Ana settles what is uncertain; a viewer does not, also not for her.
    settle = f"runs/{own.public_id}/steps/send_payment%231/settle"
    assert post(client, settle, {"verdict": "unknown"}).status_code == 403


def test_scopes_of_its_token_narrow_it_further(ana: User, erp: User) -> None:
    text = given(basic("ana")).json()["on_behalf_of"]
    client = bearer(token(erp, Scope.RUNS_READ), **{"x-on-behalf-of": text})
    assert client.get("/api/v1/runs").status_code == 200
    assert post(client, "runs", {"agent": "anything"}).status_code == 403


@pytest.mark.parametrize("body", [{"service": "nobody"}, {"service": "ana"}, {"service": "opal"}])
def test_only_service_accounts_act_for_people(ana: User, erp: User, body: dict[str, str]) -> None:
    administrator("opal")
    answer = post(basic("ana"), "delegations", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "no_such_service")


def test_no_token_gives_a_delegation_and_none_is_passed_on(ana: User, erp: User) -> None:
    text = given(basic("ana")).json()["on_behalf_of"]
    for client in (bearer(token(ana)), acting(erp, text)):
        assert given(client).status_code == 401
        assert post(client, "tokens", {"name": "x"}).status_code == 403


def refused(client: Client) -> str:
    answer = client.get("/api/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    message: str = answer.json()["message"]
    return message


def test_a_stolen_or_forged_word_is_worth_nothing(ana: User, erp: User) -> None:
    text = given(basic("ana")).json()["on_behalf_of"]
    other = person("crm", Role.ADMINISTRATOR)
    User.objects.filter(pk=other.pk).update(is_service=True)
    assert refused(acting(User.objects.get(pk=other.pk), text))
    row = Delegation.objects.get()
    forged = signing.dumps([row.public_id, erp.pk], salt="another")
    for wrong in ("", "x", text[:-1], text + "x", forged, row.public_id):
        assert refused(acting(erp, wrong))
    assert "service accounts" in refused(bearer(token(ana), **{"x-on-behalf-of": text}))


def test_a_delegation_ends_with_its_time(ana: User, erp: User) -> None:
    text = given(basic("ana"), days=1).json()["on_behalf_of"]
    Delegation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refused(acting(erp, text))


def test_taken_back_it_ends_at_once(ana: User, erp: User) -> None:
    body = given(basic("ana")).json()
    client = acting(erp, body["on_behalf_of"])
    at_browser = post(client, "browser-tokens", {"tags": ["x"]}).json()["token"]
    assert basic("ana").delete(f"/api/v1/delegations/{body['id']}").status_code == 204
    assert refused(client)
    assert refused(bearer(at_browser))


@pytest.mark.parametrize("who", ["ana", "erp"])
def test_when_either_leaves_it_ends(ana: User, erp: User, who: str) -> None:
    client = acting(erp, given(basic("ana")).json()["on_behalf_of"])
    User.objects.filter(username=who).update(is_active=False)
    assert refused(client)


def test_people_see_and_take_back_their_own_only(ana: User, erp: User) -> None:
    body = given(basic("ana")).json()
    bo = Client()
    bo.force_login(person("bo"))
    assert bo.get("/api/v1/delegations").json() == {"items": []}
    assert bo.delete(f"/api/v1/delegations/{body['id']}").status_code == 404
    listed = basic("ana").get("/api/v1/delegations").json()["items"]
    assert [item["id"] for item in listed] == [body["id"]]
    assert "on_behalf_of" not in listed[0]


def test_nobody_signs_in_as_a_service(erp: User) -> None:
    erp.set_password(PASSWORD)
    erp.save()
    assert post(basic("erp"), "tokens", {"name": "x"}).status_code == 401


# -- browsers -----------------------------------------------------------------------------------


def browser(client: Client, **body: object) -> Client:
    answer = post(client, "browser-tokens", body)
    assert answer.status_code == 201, answer.content
    return bearer(answer.json()["token"])


@pytest.fixture
def app(ana: User) -> Client:
    return bearer(token(ana))


def test_a_browser_sees_the_run_it_is_for_and_nothing_else(ana: User, app: Client) -> None:
    shown, other = factories.running(ana), factories.running(ana)
    tab = browser(app, runs=[shown.public_id])
    assert tab.get(f"/api/v1/runs/{shown.public_id}").status_code == 200
    assert tab.get(f"/api/v1/runs/{shown.public_id}/events").status_code == 200
    assert tab.get(f"/api/v1/runs/{other.public_id}").status_code == 404
    listed = tab.get("/api/v1/runs").json()["items"]
    assert [item["id"] for item in listed] == [shown.public_id]
    assert tab.get("/api/v1/conversations").json()["items"] == []
    for deed in ("cancel", "signal", "fork"):
        body = {"name": "x", "at_seq": 1} if deed != "cancel" else {}
        assert post(tab, f"runs/{shown.public_id}/{deed}", body).status_code in {403, 422}
    assert post(tab, f"runs/{shown.public_id}/signal", {"name": "x"}).status_code == 403


def test_a_browser_that_may_respond_sends_but_starts_and_stops_nothing(
    ana: User, app: Client
) -> None:
    run = factories.running(ana)
    tab = browser(app, runs=[run.public_id], may="respond")
    assert post(tab, f"runs/{run.public_id}/signal", {"name": "x"}).status_code == 200
    assert post(tab, f"runs/{run.public_id}/cancel").status_code == 403
    assert post(tab, f"runs/{run.public_id}/fork", {"at_seq": 1}).status_code == 403
    assert post(tab, "runs", {"agent": "anything"}).status_code == 403
    assert post(tab, "conversations", {"agent": "anything"}).status_code == 403


def test_a_browser_follows_a_conversation_with_the_runs_to_come(ana: User, app: Client) -> None:
    talk = conversations.begin(agent="anything", owner=ana, started_by="ana").conversation
    tab = browser(app, conversations=[talk.public_id], may="respond")
    said = post(tab, f"conversations/{talk.public_id}/messages", {"content": "Hello"})
    assert said.status_code in {201, 202}, said.content
    run = Run.objects.get(conversation=Conversation.objects.get())
    assert tab.get(f"/api/v1/runs/{run.public_id}").status_code == 200
    assert [item["id"] for item in tab.get("/api/v1/runs").json()["items"]] == [run.public_id]


def test_it_lasts_a_quarter_of_an_hour_and_never_longer_than_what_made_it(ana: User) -> None:
    run = factories.run(ana)
    for days, minutes in ((None, 15), (5 / 1440, 5)):
        app = bearer(token(ana, days=days))
        answer = post(app, "browser-tokens", {"runs": [run.public_id]}).json()
        made = ApiToken.objects.get(public_id=answer["id"])
        assert made.expiry is not None
        left = (made.expiry - timezone.now()).total_seconds() / 60
        assert minutes - 1 < left <= minutes


def test_it_goes_with_the_token_that_made_it(ana: User, app: Client) -> None:
    run = factories.run(ana)
    tab = browser(app, runs=[run.public_id])
    tokens.revoke_token(
        user=ana, public_id=ApiToken.objects.get(only=None).public_id, revoked_by="ana"
    )
    assert refused(tab)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"runs": []}, 422),
        ({"runs": ["run_00000000000000000000"]}, 404),
        ({"conversations": ["conv_00000000000000000000"]}, 404),
        ({"runs": ["x"] * 51}, 422),
        ({"tags": ["x"], "may": "decide"}, 422),
        ({"tags": [""]}, 422),
    ],
    ids=str,
)
def test_what_cannot_be_opened_is_refused(
    app: Client, body: dict[str, object], status: int
) -> None:
    assert post(app, "browser-tokens", body).status_code == status
    assert not ApiToken.objects.filter(only__isnull=False).exists()


def test_nobody_opens_for_a_browser_what_they_may_not_see(app: Client) -> None:
    theirs = factories.run(person("bo"))
    assert post(app, "browser-tokens", {"runs": [theirs.public_id]}).status_code == 404


def test_a_browser_makes_no_tokens(ana: User, app: Client) -> None:
    run = factories.run(ana)
    tab = browser(app, runs=[run.public_id])
    assert post(tab, "browser-tokens", {"runs": [run.public_id]}).status_code == 403
    assert post(tab, "tokens", {"name": "x"}).status_code == 403


def test_a_token_that_only_reads_hands_out_no_more(ana: User) -> None:
    run = factories.run(ana)
    reads = bearer(token(ana, Scope.RUNS_READ))
    assert post(reads, "browser-tokens", {"runs": [run.public_id]}).status_code == 201
    more = {"runs": [run.public_id], "may": "respond"}
    assert post(reads, "browser-tokens", more).status_code == 403


def test_the_word_of_a_person_holds_in_browsers_too(ana: User, erp: User) -> None:
    run = factories.run(ana)
    text = delegations.give(person=ana, service="erp", days=1, now=timezone.now()).text
    tab = browser(acting(erp, text), runs=[run.public_id])
    assert tab.get(f"/api/v1/runs/{run.public_id}").status_code == 200


def test_pages_of_named_origins_may_call_and_others_may_not(
    app: Client, settings: Settings
) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization, last-event-id",
    }
    answer = Client().options("/api/v1/runs", headers=asked)
    assert answer["access-control-allow-origin"] == "https://shop.example"
    assert "last-event-id" in answer["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer
    other = Client().options("/api/v1/runs", headers={**asked, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other
    page = Client().get("/sign-in/", headers={"origin": "https://shop.example"})
    assert "access-control-allow-origin" not in page
