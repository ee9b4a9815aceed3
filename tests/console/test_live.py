"""Live updates in a real browser: lost, late, doubled, reordered and cut off; caught up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from uvicorn.protocols.utils import ClientDisconnected

from agentops.accounts.models import User
from agentops.launcher import binaries
from agentops.launcher.valkey import Valkey
from runs import bell
from runs.consumers import Console
from runs.models import Phase, Run, RunStatus
from tests import factories
from tests.console import browser as browsers
from tests.console.tabs import OpenTab, address, is_live, tabs, web_process
from tests.factories import TOOL, Story

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    # The server serves files from a thread, as whitenoise does under ASGI.
    pytest.mark.filterwarnings("ignore::Warning"),
]
MOVED = (
    "window.shifts = []; new PerformanceObserver(list => list.getEntries().forEach("
    "e => window.shifts.push(...e.sources.map(s => s.node?.outerHTML ?? s.node?.nodeName))))"
    ".observe({type: 'layout-shift'})"
)


def goes_on(story: Story, *numbers: int, hint: bool = True) -> None:
    for number in numbers:
        story.wait(0.5).add(f"call#{number}", Phase.OUTCOME, "step.completed", took=0.4, **TOOL)
    story.save()
    if hint:
        bell.hint_now([[story.run.pk, story.seq]])


def a_story(owner: User) -> Story:
    story = factories.begun(owner, ago=20, title="Watch me", status=RunStatus.RUNNING)
    story.save()
    return story


def journal(run: Run) -> str:
    return address(run) + "?view=journal"


def numbers(tab: Page) -> list[int]:
    """The events that the journal shows, in the order in which it shows them."""
    found = tab.evaluate("[...document.querySelectorAll('#journal-rows > tr')].map(r => r.id)")
    return [int(name.removeprefix("e")) for name in found]


def shows(tab: Page, wanted: list[int]) -> None:
    expect(tab.locator("#journal-rows > tr")).to_have_count(len(wanted))
    assert numbers(tab) == wanted


# -- the socket is lost --------------------------------------------------------------------------


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Cuts all sockets and refuses new ones, and lets them in again."""
    connect, opened = Console.connect, []

    async def noted(self: Console) -> None:
        opened.append((self, asyncio.get_running_loop()))
        await connect(self)

    async def refused(self: Console) -> None:
        self._tasks, self._topics = [], {}
        await self.close()

    def switch(up: bool) -> None:
        monkeypatch.setattr(Console, "connect", noted if up else refused)
        while not up and opened:
            console, loop = opened.pop()
            with contextlib.suppress(ClientDisconnected):  # of a page that was left
                asyncio.run_coroutine_threadsafe(console.close(), loop).result(5)

    switch(True)
    return switch


def test_a_lost_socket_is_said_by_degrees_and_made_up_for(
    open_tab: OpenTab, ana: User, line: Callable[[bool], None]
) -> None:
    story = a_story(ana)
    tab = open_tab(journal(story.run))
    is_live(tab)
    tab.evaluate(MOVED)
    line(False)
    tab.wait_for_timeout(1500)
    expect(tab.locator("html")).to_have_attribute("data-live", "on")
    expect(tab.locator("html")).to_have_attribute("data-live", "lost", timeout=4000)
    expect(tab.locator("#paused")).to_be_hidden()
    expect(tab.locator("#paused")).to_be_visible(timeout=9000)
    expect(tab.locator("#paused")).to_contain_text("You see the state of ")
    stopped = tab.locator("#run-head [data-since]").inner_text()
    goes_on(story, *range(1, 38))
    tab.wait_for_timeout(1200)
    assert tab.locator("#run-head [data-since]").inner_text() == stopped
    shows(tab, [1, 2, 3, 4])
    line(True)
    tab.get_by_role("button", name="Try now").click()
    expect(tab.locator("#caught-up")).to_have_text("Caught up: 37 events")
    expect(tab.locator("#paused")).to_be_hidden()
    shows(tab, list(range(1, 42)))
    assert tab.evaluate("window.shifts") == []


def test_a_page_that_was_away_too_long_reads_itself_again(
    open_tab: OpenTab, ana: User, line: Callable[[bool], None]
) -> None:
    story = a_story(ana)
    tab = open_tab(address(story.run))
    is_live(tab)
    line(False)
    goes_on(story, *range(1, 401))
    expect(tab.locator("html")).to_have_attribute("data-live", "lost", timeout=6000)
    line(True)
    tab.evaluate("dispatchEvent(new Event('online'))")
    expect(tab.locator("#tally-timeline")).to_have_text("402", timeout=8000)
    goes_on(story, 401)
    expect(tab.locator("#tally-timeline")).to_have_text("403")


def test_after_a_minute_regions_read_themselves_again(
    open_tab: OpenTab, ana: User, line: Callable[[bool], None]
) -> None:
    story = a_story(ana)
    tab = open_tab(before=lambda tab: tab.clock.install())
    tab.goto(journal(story.run))
    is_live(tab)
    line(False)
    tab.clock.fast_forward(5000)
    goes_on(story, 1, 2)
    for _ in range(14):
        tab.clock.run_for(5000)
    expect(tab.locator("html")).to_have_attribute("data-live", "paused")
    expect(tab.locator("#journal-rows > tr")).to_have_count(6)


# -- what comes over the socket is not in order ---------------------------------------------------


class Mangled:
    """Between the browser and the server: holds messages about runs back for the test to give."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.holding = False
        self.route: WebSocketRoute | None = None

    def between(self, tab: Page) -> None:
        tab.route_web_socket("**/live/", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        self.route, server = route, route.connect_to_server()
        route.on_message(server.send)
        server.on_message(self._said)

    def _said(self, text: str | bytes) -> None:
        assert self.route is not None
        if self.holding and json.loads(text)[0]["do"] == "news":
            self.held.append(str(text))
        else:
            self.route.send(text)

    def cut(self) -> None:
        assert self.route is not None
        self.route.close(code=1001)

    def holds(self, count: int) -> bool:
        return len(self.held) >= count

    def give(self, *order: int) -> None:
        assert self.route is not None
        for place in order:
            self.route.send(self.held[place])


def test_messages_that_come_doubled_reordered_and_not_at_all_leave_no_trace(
    open_tab: OpenTab, ana: User
) -> None:
    story = a_story(ana)
    between = Mangled()
    tab = open_tab(before=between.between)
    tab.goto(journal(story.run))
    is_live(tab)
    between.holding = True
    for number in range(1, 5):
        goes_on(story, number)
        until(partial(between.holds, number), tab)
    between.holding = False
    between.give(0, 0, 1, 0)
    shows(tab, [1, 2, 3, 4, 5, 6])
    # The third is lost: the page asks for it as soon as the fourth tells of the gap.
    between.give(3, 1)
    shows(tab, [1, 2, 3, 4, 5, 6, 7, 8])
    goes_on(story, 5)
    shows(tab, [1, 2, 3, 4, 5, 6, 7, 8, 9])


def until(true: Callable[[], Any], tab: Page, seconds: float = 8) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        tab.wait_for_timeout(50)


def test_a_hidden_tab_keeps_its_title_and_draws_when_it_is_looked_at(
    open_tab: OpenTab, ana: User
) -> None:
    story = a_story(ana)
    tab = open_tab(journal(story.run))
    is_live(tab)
    tab.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    goes_on(story, 1, 2)
    story.ends(RunStatus.SUCCEEDED, "completed", output=1).save()
    bell.hint_now([[story.run.pk, story.seq]])
    expect(tab).to_have_title("Watch me · succeeded · this machine")
    shows(tab, [1, 2, 3, 4])
    tab.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    shows(tab, [1, 2, 3, 4, 5, 6, 7])


def test_two_tabs_and_a_late_one_show_the_same(open_tab: OpenTab, ana: User) -> None:
    story = a_story(ana)
    first, second = open_tab(journal(story.run)), open_tab(address(story.run))
    is_live(second)
    goes_on(story, 1)
    shows(first, [1, 2, 3, 4, 5])
    expect(second.locator("tbody tr")).to_have_count(3)
    third = open_tab(journal(story.run))
    is_live(third)
    goes_on(story, 2, 3)
    for tab in (first, third):
        shows(tab, list(range(1, 8)))


def test_a_new_release_offers_to_reload_and_does_not(
    open_tab: OpenTab, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = a_story(ana)
    between = Mangled()
    tab = open_tab(before=between.between)
    tab.goto(address(story.run))
    is_live(tab)
    expect(tab.locator("#newer")).to_be_hidden()
    tab.evaluate("document.documentElement.dataset.build = 'of-yesterday'; window.mine = 1")
    with monkeypatch.context() as patch:
        patch.setattr("runs.consumers.build", lambda: "of-today")
        between.cut()
        expect(tab.locator("#newer")).to_be_visible()
    assert tab.evaluate("window.mine") == 1
    tab.get_by_role("link", name="Reload").click()
    expect(tab.locator("#newer")).to_be_hidden()


# -- Redis is lost -------------------------------------------------------------------------------


class OwnValkey:
    """A server that only this test uses, so that it may be killed."""

    def __init__(self, folder: Path) -> None:
        self._valkey = Valkey(binaries.valkey_server(), folder / "data", folder, durable=False)
        self._valkey.prepare()
        self.url = self._valkey.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._valkey.command, stdout=subprocess.DEVNULL)
        while not self._valkey.answers():
            time.sleep(0.02)

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
        if number == signal.SIGKILL:
            self._process.wait()

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGKILL)


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnValkey]:
    with tempfile.TemporaryDirectory(prefix="agentops-") as folder:
        server = OwnValkey(Path(folder))
        server.start()
        monkeypatch.setattr(settings, "REDIS_URL", server.url)
        bell._redis.cache_clear()
        yield server
        server.end()
        bell._redis.cache_clear()


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_twenty_seconds_without_redis_are_said_and_made_up_for_without_a_gap(
    chromium: Browser, ana: User, valkey: OwnValkey, how: str
) -> None:
    story = a_story(ana)
    with web_process() as server, tabs(chromium, server, ana) as open_tab:
        tab = open_tab(journal(story.run))
        is_live(tab)
        goes_on(story, 1)
        shows(tab, [1, 2, 3, 4, 5])
        valkey.send(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        lost = time.monotonic()
        goes_on(story, *range(2, 12), hint=False)
        expect(tab.locator("#paused")).to_be_visible(timeout=20_000)
        expect(tab.locator("#paused")).to_contain_text("Live updates paused. You see the state of")
        for number in range(12, 24):
            goes_on(story, number, hint=False)
        tab.wait_for_timeout(max(0, 20 - (time.monotonic() - lost)) * 1000)
        expect(tab.locator("#paused")).to_be_visible()
        if how == "killed":
            valkey.start()
        else:
            valkey.send(signal.SIGCONT)
        goes_on(story, 24, hint=False)
        expect(tab.locator("#paused")).to_be_hidden(timeout=10_000)
        expect(tab.locator("#caught-up")).to_have_text(re.compile(r"^Caught up: [1-9]\d* events$"))
        shows(tab, list(range(1, story.seq + 1)))
        goes_on(story, 25)
        shows(tab, list(range(1, story.seq + 1)))
