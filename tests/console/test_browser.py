"""The console in a real browser: signing in, live updates, keys, small screens, accessibility."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agentops.accounts.access import Actor
from agentops.accounts.models import User
from agentops.sdk.memory import note
from runs import bell, bulk
from runs.engine import memories
from runs.models import BulkItem, BulkOutcome, BulkVerb, MemoryKind, Phase, Run, RunStatus
from tests import factories
from tests.console import browser as browsers
from tests.console import talking
from tests.console.tabs import PHONE, WIDE, OpenTab, address, is_live
from tests.factories import TOOL, Story

AXE = Path(__file__).parents[1] / "vendor/axe-core-4.14.1/axe.min.js"
SHOTS = os.environ.get("AGENTOPS_TEST_SCREENSHOTS")

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    # The server serves files from a thread, as whitenoise does under ASGI.
    pytest.mark.filterwarnings("ignore::Warning"),
]


def goes_on(story: Story, number: int) -> None:
    story.wait(0.5).add(f"call#{number}", Phase.OUTCOME, "step.completed", took=0.4, **TOOL).save()
    bell.hint_now([[story.run.pk, story.seq]])


def a_story(owner: User) -> Story:
    story = factories.begun(owner, ago=20, title="Watch me", status=RunStatus.RUNNING)
    story.save()
    return story


def test_a_run_moves_on_in_an_open_tab(open_tab: OpenTab, ana: User) -> None:
    story = a_story(ana)
    tab = open_tab(address(story.run))
    is_live(tab)
    tab.evaluate(
        "window.shifts = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "e => window.shifts += e.value)).observe({type: 'layout-shift'})"
    )
    for number in range(1, 4):
        goes_on(story, number)
    expect(tab.locator("tbody tr")).to_have_count(5)
    expect(tab.locator("#tally-timeline")).to_have_text("5")
    assert tab.evaluate("window.shifts") <= 0.02
    story.ends(RunStatus.SUCCEEDED, "completed", output={"ok": True}).save()
    bell.hint_now([[story.run.pk, story.seq]])
    expect(tab.locator("#run-head .status").first).to_have_text("succeeded")
    expect(tab.locator("#run-outcome")).to_contain_text("Result")
    expect(tab.get_by_role("button", name="Cancel run")).to_have_count(0)


def test_a_list_changes_in_place_and_new_runs_wait_in_a_pill(open_tab: OpenTab, ana: User) -> None:
    story = a_story(ana)
    tab = open_tab()
    is_live(tab)
    tab.locator(".row-link").first.focus()
    newer = factories.run(ana, title="Just begun")
    story.ends(RunStatus.FAILED, "timeout", error={"code": "timeout", "message": "Late."}).save()
    bell.hint_now([[story.run.pk, story.seq], [newer.pk, 1]])
    expect(tab.locator(f"#{story.run.public_id}")).to_contain_text("failed · timeout")
    expect(tab.locator("#new-rows")).to_have_text("1 new run")
    expect(tab.get_by_text("Just begun")).to_have_count(0)
    expect(tab.locator(".row-link").first).to_be_focused()
    tab.keyboard.press(".")
    expect(tab.get_by_text("Just begun")).to_be_visible()


def test_keys_reach_everything(open_tab: OpenTab, ana: User) -> None:
    run = factories.running(ana)
    factories.succeeded(ana)
    tab = open_tab()
    tab.keyboard.press("/")
    expect(tab.get_by_label("Filter runs")).to_be_focused()
    tab.keyboard.press("Escape")
    tab.keyboard.press("j")
    expect(tab.locator(".row-link").first).to_be_focused()
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**{address(run)}")
    tab.keyboard.press("l")
    tab.wait_for_url("**view=journal")
    tab.keyboard.press("t")
    tab.wait_for_url(f"**{address(run)}")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    expect(tab.locator("#panel")).to_contain_text("Step 1")
    assert "step=1" in tab.url
    tab.keyboard.press("Escape")
    expect(tab.locator("#panel")).to_be_empty()
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_contain_text("Agents")
    tab.keyboard.press("Escape")
    tab.keyboard.press("g")
    tab.keyboard.press("a")
    tab.wait_for_url("**/agents/")


def test_cancelling_by_keyboard_asks_first_and_starts_on_the_safe_button(
    open_tab: OpenTab, ana: User
) -> None:
    run = factories.sleeping(ana)
    tab = open_tab(address(run))
    tab.keyboard.press("Shift+C")
    dialog = tab.get_by_role("dialog", name="Cancel run Remind overdue customers?")
    expect(dialog).to_contain_text("nothing is undone")
    expect(dialog.get_by_role("button", name="Back")).to_be_focused()
    tab.keyboard.press("Escape")
    run.refresh_from_db()
    assert run.status == RunStatus.WAITING
    tab.keyboard.press("Shift+C")
    dialog.get_by_role("button", name="Cancel run").click()
    expect(tab.locator("#run-head .status").first).to_have_text("cancelled")


def test_an_uncertain_step_is_settled_by_hand(open_tab: OpenTab, ana: User) -> None:
    run = factories.uncertain(ana)
    tab = open_tab(address(run))
    expect(tab.locator(".why")).to_contain_text("Nobody can tell whether step 4 send_payment")
    tab.get_by_role("button", name="Settle send_payment").click()
    dialog = tab.get_by_role("dialog", name="Did send_payment happen?")
    dialog.get_by_text("It happened", exact=True).click()
    dialog.get_by_label("Reference").fill("bank 77")
    dialog.get_by_role("button", name="Settle send_payment").click()
    expect(tab.locator("#run-head .status").first).to_have_text("queued")


def a_bulk_action(ana: User, runs: Iterable[Run]) -> str:
    """One under way, with every outcome there is."""
    ids = [run.pk for run in runs]
    begun = bulk.start(
        actor=Actor(ana), verb=BulkVerb.CANCEL, runs=Run.objects.filter(pk__in=ids), said={},
        note="imported twice",
    )  # fmt: skip
    for outcome, item in zip(BulkOutcome.values, begun.action.items.all(), strict=False):
        BulkItem.objects.filter(pk=item.pk).update(outcome=outcome, message="Said why." * 9)
    return begun.action.public_id


def remembered(ana: User) -> dict[str, str]:
    """Pages of memory, with an entry of one line and one that is long."""
    space = memories.Namespace(MemoryKind.PERSON, owner=ana.pk)
    wrote = memories.Writer("invoice-clerk", "run_zzzzzzzzzzzzzzzzzzzz", "memory.put#1")
    memories.put(space, note("colour", "turquoise", None, None), wrote)
    long = note("a/key_" + "x" * 180, {"why": "because " * 200}, 3600, None)
    entry = memories.put(space, long, wrote)
    return {
        "memory": "/memory/",
        "memory-nothing-matches": "/memory/?q=nothing-like-this",
        "memory-nothing-yet": "/memory/?scope=team",
        "memory-entry": f"/memory/{entry.public_id}/",
        "memory-erase": "/memory/erase/",
    }


def pages(ana: User) -> dict[str, str]:
    runs = factories.every_status(ana)
    named = {name: address(run) for name, run in runs.items()}
    talk, still = talking.lively(ana), talking.begun(ana, "pair")
    return {
        "overview": "/",
        "list": "/runs/",
        "columns": "/runs/?edit=columns&sort=-steps",
        "nothing-matches": "/runs/?q=nothing-like-this",
        "all-done": "/runs/?view=stuck",
        "journal": named["running"] + "?view=journal",
        "related": named["running"] + "?view=related",
        "as-conversation": named["failed"] + "?view=conversation",
        "conversations": "/conversations/",
        "no-conversation": "/conversations/?q=nothing-like-this",
        "conversation": f"/conversations/{talk.public_id}/",
        "conversation-form": f"/conversations/{still.public_id}/",
        "playground": "/playground/?agent=echo",
        "no-such-agent": "/playground/?agent=ech",
        "agents": "/agents/",
        "agent": "/agents/echo/",
        "agent-busy": "/agents/invoice-clerk/",
        "system": "/system/",
        "bulk": f"/bulk/{a_bulk_action(ana, runs.values())}/",
        "bulks": "/bulk/",
        "act": f"/runs/act/?do=cancel&id={runs['running'].public_id}&id={runs['failed'].public_id}",
        "act-all": "/runs/act/?do=cancel&all=1&query=status%3Drunning",
        "find": "/find/?q=in",
        "keys": "/settings/keys/",
        **remembered(ana),
        "missing": "/runs/run_zzzzzzzzzzzzzzzzzzzz/",
        "gallery": "/system/gallery/",
        **named,
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440", "390"])
def test_every_page_is_accessible_and_fits(
    open_tab: OpenTab, ana: User, theme: str, size: dict[str, int]
) -> None:
    User.objects.filter(pk=ana.pk).update(is_staff=True, is_superuser=True)
    shown = pages(ana)
    tab = open_tab(theme=theme, size=size)
    found = {}
    for name, path in shown.items():
        tab.goto(path)
        if SHOTS:
            tab.wait_for_timeout(200)
            tab.screenshot(path=f"{SHOTS}/{name}-{theme}-{size['width']}.png")
        wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        problems = _axe(tab) + ([f"{wide} px too wide"] if wide > 0 else [])
        if problems:
            found[name] = problems
    assert found == {}


def test_signing_in_leads_to_where_one_wanted_to_be(open_tab: OpenTab) -> None:
    tab = open_tab(signed_in=False)
    tab.goto("/agents/")
    assert _axe(tab) == []
    tab.get_by_label("Name").fill("ana")
    tab.get_by_label("Password").fill("wrong")
    tab.get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("alert")).to_contain_text("do not match")
    assert _axe(tab) == []
    tab.get_by_label("Password").fill("x")
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url("**/agents/")


def _axe(tab: Page) -> list[str]:
    tab.evaluate(AXE.read_text())
    result = json.loads(tab.evaluate("axe.run().then(r => JSON.stringify(r.violations))"))
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in result
        for node in rule["nodes"][:3]
    ]


def test_at_320_pixels_nothing_is_cut_off(open_tab: OpenTab, ana: User) -> None:
    run = factories.failed(ana)
    tab = open_tab(size={"width": 320, "height": 640})
    lists = ["/", "/runs/", "/bulk/", "/agents/", "/agents/echo/", "/system/", "/settings/keys/"]
    for path in (*lists, address(run), address(run) + "?view=journal"):
        tab.goto(path)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_twenty_four_runs_fit_on_a_desk(open_tab: OpenTab, ana: User) -> None:
    for _ in range(30):
        factories.run(ana)
    tab = open_tab()
    seen = tab.evaluate(
        "[...document.querySelectorAll('tbody tr')].filter("
        "row => row.getBoundingClientRect().bottom <= innerHeight).length"
    )
    assert seen >= 24


@pytest.mark.parametrize(("path", "most", "nodes"), [("list", 8, 2500), ("run", 11, 6000)])
def test_first_load_stays_in_its_budget(
    open_tab: OpenTab, ana: User, path: str, most: int, nodes: int
) -> None:
    runs = factories.every_status(ana)
    tab = open_tab()
    requested: list[str] = []
    tab.on("request", lambda request: requested.append(request.url))
    tab.goto("/runs/" if path == "list" else address(runs["running"]))
    is_live(tab)
    names = [url.rpartition("/")[2] for url in requested]
    assert len(requested) <= most, names
    assert tab.evaluate("document.querySelectorAll('*').length") <= nodes


def test_a_chosen_theme_stays(open_tab: OpenTab) -> None:
    tab = open_tab(theme="dark")
    tab.get_by_role("button", name="Light theme").first.click()
    expect(tab.locator("html")).to_have_attribute("data-theme", "light")
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
