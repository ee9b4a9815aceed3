"""What tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from tests import people
from tests.console import browser as browsers
from tests.console.tabs import OpenTab, tabs, web_process


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog().modules
    catalog.configure(("tests.runs.agents",))
    yield
    catalog.configure(before)


@pytest.fixture
def ana(db: None) -> User:
    return people.person("ana", Role.OPERATOR)


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("sven", password="x")


@pytest.fixture
def operator(db: None) -> User:
    return people.administrator("opal")


@pytest.fixture
def page(ana: User) -> Client:
    """A browser in which ana is signed in."""
    client = Client()
    client.force_login(ana)
    return client


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
    with web_process() as address:
        yield address


@pytest.fixture
def open_tab(server: str, chromium: Browser, ana: User) -> Iterator[OpenTab]:
    """Opens tabs in which ana is signed in; fails the test for any error a page reports."""
    with tabs(chromium, server, ana) as opened:
        yield opened
