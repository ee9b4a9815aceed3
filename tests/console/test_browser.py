"""The console in a real browser: signing in, live updates, keys, small screens, accessibility."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from agentops.accounts.models import User
from agentops.asgi import application
from runs import bell
from runs.consumers import Console
from runs.models import Phase, Run, RunStatus
from tests import factories
from tests.console import browser as browsers
from tests.factories import TOOL, Story

AXE = Path(__file__).parents[1] / "vendor/axe-core-4.14.1/axe.min.js"
SHOTS = os.environ.get("AGENTOPS_TEST_SCREENSHOTS")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    # The server serves files from a thread, as whitenoise does under ASGI.
    pytest.mark.filterwarnings("ignore::Warning"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, which Django takes for async code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        found = playwright.chromium.launch(executable_path=browsers.program(), args=browsers.FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(django_db_setup: None, chromium: Browser) -> Iterator[str]:
    """The web process, in a thread of this one."""
    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off")
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    port = web.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    web.should_exit = web.force_exit = True
    thread.join(10)


OpenTab = Callable[..., Page]


@pytest.fixture
def open_tab(server: str, chromium: Browser, ana: User) -> Iterator[OpenTab]:
    """Opens tabs in which ana is signed in; fails the test for any error a page reports."""
    contexts, errors = [], []

    client = Client()
    client.force_login(ana)
    name = settings.SESSION_COOKIE_NAME
    session = client.cookies[name].value

    def opened(
        path: str = "/runs/", *, signed_in: bool = True, theme: str = "light", size: Any = None
    ) -> Page:
        options: dict[str, Any] = {"viewport": size or WIDE, "color_scheme": theme}
        context = chromium.new_context(base_url=server, timezone_id="Europe/Berlin", **options)
        contexts.append(context)
        context.set_default_timeout(8000)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if _is_ours(said) else None)
        if signed_in:
            context.add_cookies([{"name": name, "value": session, "url": server}])
            tab.goto(path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def _is_ours(said: Any) -> bool:
    """Errors of our pages; a refused socket is reported by the browser itself."""
    return said.type == "error" and "WebSocket" not in said.text and "404" not in said.text


def goes_on(story: Story, number: int) -> None:
    story.wait(0.5).add(f"call#{number}", Phase.OUTCOME, "step.completed", took=0.4, **TOOL).save()
    bell.hint_now([[story.run.pk, story.seq]])


def a_story(owner: User) -> Story:
    story = factories.begun(owner, ago=20, title="Watch me", status=RunStatus.RUNNING)
    story.save()
    return story


def address(run: Run) -> str:
    return f"/runs/{run.public_id}/"


def is_live(tab: Page) -> None:
    expect(tab.locator("#connection-word")).to_have_text("Live")
    tab.wait_for_timeout(300)


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


def test_a_lost_connection_is_said_and_made_up_for(
    open_tab: OpenTab, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, opened = Console.connect, []

    async def noted(self: Console) -> None:
        opened.append((self, asyncio.get_running_loop()))
        await connect(self)

    async def refused(self: Console) -> None:
        self._tasks, self._topics = [], {}
        await self.close()

    monkeypatch.setattr(Console, "connect", noted)
    story = a_story(ana)
    tab = open_tab(address(story.run))
    is_live(tab)
    monkeypatch.setattr(Console, "connect", refused)
    for console, loop in opened:
        asyncio.run_coroutine_threadsafe(console.close(), loop).result(5)
    expect(tab.locator("#paused")).to_be_visible(timeout=20_000)
    expect(tab.locator("#paused")).to_contain_text("Live updates paused")
    goes_on(story, 1)
    expect(tab.locator("tbody tr")).to_have_count(2)
    monkeypatch.setattr(Console, "connect", connect)
    tab.get_by_role("button", name="Try now").click()
    expect(tab.locator("#paused")).to_be_hidden()
    expect(tab.locator("tbody tr")).to_have_count(3)


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


def pages(ana: User) -> dict[str, str]:
    runs = factories.every_status(ana)
    named = {name: address(run) for name, run in runs.items()}
    return {
        "list": "/runs/",
        "nothing-matches": "/runs/?q=nothing-like-this",
        "all-done": "/runs/?view=stuck",
        "journal": named["running"] + "?view=journal",
        "related": named["running"] + "?view=related",
        "agents": "/agents/",
        "agent": "/agents/echo/",
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
    for path in ("/runs/", address(run), address(run) + "?view=journal", "/agents/echo/"):
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
