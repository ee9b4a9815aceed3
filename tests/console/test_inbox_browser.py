"""The inbox in a real browser: keyboard scripts, a thumb, live changes, access for everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from agentops.accounts.access import Actor
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals import asking_back, attention, deciding
from approvals.models import Grant, Request, Risk, State, Verdict
from runs.models import Run
from tests import factories, people
from tests.approvals import factories as asked
from tests.console import browser as browsers
from tests.console.tabs import PHONE, WIDE, OpenTab, is_live, tabs
from tests.console.test_settings_browser import cut_off, problems

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]
# The box of a row reaches beyond its cell, for thumbs.
TOUCHED = "cut off: "
SHOTS = os.environ.get("AGENTOPS_TEST_SCREENSHOTS")


@pytest.fixture
def finance(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def bo(finance: Team) -> User:
    return people.person("bo", Role.APPROVER, Role.OPERATOR, team=finance)


@pytest.fixture
def desk(server: str, chromium: Browser, bo: User) -> Iterator[OpenTab]:
    """Opens tabs in which bo is signed in, who decides."""
    with tabs(chromium, server, bo) as opened:
        yield opened


@pytest.fixture
def made(ana: User, finance: Team) -> Request:
    return asked.approval(ana, {"to": "Acme", "n": 1}, team=finance, risk=Risk.LOW)


def state(made: Request) -> str:
    return Request.objects.get(pk=made.pk).state


def test_a_low_risk_is_approved_by_keys_alone(desk: OpenTab, made: Request) -> None:
    tab = desk("/")
    tab.keyboard.press("g")
    tab.keyboard.press("i")
    tab.wait_for_url("**/inbox/")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/inbox/{made.public_id}/")
    expect(tab.locator("#list tbody tr")).to_have_count(1)
    tab.keyboard.press("a")
    button = tab.get_by_role("button", name="Approve send e-mail to 3 people")
    expect(button).to_be_focused()
    assert state(made) == State.PENDING
    tab.keyboard.press("Enter")
    expect(tab.locator(".outcome")).to_contain_text("Approved by bo")
    assert state(made) == State.APPROVED


def test_denying_by_keys_starts_on_the_safe_button_and_wants_a_reason(
    desk: OpenTab, made: Request
) -> None:
    tab = desk(f"/inbox/{made.public_id}/")
    tab.keyboard.press("d")
    dialog = tab.get_by_role("dialog", name="Deny “send e-mail to 3 people”?")
    expect(dialog.get_by_role("button", name="Back")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert state(made) == State.PENDING
    tab.keyboard.press("d")
    dialog.get_by_label("Why not").fill("Wrong customer")
    tab.keyboard.press("Tab")
    dialog.get_by_role("button", name="Deny send e-mail to 3 people").press("Enter")
    expect(tab.locator(".outcome")).to_contain_text("Denied by bo")
    assert Request.objects.get(pk=made.pk).comment == "Wrong customer"


def test_more_at_stake_is_asked_once_more_and_no_single_key_decides(
    desk: OpenTab, ana: User, finance: Team
) -> None:
    made = asked.approval(ana, {"to": "Acme"}, team=finance, risk=Risk.MEDIUM)
    tab = desk(f"/inbox/{made.public_id}/")
    for key in ("a", "Enter", "Space"):
        tab.keyboard.press(key)
    expect(tab.get_by_role("dialog")).to_be_hidden()
    tab.mouse.click(5, 5)
    assert state(made) == State.PENDING
    tab.keyboard.press("a")
    dialog = tab.get_by_role("dialog", name="Approve “send e-mail to 3 people”?")
    expect(dialog).to_contain_text("gmail.send is called once, with exactly the 1 argument")
    dialog.get_by_role("button", name="Approve send e-mail").click()
    expect(tab.locator(".outcome")).to_contain_text("Approved by bo")


def test_a_double_click_decides_once(desk: OpenTab, made: Request) -> None:
    tab = desk(f"/inbox/{made.public_id}/")
    tab.get_by_role("button", name="Approve send e-mail to 3 people").dblclick()
    expect(tab.locator(".outcome")).to_contain_text("Approved by bo")
    assert made.votes.count() == 1


def test_cut_parts_are_opened_by_a_key_before_approve_works(
    desk: OpenTab, ana: User, finance: Team
) -> None:
    """T14, on the page: what is truncated keeps Approve locked."""
    made = asked.approval(ana, team=finance, risk=Risk.LOW)
    tab = desk(f"/inbox/{made.public_id}/")
    button = tab.get_by_role("button", name="Approve send e-mail to 3 people")
    expect(button).to_be_disabled()
    tab.keyboard.press("z")
    tab.wait_for_url("**/?open=body")
    expect(button).to_be_enabled()
    expect(tab.locator(".will-happen")).to_contain_text("It was due on 1 November. " * 40)


def test_what_changes_under_a_hand_locks_the_buttons_for_a_moment(
    desk: OpenTab, made: Request, finance: Team
) -> None:
    two = [{"role": "approver", "count": 2}]
    Request.objects.filter(pk=made.pk).update(factors=two)
    tab = desk(f"/inbox/{made.public_id}/")
    is_live(tab)
    tab.evaluate("""
        window.pressed = 0;
        document.addEventListener("submit", (event) => { if (!event.defaultPrevented) pressed++; });
        new MutationObserver(() => document.getElementById("approve-now")?.click())
          .observe(document.getElementById("panel"),
                   { subtree: true, attributes: true, attributeFilter: ["data-version"] });
    """)
    ida = people.person("ida", Role.APPROVER, team=finance)
    revision = made.revisions.get()
    made.refresh_from_db()
    deciding.decide(
        request=made, actor=Actor(ida), verdict=Verdict.APPROVE, revision=1,
        digest=bytes(revision.digest).hex(), arguments={"to": "Acme", "n": 2},
    )  # fmt: skip
    expect(tab.get_by_text("revision 2, changed by ida")).to_be_visible()
    expect(tab.locator(".was")).to_contain_text("was: 1")
    assert tab.evaluate("pressed") == 0
    tab.wait_for_timeout(800)
    tab.keyboard.press("a")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Your word on “send e-mail to 3 people” counts")).to_be_visible()


def test_a_half_typed_answer_stays_while_the_page_changes(
    desk: OpenTab, ana: User, finance: Team
) -> None:
    made = asked.question(ana, team=finance)
    tab = desk(f"/inbox/{made.public_id}/")
    is_live(tab)
    tab.keyboard.press("b")
    expect(tab.get_by_label("Account", exact=True)).to_be_focused()
    tab.get_by_label("Share in percent").fill("40")
    tab.get_by_label("Account", exact=True).focus()
    ida = people.person("ida", Role.OPERATOR, team=finance)
    asking_back.say(request=made, actor=Actor(ida), text="Ask the customer first")
    expect(tab.get_by_text("Ask the customer first")).to_be_visible()
    expect(tab.get_by_label("Share in percent")).to_have_value("40")
    expect(tab.get_by_label("Account", exact=True)).to_be_focused()


def test_rows_change_where_they_stand_and_new_ones_wait(
    desk: OpenTab, ana: User, finance: Team, made: Request
) -> None:
    tab = desk("/inbox/?tab=team")
    is_live(tab)
    tab.evaluate(
        "window.shifts = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "e => window.shifts += e.value)).observe({type: 'layout-shift'})"
    )
    ida = people.person("ida", Role.APPROVER, team=finance)
    digest = bytes(made.revisions.get().digest).hex()
    deciding.decide(request=made, actor=Actor(ida), verdict=Verdict.APPROVE, revision=1,
                    digest=digest)  # fmt: skip
    expect(tab.locator(f"#{made.public_id}")).to_contain_text("approved")
    run = factories.uncertain(ana)
    Run.objects.filter(pk=run.pk).update(team=finance)
    attention.keep()
    expect(tab.locator("#new-requests")).to_have_text("1 new")
    expect(tab.locator("#list tbody tr")).to_have_count(1)
    assert tab.evaluate("window.shifts") <= 0.02
    tab.keyboard.press(".")
    expect(tab.get_by_text("Did send_payment happen?")).to_be_visible()


def test_with_a_thumb_it_takes_three_taps_after_signing_in(
    desk: OpenTab, ana: User, finance: Team
) -> None:
    made = asked.approval(ana, {"to": "Acme"}, team=finance, risk=Risk.MEDIUM)
    tab = desk(f"/inbox/{made.public_id}/", size=PHONE)
    expect(tab.locator("#list")).to_be_hidden()
    approve = tab.get_by_role("button", name="Approve send e-mail to 3 people…")
    deny = tab.get_by_role("button", name="Deny…")
    left, right = deny.bounding_box(), approve.bounding_box()
    assert left is not None
    assert right is not None
    assert min(left["height"], right["height"]) >= 48
    assert right["x"] - (left["x"] + left["width"]) >= 16
    approve.click()
    tab.get_by_role("dialog").get_by_role("button", name="Approve send e-mail").click()
    expect(tab.locator(".outcome")).to_contain_text("Approved by bo")


@pytest.mark.parametrize("size", [WIDE, PHONE, {"width": 320, "height": 700}],
                         ids=["wide", "phone", "narrow"])  # fmt: skip
def test_every_page_is_usable_by_everybody(
    desk: OpenTab, ana: User, bo: User, finance: Team, size: Any
) -> None:
    found = {}
    pages = everything(ana, bo, finance)
    tab = desk("/inbox/", size=size)
    for name, at in pages.items():
        for theme in ("light", "dark"):
            tab.emulate_media(color_scheme=theme)
            tab.goto(at)
            _settled(tab)
            if SHOTS:
                tab.screenshot(path=f"{SHOTS}/{name}-{theme}-{size['width']}.png",
                               full_page=size is not WIDE)  # fmt: skip
            if wrong := problems(tab) + [cut for cut in cut_off(tab) if cut != TOUCHED]:
                found[f"{name} {theme}"] = wrong
    assert found == {}


def _settled(tab: Page) -> None:
    tab.wait_for_load_state("networkidle")


def everything(ana: User, bo: User, finance: Team) -> dict[str, str]:
    """Every page of the inbox, with something of everything on it."""
    soon = timezone.now() + timedelta(minutes=9)
    lies = {"to": "p\u0430ypal", "note": "pay \u202e001 now", "tags": ["a", "b"], "n": 1.5}
    high = asked.approval(ana, team=finance, risk=Risk.HIGH, decide_by=soon)
    low = asked.approval(ana, lies, team=finance, risk=Risk.LOW, decide_by=None)
    edited = asked.approval(ana, {"n": 1, "to": "x" * 300}, team=finance, acknowledged_by=bo)
    asked.revise(edited, {"n": 2, "to": "x" * 300}, made_by=ana)
    done = asked.approval(ana, lies, team=finance, state=State.REJECTED, decided_by=bo,
                          comment="Not \u202e today")  # fmt: skip
    own = asked.approval(bo, {"n": 1}, team=finance, title="A title that is far too long " * 6)
    question = asked.question(ana, team=finance)
    for quarantined in (False, True):
        run = factories.uncertain(ana, quarantined=quarantined)
        Run.objects.filter(pk=run.pk).update(team=finance)
    run = factories.run(ana, status="waiting", waiting_for="operator", ready_at=None,
                        waiting_detail="crash_loop", team=finance)  # fmt: skip
    attention.keep()
    Grant.objects.create(
        tool="gmail.send", tool_digest="0", agent="invoice-clerk", agent_version="14", team=finance,
        when='arguments.to == "Acme" && double(arguments.amount) <= 250.0', issued_by=bo,
        expires_at=soon, max_uses=3,
    )  # fmt: skip
    stuck = Request.objects.filter(kind="attention").order_by("pk")
    items = {"high": high, "low": low, "edited": edited, "done": done, "own": own,
             "question": question, "uncertain": stuck[0], "quarantined": stuck[1],
             "parked": stuck[2]}  # fmt: skip
    return {
        "list": "/inbox/", "team": "/inbox/?tab=team", "none": "/inbox/?q=zzz",
        "snoozed": "/inbox/?tab=snoozed", "decided": "/inbox/?tab=done",
        **{name: f"/inbox/{made.public_id}/" for name, made in items.items()},
        "opened": f"/inbox/{high.public_id}/?open=body", "edit": f"/inbox/{low.public_id}/edit/",
        "grant": f"/inbox/{low.public_id}/grant/", "grants": "/inbox/grants/",
        "bulk": f"/inbox/bulk/?do=approve&id={low.public_id}",
        "bulk-wrong": f"/inbox/bulk/?do=approve&id={high.public_id}",
    }  # fmt: skip
