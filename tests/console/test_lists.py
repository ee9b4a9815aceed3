"""The list of runs: the address is the state; pages by cursor; three kinds of empty."""

from __future__ import annotations

import gzip
import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import User
from runs.listing import Filter
from runs.models import RunStatus
from tests import factories


def shown(client: Client, path: str) -> list[str]:
    return re.findall(r'<tr id="(run_\w+)"', client.get(path).content.decode())


def test_words_and_fields_of_the_filter_become_the_address(page: Client) -> None:
    answer = page.get("/runs/", {"q": "status:failed  invoice agent:digest"})
    assert answer["Location"] == "/runs/?status=failed&agent=digest&q=invoice"
    assert Filter.read_query("q=a+b&agent=x&status=failed").query == "status=failed&agent=x&q=a+b"


def test_filters_choose(page: Client, ana: User) -> None:
    runs = factories.every_status(ana)
    assert shown(page, "/runs/?status=failed") == [runs["failed"].public_id]
    assert shown(page, "/runs/?waiting_for=timer") == [runs["sleeping"].public_id]
    assert shown(page, "/runs/?view=person") == [runs["uncertain"].public_id]
    assert shown(page, "/runs/?q=November") == [runs["running"].public_id]
    assert shown(page, f"/runs/?q={runs['queued'].public_id[:12]}") == [runs["queued"].public_id]


def test_what_cannot_be_understood_is_said(page: Client, ana: User) -> None:
    factories.run(ana)
    unknown = page.get("/runs/?colour=red").content.decode()
    assert "does not know: colour" in unknown
    wrong = page.get("/runs/?status=done").content.decode()
    assert "There is no status “done”" in wrong
    lost = page.get("/runs/?before=run_zzzzzzzzzzzzzzzzzzzz").content.decode()
    assert "no longer kept" in lost


def test_pages_follow_each_other_without_gap_or_repeat(page: Client, ana: User) -> None:
    made = [factories.run(ana).public_id for _ in range(120)]
    first = shown(page, "/runs/")
    second = shown(page, f"/runs/?before={first[-1]}")
    third = shown(page, f"/runs/?before={second[-1]}")
    assert first + second + third == made[::-1]
    assert shown(page, f"/runs/?after={third[0]}") == second
    assert shown(page, f"/runs/?after={second[0]}") == first


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/runs/", "No runs yet"),
        ("/runs/?q=nothing", "No run matches"),
        ("/runs/?view=stuck", "Nothing is stuck"),
    ],
)
def test_empty_has_three_texts(page: Client, path: str, said: str) -> None:
    assert said in page.get(path).content.decode()


def test_a_full_list_stays_in_its_budget(
    page: Client, ana: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        factories.run(ana, title=f"Reconcile invoices of week {number}")
    factories.every_status(ana)
    page.get("/runs/")
    with django_assert_max_num_queries(8):
        body = page.get("/runs/").content
    assert len(gzip.compress(body)) <= 14 * 1024


@pytest.mark.parametrize("view", ["timeline", "journal", "related"])
def test_a_run_of_ten_thousand_steps_stays_in_its_budget(
    page: Client, ana: User, view: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = factories.long_run(ana)
    page.get("/runs/")
    with django_assert_max_num_queries(12):
        body = page.get(f"/runs/{run.public_id}/", {"view": view}).content
    assert len(gzip.compress(body)) <= 14 * 1024
    assert body.count(b"<") <= 2 * 6000
    if view == "timeline":
        block = page.get(f"/runs/{run.public_id}/block/57/").content
        assert block.count(b"<tr id=") == 100
        assert len(gzip.compress(block)) <= 4 * 1024


def test_a_failed_run_shows_its_error_and_the_step_it_failed_at(page: Client, ana: User) -> None:
    body = page.get(f"/runs/{factories.failed(ana).public_id}/").content.decode()
    assert "A step failed on every attempt it had." in body
    assert "Step 6 · post_entries" in body
    assert "field “period” is not open" in body


def test_the_page_is_content_even_when_a_value_cannot_be_read(page: Client, ana: User) -> None:
    run = factories.succeeded(ana, status=RunStatus.SUCCEEDED)
    run.payload.output_codec, run.payload.output = 1, b"broken"
    run.payload.save()
    assert "cannot be read" in page.get(f"/runs/{run.public_id}/").content.decode()
