"""A run with 10,000 steps opens within the budgets of the run page, and can be moved about in."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page, expect

from agentops.accounts.models import User
from runs.models import Phase, Run, RunStatus
from tests import factories
from tests.console import browser as browsers
from tests.console.tabs import OpenTab, address
from tests.factories import TOOL

STEPS = 10_000
PAGE_BYTES, BLOCK_BYTES, SQL, REQUESTS, NODES = 14_000, 4_000, 12, 11, 6_000
STATIC_BYTES = 110_000
DRAWN = "document.querySelectorAll('#timeline > [data-rows]').length"
EVERYTHING = "document.querySelectorAll('*').length"

Test = TypeVar("Test", bound=Callable[..., None])
in_a_browser = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning"),
]


def browsing(test: Test) -> Test:
    """For a test that looks at pages in a browser."""
    for mark in in_a_browser:
        test = mark(test)
    return test


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("", PAGE_BYTES),
        ("?step=5000", PAGE_BYTES),
        ("?zoom=4&at=500", PAGE_BYTES),
        ("?view=journal", PAGE_BYTES),
        ("block/50/", BLOCK_BYTES),
    ],
)
def test_pages_of_a_long_run_stay_in_their_budget(
    page: Client, ana: User, path: str, most: int
) -> None:
    run = factories.long_run(ana, steps=STEPS)
    page.get(address(run))  # what the process needs once
    began = time.process_time()
    with CaptureQueriesContext(connection) as asked:
        answer = page.get(address(run) + path)
    seconds = time.process_time() - began
    size = len(gzip.compress(answer.content))
    print(f"\n{path or 'page'}: {size} bytes, {len(asked)} queries, {seconds * 1000:.0f} ms CPU")
    assert answer.status_code == 200
    assert size <= most
    assert len(asked) <= SQL


@browsing
def test_a_long_run_opens_small_and_stays_small(open_tab: OpenTab, ana: User) -> None:
    run = factories.long_run(ana, steps=STEPS)
    tab = open_tab()
    requested: list[str] = []
    tab.on("request", lambda request: requested.append(request.url))
    began = time.monotonic()
    tab.goto(address(run))
    expect(tab.locator("#s1")).to_be_visible()
    print(f"\nfirst row after {time.monotonic() - began:.2f} s, {len(requested)} requests")
    assert len(requested) <= REQUESTS, requested
    kept = {url for url in requested if "/static/" in url}
    static = sum(len(gzip.compress(tab.request.get(url).body())) for url in kept)
    print(f"{static} bytes that stay in the browser")
    assert 20_000 < static <= STATIC_BYTES
    assert tab.evaluate(EVERYTHING) <= NODES
    height = tab.evaluate("document.documentElement.scrollHeight")
    for block in range(1, 12):
        tab.evaluate(f"document.getElementById('block-{block}').scrollIntoView()")
        expect(tab.locator(f"#s{block * 100 + 50}")).to_be_attached()
    assert tab.evaluate(DRAWN) <= 6
    print(f"{tab.evaluate(EVERYTHING)} nodes after 12 blocks")
    assert tab.evaluate(EVERYTHING) <= NODES
    assert abs(tab.evaluate("document.documentElement.scrollHeight") - height) < 200
    # What was given up comes back when it is looked at.
    tab.evaluate("document.getElementById('block-0').scrollIntoView()")
    expect(tab.locator("#s1")).to_be_visible()


@browsing
def test_a_link_to_a_step_and_the_minimap_lead_into_the_middle(
    open_tab: OpenTab, ana: User
) -> None:
    run = factories.long_run(ana, steps=STEPS)
    tab = open_tab(address(run) + "?step=5042")
    expect(tab.locator("#s5042")).to_be_in_viewport()
    expect(tab.locator("#panel h2")).to_contain_text("Step 5042")
    tab.get_by_role("slider").fill("250")
    leads_to(tab, "at=250")
    expect(tab.locator("[data-here]")).to_be_in_viewport()
    number = int(tab.locator("[data-here]").get_attribute("id", timeout=1000)[1:])  # type: ignore[index]
    assert 2300 < number < 2700
    for key, there in (("+", "zoom=1"), ("+", "zoom=2"), (";", "at="), ("-", "zoom=1")):
        tab.keyboard.press(key)
        leads_to(tab, there)
    tab.keyboard.press("=")
    tab.wait_for_url(lambda url: "zoom" not in url)


def crawl(owner: User, branches: int, steps: int) -> Run:
    """A finished run of parallel branches, one of which failed somewhere."""
    story = factories.begun(owner, ago=900, title="Crawl", status=RunStatus.RUNNING)
    for step in range(1, steps + 1):
        for branch in range(1, branches + 1):
            key = f"~{branch}/page#{step}"
            if (branch, step) == (2, 3):
                error = {"code": "timeout", "message": "late"}
                story.wait(0.1).add(
                    key, Phase.OUTCOME, "step.failed", error=error, took=0.1, **TOOL
                )
            else:
                story.call(key, 0.1)
    return story.ends(RunStatus.SUCCEEDED, "completed", output=1).save()


def rows(page: Client, run: Run, query: str = "") -> list[int]:
    shown = page.get(f"{address(run)}?{query}").content.decode()
    return [int(part.split('"')[0]) for part in shown.split('<tr id="s')[1:]]


def test_a_finished_run_is_shown_by_branch_and_folds_with_failures_open(
    page: Client, ana: User
) -> None:
    run = crawl(ana, branches=3, steps=4)
    assert rows(page, run) == [1, 2, 3, 6, 9, 12, 4, 7, 10, 13, 5, 8, 11, 14]
    # The first step of each branch stands for it; the failure is shown wherever it is.
    assert rows(page, run, "depth=1") == [1, 2, 3, 4, 10, 5]
    assert rows(page, run, "depth=1&flip=3") == [1, 2, 3, 6, 9, 12, 4, 10, 5]
    assert rows(page, run, "flip=5") == [1, 2, 3, 6, 9, 12, 4, 7, 10, 13, 5]
    assert rows(page, run, "only=failed") == [10]
    shown = page.get(address(run)).content.decode()
    assert "Branch of 4 steps, one failed" in shown


def test_above_two_thousand_steps_branches_are_folded(page: Client, ana: User) -> None:
    run = crawl(ana, branches=7, steps=300)
    assert len(rows(page, run)) == 2 + 7 + 1
    assert len(rows(page, run, "depth=0")) == 100


@browsing
def test_folds_open_and_close_by_arrow(open_tab: OpenTab, ana: User) -> None:
    run = crawl(ana, branches=3, steps=4)
    tab = open_tab(address(run))
    fold(tab, "#s3", "ArrowLeft", "flip=3")
    expect(tab.locator("#s6")).to_have_count(0)
    fold(tab, "#s3", "ArrowRight", "/?")
    expect(tab.locator("#s6")).to_have_count(1)
    tab.keyboard.press("1")
    leads_to(tab, "depth=1")
    expect(tab.locator("#timeline tbody tr")).to_have_count(6)
    tab.keyboard.press("0")
    leads_to(tab, "depth=0")
    expect(tab.locator("#timeline tbody tr")).to_have_count(14)


def fold(tab: Page, row: str, key: str, there: str) -> None:
    tab.locator(f"{row} a").first.focus()
    tab.keyboard.press(key)
    leads_to(tab, there)


def leads_to(tab: Page, part: str) -> None:
    tab.wait_for_url(lambda url: part in url)
