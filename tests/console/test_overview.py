"""The Overview: what needs a person, what is under way, what is wrong; each number has its rows."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import User
from runs.models import Breaker, Run, RunStatus
from tests import factories


def text(client: Client, path: str = "/") -> str:
    shown = client.get(path).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def card(client: Client, title: str) -> tuple[int, str]:
    """The number of a card, and the address of the rows it counts."""
    shown = client.get("/").content.decode()
    found = re.search(rf'href="([^"]+)" aria-label="{title}: (\d+)"', shown)
    assert found, title
    return int(found[2]), unescape(found[1])


@pytest.mark.parametrize("title", ["Needs a person", "Running now", "Ended in 24 h"])
def test_each_number_opens_the_rows_it_counts(page: Client, ana: User, title: str) -> None:
    factories.every_status(ana)
    number, address = card(page, title)
    rows = re.findall(r'<tr id="run_', page.get(address).content.decode())
    assert (len(rows), number > 0) == (number, True)


def test_the_parts_of_a_number_open_their_rows_too(page: Client, ana: User) -> None:
    factories.every_status(ana)
    shown = page.get("/").content.decode()
    parts = re.findall(r'<a href="([^"]+)"><b class="[^"]*">(\d+)</b> (\w+)', shown)
    assert {word for _, _, word in parts} >= {"queued", "retrying", "asleep", "succeeded", "failed"}
    for address, number, word in parts:
        rows = page.get(unescape(address)).content.decode().count('<tr id="run_')
        assert rows == int(number), word


def test_failures_are_told_with_what_is_usual(page: Client, ana: User) -> None:
    factories.failed(ana)
    for _ in range(14):
        old = factories.failed(ana)
        Run.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=3))
    assert "invoice-clerk failed once in 24 h: retries exhausted. Usual is 2 a day." in text(page)


def test_what_stands_still_and_what_is_broken_is_told(page: Client, ana: User) -> None:
    run = factories.running(ana)
    Run.objects.update(last_progress_at=timezone.now() - timedelta(hours=1))
    Breaker.objects.create(
        target="maps.example", failures=5, open_until=timezone.now() + timedelta(minutes=1)
    )
    told = text(page)
    assert "1 run made no progress for five minutes." in told
    assert "maps.example failed 5 times in a row" in told
    assert run.public_id in page.get("/runs/?view=stuck").content.decode()


def test_without_a_worker_the_page_says_so_and_how_to_start_one(page: Client) -> None:
    assert "No worker is alive" in text(page)
    factories.worker()
    assert "No worker is alive" not in text(page)


def test_when_nothing_needs_anybody_one_sentence_says_so(page: Client, ana: User) -> None:
    factories.worker()
    factories.succeeded(ana)
    assert "All quiet. No run is under way; 1 succeeded in the last 24 hours." in text(page)
    factories.uncertain(ana)
    assert "All quiet" not in text(page)


def test_first_steps_are_found_out_and_go_once_a_run_has_succeeded(page: Client, ana: User) -> None:
    factories.worker()
    told = text(page)
    assert "A worker is alive : done" in told
    assert "A run has succeeded : to do" in told
    factories.succeeded(ana)
    assert "First steps" not in text(page)


def test_strangers_see_nothing_of_others(page: Client, stranger: User) -> None:
    run = factories.uncertain(stranger)
    factories.failed(stranger)
    shown = page.get("/").content.decode()
    assert run.public_id not in shown
    assert "invoice-clerk" not in shown
    assert card(page, "Needs a person")[0] == 0


def test_signed_out_people_are_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/")["Location"] == "/sign-in/?next=/"


def test_a_busy_overview_stays_in_its_budget(
    page: Client, ana: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    factories.every_status(ana)
    for number in range(30):
        factories.uncertain(ana)
        ended = factories.run(ana, agent=f"agent-{number}", status=RunStatus.FAILED,
                              stop_reason="timeout")  # fmt: skip
        Run.objects.filter(pk=ended.pk).update(created_at=timezone.now() - timedelta(hours=2))
    page.get("/")
    with django_assert_max_num_queries(12):
        body = page.get("/").content
    assert len(gzip.compress(body)) <= 18 * 1024
    assert body.count(b"<") <= 2 * 2500
