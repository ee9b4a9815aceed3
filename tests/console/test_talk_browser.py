"""Conversations in a real browser: followed without a reload, by keyboard, while one types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from agentops.accounts.models import User
from runs.models import Conversation, Message, Run
from tests.console import browser as browsers
from tests.console import talking
from tests.console.tabs import OpenTab, is_live
from tests.runs.fake_worker import FakeWorker

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]


@pytest.fixture
def talk(ana: User) -> Conversation:
    return talking.begun(ana)


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker.born()


def path(talk: Conversation) -> str:
    return f"/conversations/{talk.public_id}/"


def opened(open_tab: OpenTab, talk: Conversation) -> Page:
    tab = open_tab(path(talk))
    is_live(tab)
    return tab


def writes(tab: Page, run: Run, text: str) -> None:
    """Publish a text until the page shows it; nobody says when it began to listen."""
    for _ in range(40):
        talking.writes(run, text)
        tab.wait_for_timeout(100)
        if text in tab.locator("#writing").inner_text():
            return
    raise AssertionError("The text does not appear.")


def test_a_conversation_goes_on_in_an_open_tab_while_somebody_types(
    open_tab: OpenTab, talk: Conversation, worker: FakeWorker
) -> None:
    tab = opened(open_tab, talk)
    expect(tab.locator("#what-happens")).to_contain_text("starts a run at once")
    tab.keyboard.press("m")
    field = tab.get_by_label("Message to anything")
    expect(field).to_be_focused()
    field.fill("half a wo")
    top = field.bounding_box()
    talking.say(talk, "Said by an app")
    expect(tab.locator("#turns")).to_contain_text("Said by an app")
    expect(tab.locator("#what-happens")).to_contain_text("A run answers (queued)")
    run = worker.claims(talking.live_run(talk))
    writes(tab, run, "The answer begins")
    talking.say(talk, "And something else")
    expect(tab.locator("#line")).to_contain_text("And something else")
    talking.answers(worker, talk, "The answer as it is recorded")
    expect(tab.locator("#turns")).to_contain_text("The answer as it is recorded")
    expect(tab.locator("#writing")).to_be_empty()
    expect(tab.locator("#turns")).to_contain_text("Turn 2")
    expect(tab.locator("#line")).to_be_empty()
    expect(field).to_be_focused()
    expect(field).to_have_value("half a wo")
    assert field.bounding_box() == top


def test_somebody_says_something_by_keyboard_and_stops_it(
    open_tab: OpenTab, talk: Conversation
) -> None:
    tab = opened(open_tab, talk)
    tab.keyboard.press("m")
    tab.keyboard.type("Write a long book")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator("#turns")).to_contain_text("Write a long book")
    assert Message.objects.get().sender == "ana"
    tab.get_by_role("button", name="Stop this answer").click()
    expect(tab.locator("#turns")).to_contain_text("It was stopped before it answered.")
    expect(tab.locator("#talk-head")).to_contain_text("idle")


def test_what_a_choice_means_is_said_where_it_is_made(
    open_tab: OpenTab, talk: Conversation
) -> None:
    talking.say(talk, "one")
    tab = opened(open_tab, talk)
    said = tab.locator("#what-happens p:visible")
    expect(said).to_have_text("A run answers (queued). Your message starts when it has ended.")
    tab.get_by_label("If a run is live").select_option("interrupt")
    expect(said).to_contain_text("Your message stops it and starts next.")
    tab.get_by_label("Message to").fill("two")
    tab.get_by_role("button", name="Send to anything").click()
    expect(tab.locator("#turns")).to_contain_text("two")
    assert Run.objects.get(message__number=1).status == "cancelled"


class Cable:
    """Between a tab and the server; it can be cut, and mended."""

    def __init__(self) -> None:
        self._routes: list[WebSocketRoute] = []
        self._whole = True

    def between(self, tab: Page) -> None:
        tab.route_web_socket("**/live/", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        if not self._whole:
            route.close(code=1001)
            return
        self._routes.append(route)
        server = route.connect_to_server()
        route.on_message(server.send)
        server.on_message(route.send)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing gets through for as long as the context lasts."""
        self._whole = False
        for route in self._routes:
            route.close(code=1001)
        yield
        self._whole = True


def test_a_tab_that_was_away_shows_what_happened_and_no_text_of_before(
    open_tab: OpenTab, talk: Conversation, worker: FakeWorker
) -> None:
    talking.say(talk, "one")
    run = worker.claims(talking.live_run(talk))
    cable = Cable()
    tab = open_tab(path(talk), before=cable.between)
    is_live(tab)
    writes(tab, run, "Half an answ")
    with cable.cut():
        talking.answers(worker, talk, "The whole answer")
    expect(tab.locator("#turns")).to_contain_text("The whole answer", timeout=20_000)
    expect(tab.locator("#writing")).to_be_empty()


def test_the_list_changes_in_place_and_others_wait_behind_a_button(
    open_tab: OpenTab, talk: Conversation, ana: User
) -> None:
    tab = open_tab("/conversations/")
    is_live(tab)
    tab.keyboard.press("j")
    row = tab.locator(f"#{talk.public_id}")
    expect(row.locator("a")).to_be_focused()
    talking.say(talk, "Where is my parcel?")
    expect(row).to_contain_text("queued")
    expect(row.locator("a")).to_be_focused()
    talking.begun(ana, "echo")
    expect(tab.locator("#new-talks")).to_have_text("1 with news")
    expect(tab.locator("tbody tr")).to_have_count(1)
    tab.keyboard.press(".")
    expect(tab.locator("tbody tr")).to_have_count(2)


def test_a_run_read_as_a_conversation_goes_on(
    open_tab: OpenTab, talk: Conversation, worker: FakeWorker
) -> None:
    talking.say(talk, "Hello")
    run = worker.claims(talking.live_run(talk))
    tab = open_tab(f"/runs/{run.public_id}/?view=conversation")
    is_live(tab)
    writes(tab, run, "Hello, yo")
    talking.answers(worker, talk, "Hello, you")
    expect(tab.locator("#view .answer")).to_contain_text("Hello, you")
    expect(tab.locator("#writing")).to_be_empty()
    tab.keyboard.press("t")
    tab.wait_for_url(re.compile(r"/runs/run_\w+/$"))
    tab.keyboard.press("c")
    tab.wait_for_url("**view=conversation")


def test_the_playground_leads_to_what_it_began(open_tab: OpenTab) -> None:
    tab = open_tab("/playground/?agent=talkative")
    tab.get_by_role("button", name="Begin a conversation").click()
    assert "/playground/" in tab.url  # the browser asks for the message first
    tab.get_by_label("Message").fill("Hello")
    tab.get_by_role("button", name="Begin a conversation").click()
    tab.wait_for_url("**/conversations/conv_*/")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Hello")
    tab.goto("/playground/?agent=talkative")
    tab.get_by_label("Message").fill("Once")
    tab.get_by_role("button", name="Start a run of talkative").click()
    tab.wait_for_url("**/runs/run_*/")
