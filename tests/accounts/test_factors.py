"""Second factors: set up, asked for, required, lost, and not to be got around."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from structlog.testing import capture_logs

from agentops.accounts import factors
from agentops.accounts.models import ApiToken, User
from agentops.accounts.roles import Role
from tests.accounts.test_tokens import PASSWORD, basic, post
from tests.people import administrator, person

pytestmark = pytest.mark.django_db
SECRET = base64.b32encode(b"twenty bytes of test").decode()


@pytest.fixture(autouse=True)
def _forget_codes(db: None) -> Iterator[None]:
    yield
    cache.clear()


@pytest.fixture
def ana(db: None) -> User:
    return with_password(person("ana", Role.APPROVER))


def with_password(user: User) -> User:
    user.set_password(PASSWORD)
    user.save()
    return user


def code(step: int = 0, secret: str = SECRET) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step)))


def with_app(user: User) -> User:
    """The same with an authenticator app."""
    TOTP.activate(user, SECRET)
    return user


def sign_in(client: Client, name: str = "ana", password: str = PASSWORD) -> Any:
    return client.post(reverse("login"), {"username": name, "password": password})


def set_up(client: Client, *, right: bool = True) -> Any:
    """Add the app that the page shows, after saying once more who one is."""
    at = reverse("mfa_activate_totp")
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    secret = re.search(r'id="secret" value="(\w+)"', client.get(at).content.decode())
    assert secret is not None
    return client.post(at, {"code": code(secret=secret[1]) if right else "000000"})


def is_in(client: Client) -> bool:
    return client.get("/settings/profile/").status_code == 200


@pytest.fixture
def _required(settings: Settings) -> None:
    settings.AGENTOPS_MFA_REQUIRED = True


def test_without_one_the_password_is_enough(client: Client, ana: User) -> None:
    assert sign_in(client).status_code == 302
    assert is_in(client)


def test_with_one_the_password_alone_opens_nothing(client: Client, ana: User) -> None:
    with_app(ana)
    assert sign_in(client)["location"] == reverse("mfa_authenticate")
    assert not is_in(client)
    assert client.get("/api/v1/runs").status_code == 401
    assert client.get(reverse("mfa_authenticate")).status_code == 200
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert is_in(client)


def test_where_one_wanted_to_be_survives_the_second_step(client: Client, ana: User) -> None:
    with_app(ana)
    client.post(reverse("login"), {"username": "ana", "password": PASSWORD, "next": "/agents/"})
    answer = client.post(reverse("mfa_authenticate"), {"code": code()})
    assert answer["location"] == "/agents/"


@pytest.mark.parametrize("wrong", ["", "000000", "abc", code(-40)])
def test_a_wrong_code_opens_nothing(client: Client, ana: User, wrong: str) -> None:
    with_app(ana)
    sign_in(client)
    assert client.post(reverse("mfa_authenticate"), {"code": wrong}).status_code == 200
    assert not is_in(client)


def test_a_code_opens_once(ana: User) -> None:
    with_app(ana)
    seen = code()
    for expected in (True, False):
        client = Client()
        sign_in(client)
        client.post(reverse("mfa_authenticate"), {"code": seen})
        assert is_in(client) is expected


def test_guessing_codes_is_stopped_like_guessing_passwords(ana: User, settings: Settings) -> None:
    with_app(ana)
    client = Client()
    sign_in(client)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
    answer = client.post(reverse("mfa_authenticate"), {"code": code()})
    assert answer.status_code == 429
    assert not is_in(client)
    # And beginning again with the right password does not reset the count.
    assert sign_in(Client()).status_code == 429


def test_a_recovery_code_opens_once(ana: User) -> None:
    with_app(ana)
    made = RecoveryCodes.activate(ana).get_unused_codes()[0]
    for expected in (True, False):
        client = Client()
        sign_in(client)
        client.post(reverse("mfa_authenticate"), {"code": made})
        assert is_in(client) is expected


def test_what_generates_codes_is_sealed(ana: User) -> None:
    with_app(ana)
    RecoveryCodes.activate(ana)
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in kept
    assert re.findall(r"'(?:secret|seed)': 'gAAAA", kept) != []


def test_setting_one_up_needs_the_password_once_more(ana: User) -> None:
    client = Client()
    client.force_login(ana)
    at = reverse("mfa_activate_totp")
    assert client.get(at)["location"].startswith(reverse("account_reauthenticate"))
    again = reverse("account_reauthenticate") + f"?next={at}"
    assert client.post(again, {"password": "wrong"}).status_code == 200
    assert client.post(again, {"password": PASSWORD})["location"] == at
    done = set_up(client)
    assert done["location"] == reverse("mfa_view_recovery_codes")
    shown = client.get(done["location"]).content.decode()
    made = RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes()
    assert len(made) == 10
    assert all(one in shown for one in made)
    assert factors.has_one(ana)


def test_a_wrong_code_sets_nothing_up(ana: User) -> None:
    client = Client()
    sign_in(client)
    assert set_up(client, right=False).status_code == 200
    assert not Authenticator.objects.exists()


def test_guessing_who_one_is_once_more_is_stopped_too(ana: User, settings: Settings) -> None:
    client = Client()
    client.force_login(ana)
    again = reverse("account_reauthenticate")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post(again, {"password": "wrong"})
    assert client.post(again, {"password": PASSWORD}).status_code == 429


# -- required -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("_required")
@pytest.mark.parametrize("role", list(Role))
def test_approvers_and_administrators_need_one_where_it_is_required(role: Role) -> None:
    user = person("kim", role)
    needs = role in {Role.APPROVER, Role.ADMINISTRATOR}
    assert factors.is_missing(user) is needs
    client = Client()
    client.force_login(user)
    answer = client.get("/runs/")
    assert answer.status_code == (302 if needs else 200)
    if needs:
        assert answer["location"] == reverse("mfa_index")
        assert client.get(reverse("mfa_index")).status_code == 200
        said = client.get("/api/v1/runs")
        assert (said.status_code, said.json()["code"]) == (403, "permission_denied")
        assert "/settings/security/" in said.json()["message"]
        assert client.post("/api/v1/runs", {}, "application/json").status_code == 403
        region = client.get("/runs/", headers={"hx-request": "true"})
        assert (region.status_code, region["HX-Redirect"]) == (204, reverse("mfa_index"))
        assert client.post(reverse("logout")).status_code == 302


def test_nobody_needs_one_where_it_is_not(ana: User) -> None:
    assert not factors.is_missing(ana)


@pytest.mark.usefixtures("_required")
def test_an_administrator_without_one_administers_nothing() -> None:
    boss = with_password(administrator("kim"))
    bo = person("bo")
    client = Client()
    client.force_login(boss)
    for at in (reverse("members"), reverse("member", args=[bo.pk]), "/admin/", "/system/"):
        for answer in (client.get(at), client.post(at, {"roles": ["administrator"]})):
            assert answer["location"] == reverse("mfa_index"), at
    assert bo.roles == []
    assert "need a second factor" in client.get(reverse("mfa_index")).content.decode()


@pytest.mark.usefixtures("_required")
def test_setting_one_up_opens_everything(client: Client) -> None:
    with_password(administrator("kim"))
    assert sign_in(client, "kim").status_code == 302
    at = client.get("/runs/")["location"]
    assert reverse("mfa_activate_totp") in client.get(at).content.decode()
    set_up(client)
    assert client.get(reverse("members")).status_code == 200
    assert "need a second factor" not in client.get(reverse("mfa_index")).content.decode()


@pytest.mark.usefixtures("_required")
def test_a_role_given_later_asks_for_one_at_once(client: Client) -> None:
    user = person("bo", Role.VIEWER)
    client.force_login(user)
    assert client.get("/runs/").status_code == 200
    user.groups.add(*person("x", Role.APPROVER).groups.all())
    assert client.get("/runs/").status_code == 302


@pytest.mark.usefixtures("_required")
def test_with_one_everything_opens_and_the_last_one_stays(client: Client, ana: User) -> None:
    with_app(ana)
    sign_in(client)
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert client.get("/runs/").status_code == 200
    again = reverse("account_reauthenticate")
    client.post(again, {"password": PASSWORD})
    client.post(reverse("mfa_deactivate_totp"))
    assert factors.has_one(ana)


@pytest.mark.usefixtures("_required")
def test_the_last_key_stays_too(client: Client, ana: User) -> None:
    keys = [
        Authenticator.objects.create(user=ana, type="webauthn", data={"name": name})
        for name in ("desk", "home")
    ]
    client.force_login(ana)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    for key in keys:
        client.post(reverse("mfa_remove_webauthn", args=[key.pk]))
    assert list(Authenticator.objects.all()) == keys[1:]
    assert "Add another one" in client.get(reverse("mfa_list_webauthn")).content.decode()


def test_who_needs_none_may_remove_theirs(client: Client) -> None:
    user = with_app(with_password(person("bo")))
    client.force_login(user)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    client.post(reverse("mfa_deactivate_totp"))
    assert not factors.has_one(user)


# -- ways around --------------------------------------------------------------------------------


def test_name_and_password_make_no_token_for_who_has_one(ana: User) -> None:
    with_app(ana)
    answer = post(basic("ana"), "tokens", {"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert "/settings/tokens/" in answer.json()["message"]
    assert post(basic("ana"), "password", {"new_password": "n3w-and-long"}).status_code == 403
    assert not ApiToken.objects.exists()


@pytest.mark.usefixtures("_required")
def test_nor_for_who_should_have_one(ana: User) -> None:
    assert post(basic("ana"), "tokens", {"name": "x"}).status_code == 403


def test_the_admin_has_no_sign_in_of_its_own() -> None:
    boss = with_app(with_password(administrator("kim")))
    client = Client()
    answer = client.get("/admin/login/", {"next": "/admin/"})
    assert answer["location"].startswith(reverse("login"))
    client.post("/admin/login/", {"username": boss.username, "password": PASSWORD})
    assert client.get("/admin/").status_code == 302
    assert not is_in(client)


def test_the_admin_shows_no_secret_and_changes_nobody() -> None:
    boss = with_app(with_password(administrator("kim")))
    client = Client()
    client.force_login(boss)
    index = client.get("/admin/")
    assert index.status_code == 200
    for hidden in ("authenticator", "apitoken", "usersession", "delegation", "authtoken"):
        assert f"/{hidden}/" not in index.content.decode()
    page = client.get(f"/admin/accounts/user/{boss.pk}/change/")
    assert page.status_code == 200
    assert boss.password not in page.content.decode()
    again = client.post(f"/admin/accounts/user/{boss.pk}/change/", {})
    assert again["location"].startswith(reverse("account_reauthenticate"))
    assert client.post(again["location"], {"password": PASSWORD}).status_code == 403
    assert client.get("/admin/password_change/")["location"] == reverse("password")
    assert client.get("/admin/accounts/team/").status_code == 200


def test_the_admin_is_closed_to_others() -> None:
    client = Client()
    user = person("bo", Role.OPERATOR)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/accounts/user/").status_code == 302


def test_nobody_signs_in_as_a_service() -> None:
    service = with_password(person("erp"))
    User.objects.filter(pk=service.pk).update(is_service=True)
    client = Client()
    assert sign_in(client, "erp").status_code == 200
    assert not is_in(client)


def test_nobody_makes_an_account_for_themselves(client: Client) -> None:
    for path in ("/accounts/signup/", "/sign-up/", "/settings/security/signup/"):
        assert client.get(path).status_code == 404


# -- lost ---------------------------------------------------------------------------------------


def test_the_only_administrator_is_rescued_at_a_terminal(ana: User) -> None:
    with_app(ana)
    RecoveryCodes.activate(ana)
    client = Client()
    sign_in(client)
    client.post(reverse("mfa_authenticate"), {"code": code()})
    out = StringIO()
    with capture_logs() as logs:
        call_command("forget_factors", "ana", stdout=out)
    assert "password alone" in out.getvalue()
    assert not Authenticator.objects.exists()
    assert not is_in(client)
    (line,) = [line for line in logs if line["event"] == "member.factors_removed"]
    assert line["user"] == "ana"
    assert line["by"].startswith("command line")
    with pytest.raises(CommandError, match="nobody"):
        call_command("forget_factors", "nobody")
