"""The settings, the second factors and the admin in a real browser, under the content policy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings

from agentops.accounts import delegations, tokens
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role, Scope
from approvals.models import Chain, Rota
from tests.accounts.test_factors import code, with_password
from tests.accounts.test_tokens import PASSWORD
from tests.console import browser as browsers
from tests.console.tabs import PHONE, WIDE
from tests.people import person, token

AXE = Path(__file__).parents[1] / "vendor/axe-core-4.14.1/axe.min.js"
pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]
PAGES = (
    "profile", "password", "sessions", "tokens", "mfa_index", "mfa_activate_totp",
    "mfa_list_webauthn", "mfa_add_webauthn", "members", "member-new", "services", "service-new",
    "account_reauthenticate", "mails", "keys", "notifications", "escalation", "chain-new",
    "rota-new",
)  # fmt: skip
SHOTS = os.environ.get("AGENTOPS_TEST_SCREENSHOTS")
LONG = "a-name-that-somebody-chose-to-be-very-long-and-without-a-space-anywhere.example"


@pytest.fixture
def kim(transactional_db: None) -> Iterator[User]:
    """A superuser whose password the tests know."""
    made = with_password(person("kim", team=Team.objects.create(name="finance")))
    User.objects.filter(pk=made.pk).update(is_superuser=True, is_staff=True)
    token(made)
    yield made
    cache.clear()


@pytest.fixture
def tab(chromium: Browser, server: str, kim: User) -> Iterator[Page]:
    """A tab that fails the test for whatever the browser complains about."""
    complaints: list[str] = []
    # Keys are for names, not for addresses.
    context = chromium.new_context(base_url=server.replace("127.0.0.1", "localhost"), viewport=WIDE)  # type: ignore[arg-type]
    context.set_default_timeout(8000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if _counts(said) else None)
    yield page
    context.close()
    assert not complaints, "\n".join(complaints)


def _counts(said: Any) -> bool:
    expected = ("WebSocket", "422", "404")
    return said.type == "error" and not any(word in said.text for word in expected)


def sign_in(tab: Page, name: str = "kim") -> None:
    tab.goto("/sign-in/?next=/settings/profile/")
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in").click()


def problems(tab: Page) -> list[str]:
    tab.evaluate(AXE.read_text())
    result = json.loads(tab.evaluate("axe.run().then(r => JSON.stringify(r.violations))"))
    wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{rule['id']}: {node['target']}" for rule in result for node in rule["nodes"][:3]] + (
        [f"{wide} px too wide"] if wide > 0 else []
    )


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_page_is_usable_by_everybody(tab: Page, kim: User, size: Any) -> None:
    tab.set_viewport_size(size)
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    confirm(tab, "mfa_index")
    found = {}
    for at in shown(kim):
        for theme in ("light", "dark"):
            tab.emulate_media(color_scheme=theme)
            tab.goto(at)
            if SHOTS:
                name = at.strip("/").replace("/", "-")
                path = f"{SHOTS}/{name}-{theme}-{size['width']}.png"
                tab.screenshot(path=path, full_page=True)
            if wrong := problems(tab) + cut_off(tab):
                found[f"{at} {theme}"] = wrong
    assert found == {}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_who_has_nothing_yet_is_told_how_to_begin(tab: Page, kim: User, size: Any) -> None:
    with_password(person("new"))
    tab.set_viewport_size(size)
    sign_in(tab, "new")
    tab.wait_for_url("**/settings/profile/")
    told = {
        "profile": "You have no role", "tokens": "No tokens yet", "mfa_list_webauthn": "Add a key",
    }  # fmt: skip
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        for name, words in told.items():
            tab.goto(reverse(name))
            expect(tab.get_by_role("main")).to_contain_text(words)
            assert problems(tab) + cut_off(tab) == []
    # What is for administrators is not there for others, and the page says where to go.
    expect(tab.get_by_role("link", name="Members")).to_have_count(0)
    tab.goto(reverse("members"))
    expect(tab.get_by_role("main")).to_contain_text("nothing here that you may see")
    assert problems(tab) == []


def shown(kim: User) -> list[str]:
    """Every page, with more in it than usual."""
    bo = person(LONG, *Role, team=Team.objects.get())
    erp = person("erp", Role.OPERATOR)
    User.objects.filter(pk=erp.pk).update(is_service=True)
    tokens.make_token(user=kim, made_by="kim", name=LONG, scopes=Scope)
    token(erp)
    delegations.give(person=kim, service="erp", days=3, now=timezone.now())
    UserSession.objects.create(user=kim, ip="2001:db8::7", session_key=living(kim), user_agent=LONG)
    key = Authenticator.objects.create(user=bo, type="webauthn", data={"name": LONG})
    people = [reverse("member", args=[user.pk]) for user in (kim, bo, erp)]
    assert key.wrap().name == LONG
    return [*map(reverse, PAGES), *people, *escalation()]


def escalation() -> list[str]:
    """A chain in two versions and a rota, both with names that are too long."""
    rota = Rota.objects.create(name=LONG[:80], plan={"turns": [LONG], "holidays": ["2026-12-25"]})
    chain = Chain.objects.create(name=f"chain {LONG}"[:80], is_usual=True)
    for number, end in ((1, "reject"), (2, "approve")):
        steps = [{"tell": [{"deciders": True}, {"rota": rota.name}], "times": 2}, {"again": 1}]
        chain.versions.create(number=number, steps=[*steps, {"then": end}], note=LONG)
    return [reverse("chain", args=[chain.pk]), reverse("rota", args=[rota.pk])]


def living(user: User) -> str:
    client = Client()
    client.force_login(user)
    return str(client.session.session_key)


def cut_off(tab: Page) -> list[str]:
    """Cells and buttons that do not show all they say."""
    said: list[str] = tab.evaluate(
        "[...document.querySelectorAll('main :is(td, button, a.button, h1, h2, .tabs a)')]"
        ".filter(one => one.offsetParent && one.scrollWidth > one.clientWidth + 1"
        " && getComputedStyle(one).display !== 'inline')"
        ".map(one => 'cut off: ' + one.textContent.trim().slice(0, 60))"
    )
    return said


def test_the_settings_are_left_and_entered_by_keyboard(tab: Page, kim: User) -> None:
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    tab.get_by_role("navigation", name="Settings").get_by_role("link", name="Profile").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/settings/security/")
    tab.get_by_role("link", name="Tokens").focus()
    tab.keyboard.press("Enter")
    tab.get_by_label("Name").focus()
    # Letters that mean something elsewhere are letters in a field.
    tab.keyboard.type("gas?")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main").get_by_role("status")).to_contain_text("never shown again")
    assert problems(tab) == []
    revoke = tab.get_by_role("button", name="Revoke gas?")
    revoke.focus()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main").get_by_role("status")).to_contain_text("Token revoked")
    tab.keyboard.press("g")
    tab.keyboard.press("a")
    tab.wait_for_url("**/agents/")


def test_what_is_wrong_is_said_so_that_everybody_can_read_it(tab: Page, kim: User) -> None:
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    for name, button in (("tokens", "Make token"), ("member-new", "Add person")):
        tab.goto(reverse(name))
        tab.evaluate("document.querySelectorAll('form').forEach(form => form.noValidate = true)")
        tab.get_by_role("button", name=button).click()
        expect(tab.locator(".wrong").first).to_be_visible()
        assert problems(tab) == []


def test_without_a_factor_that_is_required_the_way_is_shown(
    tab: Page, kim: User, settings: Settings
) -> None:
    settings.AGENTOPS_MFA_REQUIRED = True
    tab.goto("/sign-in/?next=/runs/")
    tab.get_by_label("Name").fill("kim")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url("**/settings/security/")
    expect(tab.get_by_role("main")).to_contain_text("need a second factor")
    assert problems(tab) == []
    tab.get_by_role("link", name="Add an app").click()
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Go on").click()
    tab.get_by_label("Authenticator code").fill(
        code(secret=tab.get_by_label("Secret").input_value())
    )
    tab.get_by_role("button", name="Add the app").click()
    expect(tab.get_by_role("main")).to_contain_text("10 of 10 left")
    assert problems(tab) == []
    tab.goto("/runs/")
    expect(tab.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def confirm(tab: Page, name: str) -> None:
    """Say once more who one is, on the way to a page."""
    tab.goto(f"{reverse('account_reauthenticate')}?next={reverse(name)}")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Go on").click()
    tab.wait_for_url(f"**{reverse(name)}")


def test_an_app_is_added_and_then_asked_for(tab: Page, kim: User) -> None:
    sign_in(tab)
    confirm(tab, "mfa_activate_totp")
    secret = tab.get_by_label("Secret").input_value()
    assert tab.locator("img").first.evaluate("image => image.naturalWidth") > 0
    tab.get_by_label("Code").fill(code(secret=secret))
    tab.get_by_role("button", name="Add the app").click()
    expect(tab.get_by_role("main")).to_contain_text("Recovery")
    assert problems(tab) == []
    tab.get_by_role("button", name="Sign out").first.click()
    sign_in(tab)
    expect(tab.get_by_label("Code")).to_be_visible()
    assert problems(tab) == []
    tab.get_by_label("Code").fill(code(step=1, secret=secret))
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.wait_for_url("**/settings/profile/")


def test_a_security_key_is_added_and_then_signs_in(tab: Page, kim: User) -> None:
    devtools = tab.context.new_cdp_session(tab)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": True,
               "hasUserVerification": True, "isUserVerified": True,
               "automaticPresenceSimulation": True}  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    sign_in(tab)
    confirm(tab, "mfa_add_webauthn")
    tab.get_by_role("button", name="Add the key").click()
    expect(tab.get_by_role("main")).to_contain_text("Recovery")
    assert Authenticator.objects.filter(user=kim, type="webauthn").count() == 1
    for name in ("mfa_list_webauthn", "mfa_index", "mfa_generate_recovery_codes"):
        tab.goto(reverse(name))
        assert problems(tab) == []
    tab.get_by_role("button", name="Sign out").first.click()
    sign_in(tab)
    tab.get_by_role("button", name="Use a security key").click()
    tab.wait_for_url("**/settings/profile/")


def test_the_admin_works_under_the_same_policy(tab: Page, kim: User) -> None:
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    for at in ("/admin/", "/admin/accounts/user/", f"/admin/accounts/user/{kim.pk}/change/",
               "/admin/django_celery_beat/periodictask/add/"):  # fmt: skip
        tab.goto(at)
        expect(tab.locator("#content")).to_be_visible()
    person("bo", Role.VIEWER)
