"""What an app starts over HTTP comes, moves and ends in tabs that were open all the while."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from agentops.accounts.models import User
from runs import worker
from runs.engine.host import Host
from tests import people
from tests.console import browser as browsers
from tests.console.tabs import OpenTab, is_live

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]


@contextmanager
def a_worker() -> Iterator[None]:
    """The real host of a worker, quick to notice things."""
    options = dataclasses.replace(
        worker.options(), heartbeat_seconds=0.2, tick_seconds=0.1, drain_seconds=3.0
    )
    host = Host(options)
    host.start()
    try:
        yield
    finally:
        host.stop()


def post(address: str, token: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What ``curl -X POST`` with a token does."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    with urlopen(Request(address, json.dumps(asked).encode(), headers), timeout=20) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def stays(tab: Page) -> Page:
    """The tab, marked so that a reload would be seen."""
    is_live(tab)
    tab.evaluate("window.stayed = true")
    return tab


def test_a_run_started_by_curl_appears_and_finishes_without_a_reload(
    open_tab: OpenTab, server: str, ana: User
) -> None:
    listed, waiting = stays(open_tab("/runs/?follow=1")), stays(open_tab("/runs/"))
    asked = {"agent": "echo", "input": {"ticket": "Asked by curl"}}
    run = post(f"{server}/api/v1/runs", people.token(ana), asked)
    row = listed.locator(f"#{run['id']}")
    expect(row).to_contain_text("Asked by curl")
    expect(row).to_contain_text("queued")
    expect(waiting.locator("#new-rows")).to_have_text("1 new run")
    opened = stays(open_tab(f"/runs/{run['id']}/"))
    with a_worker():
        expect(row).to_contain_text("succeeded")
        expect(opened.locator("#run-head .status").first).to_have_text("succeeded")
        expect(opened.locator("#run-outcome")).to_contain_text("Asked by curl")
    # Nothing comes into a list that nobody asked to follow.
    expect(waiting.locator(f"#{run['id']}")).to_have_count(0)
    for tab in (listed, waiting, opened):
        assert tab.evaluate("window.stayed") is True
