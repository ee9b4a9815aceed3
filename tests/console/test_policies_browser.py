"""The pages of policies in a real browser: usable by everybody, in both themes and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import reverse
from playwright.sync_api import Page, expect

from agentops.accounts.actors import Actor
from agentops.accounts.models import Team, User
from approvals import policies, samples
from approvals.models import PolicyVersion
from approvals.policies import Draft
from runs.models import Phase
from tests.accounts.test_factors import with_password
from tests.console import browser as browsers
from tests.console.tabs import PHONE, WIDE
from tests.console.test_settings_browser import SHOTS, confirm, cut_off, problems, sign_in, tab
from tests.factories import ONCE, Story, run
from tests.people import administrator, person

__all__ = ["tab"]
pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]
BROKEN: dict[str, Any] = {"id": "x", "effect": "ask", "from_the_future": "a-word-" * 20}
WIDER = [{"id": "all", "effect": "allow", "tools": ["send_reply"], "title": "All mail " * 10}]


@pytest.fixture
def kim(transactional_db: None, settings: Any) -> Iterator[User]:
    """A superuser whose password the tests know, with a second administrator and past calls."""
    settings.AGENTOPS_UNRULED = "ask"
    made = with_password(person("kim"))
    User.objects.filter(pk=made.pk).update(is_superuser=True, is_staff=True)
    administrator("ida")
    story = Story.of(run(made, agent="support-desk"))
    for n, amount in enumerate(("24.50", "250.00", "many"), 1):
        given = {"amount": amount, "order": "4411"}
        story.add(f"refund#{n}", Phase.INTENT, "step.intended", n=1, input=given, **ONCE)
    story.save()
    yield made
    cache.clear()


def shot(tab: Page, name: str) -> None:
    if SHOTS:
        width = tab.viewport_size["width"] if tab.viewport_size else 0
        tab.screenshot(path=f"{SHOTS}/policy-{name}-{width}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_page_of_policies_is_usable_by_everybody(
    tab: Page, kim: User, size: Any, theme: Any
) -> None:
    finance = Team.objects.create(name="finance")
    tab.emulate_media(color_scheme=theme)
    tab.set_viewport_size(size)
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    found = {}

    def look(name: str) -> None:
        shot(tab, f"{name}-{theme}")
        # What Enter presses is a button nobody sees.
        cut = [said for said in cut_off(tab) if not said.endswith("Go on")]
        if wrong := problems(tab) + cut:
            found[name] = wrong

    tab.goto(reverse("policies"))
    look("empty")
    policies.plant(raw=samples.RULES, note=samples.NOTE)
    tab.goto(reverse("policies"))
    look("list")
    tab.goto(reverse("policy-edit"))
    look("edit")
    tab.get_by_role("button", name="Change rule 1").click()
    tab.get_by_text("How people are asked").click()
    look("form")
    tab.get_by_label("When", exact=True).fill("amount > 1")
    tab.get_by_role("button", name="Review").click()
    expect(tab.locator(".wrong").first).to_contain_text("arguments.amount")
    look("fault")
    tab.get_by_label("When", exact=True).fill("double(arguments.amount) > 300.0")
    tab.get_by_role("button", name="Review").click()
    expect(tab.get_by_role("main")).to_contain_text("It lets agents do more than now")
    look("review")
    draft = Draft(finance, [BROKEN], "allow", "Why", 0)
    PolicyVersion.objects.create(team=finance, number=1, rules=draft.rules)
    tab.goto(f"{reverse('policies')}?team={finance.pk}")
    look("unreadable")
    asked = Draft(None, [*samples.RULES, *WIDER], "ask", "They wait too long " * 8, 1)
    policies.save(actor=Actor(User.objects.get(username="ida")), draft=asked)
    tab.goto(reverse("policies"))
    look("proposal")
    tab.goto(reverse("policy-version", args=[PolicyVersion.objects.get(team=None).pk]))
    look("version")
    assert found == {}


def test_a_rule_is_written_reviewed_and_saved_by_keyboard(tab: Page, kim: User) -> None:
    sign_in(tab)
    tab.wait_for_url("**/settings/profile/")
    confirm(tab, "policies")
    tab.get_by_role("link", name="Add a rule").focus()
    tab.keyboard.press("Enter")
    tab.get_by_label("Tools", exact=True).focus()
    tab.keyboard.type("refund")
    tab.get_by_label("When", exact=True).focus()
    tab.keyboard.type("double(arguments.amount) > 100.0")
    tab.get_by_label("Title").focus()
    tab.keyboard.type("Large refunds")
    # Enter takes over the rule and saves nothing.
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main")).to_contain_text(
        "Ask an approver before any agent calls refund when"
    )
    assert not PolicyVersion.objects.exists()
    tab.get_by_role("button", name="Review").focus()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main")).to_contain_text("No agent may do more than now.")
    tab.get_by_label("Why").focus()
    tab.keyboard.type("Large refunds were a surprise")
    tab.get_by_label("Type everybody").focus()
    tab.keyboard.type("everybody")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main")).to_contain_text("Version 1 of the policy of everybody holds")
    assert [rule["id"] for rule in PolicyVersion.objects.get().rules] == ["large-refunds"]
