"""The settings: one's own, and for administrators those of everybody."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from structlog.testing import capture_logs

from agentops.accounts import delegations, members
from agentops.accounts.access import Actor
from agentops.accounts.members import LastAdministrator, NotYourOwn
from agentops.accounts.models import ApiToken, Delegation, Team, User
from agentops.accounts.roles import Role
from agentops.views.people import browsers
from tests.accounts.test_factors import sign_in, with_app, with_password
from tests.accounts.test_tokens import PASSWORD, bearer
from tests.people import administrator, person, token

pytestmark = pytest.mark.django_db
OWN = ["profile", "password", "sessions", "tokens", "mfa_index", "mfa_list_webauthn", "keys",
       "notifications"]  # fmt: skip
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
FOR_ADMINISTRATORS = [
    "members", "member-new", "services", "service-new", "mails", "escalation", "chain-new",
    "rota-new",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _roles(db: None) -> None:
    """The groups that a migration makes; tests that empty all tables leave none."""
    for role in Role:
        Group.objects.get_or_create(name=role)


@pytest.fixture
def ana(db: None) -> User:
    return with_password(person("ana", Role.OPERATOR))


@pytest.fixture
def page(ana: User) -> Client:
    """A browser in which ana signed in a moment ago."""
    client = Client()
    assert sign_in(client).status_code == 302
    return client


@pytest.fixture
def kim(db: None) -> User:
    return with_password(administrator("kim"))


@pytest.fixture
def boss(kim: User) -> Client:
    client = Client()
    assert sign_in(client, "kim").status_code == 302
    return client


def shown_secret(answer: Any) -> str:
    assert answer.status_code == 200, answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    found = re.search(r'<input class="mono" readonly value="([^"]+)"', answer.content.decode())
    assert found is not None
    return found[1]


# -- everybody's own ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_everybody_has_settings(page: Client, name: str) -> None:
    answer = page.get(reverse(name))
    assert answer.status_code in {200, 302}, answer.content.decode()
    signed_out = Client().get(reverse(name))
    assert name == "keys" or signed_out["location"].startswith(reverse("login"))


def test_settings_lead_to_the_profile(page: Client) -> None:
    assert page.get("/settings/")["location"] == reverse("profile")


def test_one_says_who_one_is_and_gives_oneself_no_right(page: Client, ana: User) -> None:
    said = {
        "first_name": "Ana", "last_name": "Ruiz", "email": "ana@example.com",
        "is_superuser": "on", "is_staff": "on", "groups": "6", "roles": "administrator",
    }  # fmt: skip
    assert page.post(reverse("profile"), said).status_code == 302
    ana.refresh_from_db()
    assert (ana.first_name, ana.email) == ("Ana", "ana@example.com")
    assert (ana.is_superuser, ana.is_staff) == (False, False)
    assert ana.roles == [Role.OPERATOR]


def test_a_mail_address_belongs_to_one_person(page: Client, kim: User) -> None:
    User.objects.filter(pk=kim.pk).update(email="kim@example.com")
    answer = page.post(reverse("profile"), {"email": "KIM@example.com"})
    assert answer.status_code == 422


def test_a_token_is_made_shown_once_and_revoked(page: Client, ana: User) -> None:
    said = {"name": "desk", "scopes": ["runs:read"], "days": "30"}
    secret = shown_secret(page.post(reverse("tokens"), said))
    assert bearer(secret).get("/api/v1/runs").status_code == 200
    listed = page.get(reverse("tokens")).content.decode()
    assert "desk" in listed
    assert secret not in listed
    made = ApiToken.objects.get()
    assert page.post(reverse("token-revoke", args=[made.public_id])).status_code == 302
    assert bearer(secret).get("/api/v1/runs").status_code == 401


def test_what_is_wrong_with_a_token_is_said_beside_the_field(page: Client) -> None:
    answer = page.post(reverse("tokens"), {"name": "", "scopes": ["approvals:decide"], "days": "7"})
    assert answer.status_code == 422
    assert answer.content.decode().count('class="wrong"') == 3
    assert not ApiToken.objects.exists()


def test_after_a_quarter_of_an_hour_one_says_once_more_who_one_is(page: Client) -> None:
    session = page.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - 16 * 60
    session.save()
    said = {"name": "desk", "scopes": ["runs:read"], "days": "30"}
    asked = page.post(reverse("tokens"), said)
    assert asked["location"].startswith(reverse("account_reauthenticate"))
    assert not ApiToken.objects.exists()
    assert page.get(asked["location"]).status_code == 200
    assert page.post(asked["location"], {"password": "wrong"}).status_code == 200
    assert not ApiToken.objects.exists()
    # What was asked for is done then.
    shown_secret(page.post(asked["location"], {"password": PASSWORD}))
    assert ApiToken.objects.get().name == "desk"


def test_a_service_is_let_act_and_stopped(page: Client, ana: User) -> None:
    User.objects.filter(pk=person("erp", Role.VIEWER).pk).update(is_service=True)
    erp = User.objects.get(username="erp")
    word = shown_secret(page.post(reverse("delegations"), {"service": "erp", "days": "30"}))
    client = bearer(token(erp), **{"x-on-behalf-of": word})
    assert client.get("/api/v1/runs").status_code == 200
    given = Delegation.objects.get()
    assert page.post(reverse("delegation-take-back", args=[given.public_id])).status_code == 302
    assert client.get("/api/v1/runs").status_code == 401


def test_one_cannot_touch_what_is_somebody_elses(page: Client, kim: User) -> None:
    token(kim)
    User.objects.filter(pk=person("erp").pk).update(is_service=True)
    given = delegations.give(person=kim, service="erp", days=1, now=timezone.now()).delegation
    other = Client()
    sign_in(other, "kim")
    session = UserSession.objects.get(user=kim)
    for name, argument in (
        ("token-revoke", ApiToken.objects.get().public_id),
        ("delegation-take-back", given.public_id),
        ("session-end", session.pk),
    ):
        assert page.post(reverse(name, args=[argument])).status_code == 404
    assert other.get(reverse("profile")).status_code == 200
    assert ApiToken.objects.exists()
    assert Delegation.objects.exists()


# -- sessions -----------------------------------------------------------------------------------


def test_sessions_are_listed_and_ended(page: Client, ana: User) -> None:
    other = Client(headers={"user-agent": "Other browser"})
    sign_in(other)
    assert "Other browser" in page.get(reverse("sessions")).content.decode()
    there = UserSession.objects.get(user_agent="Other browser")
    assert page.post(reverse("session-end", args=[there.pk])).status_code == 302
    assert other.get(reverse("profile")).status_code == 302
    assert page.get(reverse("profile")).status_code == 200


def test_all_others_are_ended_at_once(page: Client) -> None:
    others = [Client() for _ in range(2)]
    for other in others:
        sign_in(other)
    page.post(reverse("sessions-end"))
    assert [other.get(reverse("profile")).status_code for other in others] == [302, 302]
    assert page.get(reverse("profile")).status_code == 200


def test_another_password_ends_all_others(page: Client, ana: User) -> None:
    other = Client()
    sign_in(other)
    new = "another-good-secret-2"
    said = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert page.post(reverse("password"), said).status_code == 302
    assert other.get(reverse("profile")).status_code == 302
    assert page.get(reverse("profile")).status_code == 200
    assert UserSession.objects.filter(user=ana).count() == 1


def test_a_session_begins_under_a_key_of_its_own_and_ends_after_twelve_hours() -> None:
    ana = with_password(person("ada"))
    client = Client()
    client.get(reverse("login"))
    planted = client.session
    planted["x"] = 1
    planted.save()
    sign_in(client, ana.username)
    assert client.session.session_key != planted.session_key
    assert 12 * 3600 - 10 < client.session.get_expiry_age() <= 12 * 3600


def test_a_session_does_not_last_longer_for_being_used(page: Client) -> None:
    session = page.session
    session.set_expiry(timezone.now() + timedelta(seconds=600))
    session.save()
    page.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert 0 < page.session.get_expiry_age() <= 600
    row = Session.objects.get(session_key=page.session.session_key)
    Session.objects.filter(pk=row.pk).update(expire_date=timezone.now())
    assert page.get(reverse("profile"))["location"].startswith(reverse("login"))
    assert page.get("/api/v1/runs").status_code == 401


def test_a_browser_is_called_by_its_name(page: Client) -> None:
    sign_in(Client(headers={"user-agent": FIREFOX}))
    assert "Firefox 131 on Linux" in page.get(reverse("sessions")).content.decode()
    assert browsers.called("") == "unknown browser"
    assert browsers.called("curl/8.5") == "curl/8.5"


def test_nobody_ends_a_session_of_somebody_else(page: Client, boss: Client, kim: User) -> None:
    there = UserSession.objects.get(user=kim)
    assert page.post(reverse("session-end", args=[there.pk])).status_code == 404
    assert boss.get(reverse("profile")).status_code == 200


# -- administrators -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOR_ADMINISTRATORS)
def test_others_have_nothing_there(page: Client, boss: Client, name: str) -> None:
    assert page.get(reverse(name)).status_code == 404
    assert boss.get(reverse(name)).status_code == 200
    assert reverse("members") not in page.get(reverse("profile")).content.decode()


def test_others_change_nobody(page: Client, kim: User, ana: User) -> None:
    before = list(User.objects.values_list("pk", "password", "is_active"))
    for deed in ("member-leave", "member-return", "member-password", "member-factors"):
        assert page.post(reverse(deed, args=[kim.pk])).status_code == 404
    mine = {"roles": ["administrator"]}
    assert page.post(reverse("member", args=[ana.pk]), mine).status_code == 404
    assert page.post(reverse("member-new"), {"username": "x"}).status_code == 404
    assert page.post(reverse("teams"), {"name": "x"}).status_code == 404
    assert list(User.objects.values_list("pk", "password", "is_active")) == before
    assert not Team.objects.exists()


def test_a_person_is_let_in_with_a_password_to_use_once(boss: Client) -> None:
    team = Team.objects.create(name="finance")
    said = {"username": "bo", "email": "", "roles": ["viewer", "approver"], "teams": [team.pk]}
    password = shown_secret(boss.post(reverse("member-new"), said))
    bo = User.objects.get(username="bo")
    assert bo.roles == [Role.VIEWER, Role.APPROVER]
    assert list(bo.teams.all()) == [team]
    client = Client()
    assert sign_in(client, "bo", password).status_code == 302
    assert client.get("/runs/")["location"] == reverse("password")


@pytest.mark.parametrize("name", ["", "ana", "a b", "x" * 151])
def test_a_name_that_cannot_be_one_is_refused(boss: Client, ana: User, name: str) -> None:
    before = User.objects.count()
    answer = boss.post(reverse("member-new"), {"username": name})
    assert answer.status_code == 422
    assert 'class="wrong"' in answer.content.decode()
    assert User.objects.count() == before


def test_roles_and_teams_change(boss: Client, ana: User) -> None:
    team = Team.objects.create(name="finance")
    said = {"roles": ["auditor"], "teams": [team.pk]}
    assert boss.post(reverse("member", args=[ana.pk]), said).status_code == 302
    ana = User.objects.get(pk=ana.pk)
    assert ana.roles == [Role.AUDITOR]
    assert list(ana.teams.all()) == [team]
    boss.post(reverse("member", args=[ana.pk]), {"roles": ["administrator"]})
    ana = User.objects.get(pk=ana.pk)
    assert ana.is_staff
    assert not ana.teams.exists()


def test_what_is_changed_about_people_is_in_the_log(boss: Client, ana: User) -> None:
    team = Team.objects.create(name="finance")
    with capture_logs() as logs:
        boss.post(reverse("member", args=[ana.pk]), {"roles": ["auditor"], "teams": [team.pk]})
        boss.post(reverse("member-password", args=[ana.pk]))
        boss.post(reverse("member-factors", args=[ana.pk]))
        boss.post(reverse("member-leave", args=[ana.pk]))
        boss.post(reverse("member-return", args=[ana.pk]))
        boss.post(reverse("member-new"), {"username": "bo", "roles": ["viewer"]})
        boss.post(reverse("service-new"), {"username": "erp", "roles": []})
        boss.post(reverse("teams"), {"name": "sales"})
    told = [line for line in logs if line["event"].startswith(("member.", "service.", "team."))]
    assert [line["event"] for line in told] == [
        "member.entrusted", "member.password_reset", "member.factors_removed", "member.left",
        "member.returned", "member.added", "service.added", "team.added",
    ]  # fmt: skip
    assert {line["by"] for line in told} == {"kim"}
    first = {name: told[0][name] for name in ("user", "before", "roles", "teams")}
    assert first == {
        "user": "ana", "before": ["operator"], "roles": ["auditor"], "teams": ["finance"],
    }  # fmt: skip


def test_nobody_gives_themselves_a_role(boss: Client, kim: User) -> None:
    said = {"roles": ["administrator", "approver"]}
    boss.post(reverse("member", args=[kim.pk]), said)
    assert User.objects.get(pk=kim.pk).roles == [Role.ADMINISTRATOR]
    for change in (members.let_go, members.new_password, members.forget_factors):
        with pytest.raises(NotYourOwn):
            change(user=kim, by=Actor(kim))
    for deed in ("member-leave", "member-password", "member-factors"):
        answer = boss.post(reverse(deed, args=[kim.pk]), follow=True)
        assert "Ask another administrator" in answer.content.decode()
    assert boss.get(reverse("members")).status_code == 200


def test_somebody_can_always_administer(kim: User) -> None:
    other = administrator("lee")
    members.entrust(user=kim, roles=[], teams=[], by=Actor(other))
    stranger = person("x")
    with pytest.raises(LastAdministrator):
        members.entrust(user=other, roles=[], teams=[], by=Actor(stranger))
    with pytest.raises(LastAdministrator):
        members.let_go(user=other, by=Actor(stranger))
    other = User.objects.get(pk=other.pk)
    assert other.is_active
    assert other.roles == [Role.ADMINISTRATOR]


def test_who_leaves_is_out_everywhere_and_comes_back_with_nothing(
    boss: Client, page: Client, ana: User
) -> None:
    secret = token(ana)
    User.objects.filter(pk=person("erp").pk).update(is_service=True)
    word = delegations.give(person=ana, service="erp", days=1, now=timezone.now()).text
    acting = bearer(token(User.objects.get(username="erp")), **{"x-on-behalf-of": word})
    assert boss.post(reverse("member-leave", args=[ana.pk])).status_code == 302
    assert page.get(reverse("profile")).status_code == 302
    assert sign_in(Client()).status_code == 200
    boss.post(reverse("member-return", args=[ana.pk]))
    assert bearer(secret).get("/api/v1/runs").status_code == 401
    assert acting.get("/api/v1/runs").status_code == 401
    assert page.get(reverse("profile")).status_code == 302
    assert sign_in(Client()).status_code == 302


def test_a_lost_password_is_replaced_by_one_to_use_once(
    boss: Client, page: Client, ana: User
) -> None:
    password = shown_secret(boss.post(reverse("member-password", args=[ana.pk])))
    assert page.get(reverse("profile")).status_code == 302
    assert sign_in(Client()).status_code == 200
    client = Client()
    sign_in(client, "ana", password)
    assert client.get("/runs/")["location"] == reverse("password")


def test_a_lost_phone_is_forgotten(boss: Client, ana: User) -> None:
    with_app(ana)
    assert "Remove the second factor" in boss.get(reverse("member", args=[ana.pk])).content.decode()
    boss.post(reverse("member-factors", args=[ana.pk]))
    client = Client()
    sign_in(client)
    assert client.get(reverse("profile")).status_code == 200


def test_a_service_account_gets_tokens_and_is_switched_off(boss: Client) -> None:
    made = boss.post(reverse("service-new"), {"username": "erp", "roles": ["operator"]})
    erp = User.objects.get(username="erp")
    assert made["location"] == reverse("member", args=[erp.pk])
    assert (erp.is_service, erp.has_usable_password()) == (True, False)
    said = {"name": "night", "scopes": ["runs:read"], "days": "0"}
    secret = shown_secret(boss.post(reverse("member-tokens", args=[erp.pk]), said))
    assert bearer(secret).get("/api/v1/runs").status_code == 200
    assert "erp" in boss.get(reverse("services")).content.decode()
    public_id = ApiToken.objects.get().public_id
    boss.post(reverse("member-token-revoke", args=[erp.pk, public_id]))
    assert bearer(secret).get("/api/v1/runs").status_code == 401
    boss.post(reverse("member-leave", args=[erp.pk]))
    again = boss.post(reverse("member-tokens", args=[erp.pk]), said)
    assert again.status_code == 404


def test_administrators_make_no_token_for_a_person(boss: Client, ana: User) -> None:
    said = {"name": "x", "scopes": ["runs:read"], "days": "0"}
    assert boss.post(reverse("member-tokens", args=[ana.pk]), said).status_code == 404
    assert (
        boss.post(reverse("member-password", args=[Group.objects.count() + 10**6])).status_code
        == 404
    )


def test_a_team_is_added_once(boss: Client) -> None:
    for _ in range(2):
        assert boss.post(reverse("teams"), {"name": "finance"}).status_code == 302
    assert Team.objects.count() == 1
    assert "finance" in boss.get(reverse("members")).content.decode()


@pytest.mark.parametrize("name", ["member-leave", "token-revoke", "sessions-end", "delegations"])
def test_what_changes_something_is_no_get(boss: Client, kim: User, name: str) -> None:
    arguments: dict[str, list[Any]] = {"member-leave": [kim.pk], "token-revoke": ["tok_x"]}
    assert boss.get(reverse(name, args=arguments.get(name, []))).status_code == 405
