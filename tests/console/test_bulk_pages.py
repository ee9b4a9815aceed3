"""All that match: asked first, done by workers, followed and stopped on a page of its own."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries as MaxQueries

from agentops.accounts.models import User
from runs import bulk
from runs.models import BulkAction, BulkItem, BulkOutcome, Run
from tests import factories

# Services open durable transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)


def asked(client: Client, **more: str) -> str:
    given = {"do": "cancel", "all": "1", "query": "status=queued", **more}
    return client.get("/runs/act/", given).content.decode()


def begin(client: Client, **more: str) -> str:
    """The address of the bulk action that was started."""
    given = {"do": "cancel", "all": "1", "query": "status=queued", "key": "k", **more}
    answer = client.post("/runs/act/", given)
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def text(client: Client, path: str) -> str:
    shown = client.get(path).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def test_it_is_asked_with_the_number_now_and_examples(page: Client, ana: User) -> None:
    for number in range(6):
        factories.run(ana, title=f"Invoice {number}")
    factories.succeeded(ana)
    told = asked(page)
    assert "Cancel 6 runs?" in told
    assert re.findall(r"Invoice \d", told) == ["Invoice 5", "Invoice 4", "Invoice 3"]
    assert "Workers do it one run at a time" in told
    assert "Cancel 7 runs?" in asked(page, query="")
    assert "1 of them has ended already" in asked(page, query="")
    assert not BulkAction.objects.exists()


def test_workers_do_it_and_every_run_gets_its_outcome(
    page: Client, ana: User, stranger: User
) -> None:
    runs = [factories.run(ana) for _ in range(3)]
    theirs = factories.run(stranger)
    address = begin(page, note="twice imported")
    assert "begins 0 of 3 have their outcome" in text(page, address)
    bulk.work(seconds=5)
    told = text(page, address)
    assert "finished 3 of 3 have their outcome 3 done" in told
    assert "“twice imported”" in told
    assert {Run.objects.get(pk=run.pk).status for run in runs} == {"cancelled"}
    assert Run.objects.get(pk=theirs.pk).status == "queued"


def test_sending_the_form_twice_starts_one(page: Client, ana: User) -> None:
    factories.run(ana)
    assert begin(page) == begin(page)
    assert BulkAction.objects.count() == 1


def test_outcomes_are_tabs_with_their_reasons(page: Client, ana: User) -> None:
    factories.run(ana)
    busy = factories.failed(ana)
    address = begin(page, do="retry_failure", query="")
    bulk.work(seconds=5)
    BulkItem.objects.filter(run=busy).update(outcome="failed", message="It broke.")
    told = text(page, f"{address}?outcome=refused")
    assert "can go on" in told
    assert busy.public_id not in told
    assert "It broke." in text(page, f"{address}?outcome=failed")
    assert "No run has this outcome" in text(page, f"{address}?outcome=stopped")


def test_stopping_leaves_the_rest_as_it_is(page: Client, ana: User) -> None:
    run = factories.run(ana)
    address = begin(page)
    assert page.get(f"{address}stop/").status_code == 405
    assert page.post(f"{address}stop/").status_code == 302
    assert page.post(f"{address}stop/").status_code == 302
    bulk.work(seconds=1)
    told = text(page, address)
    assert "stopped by ana" in told
    assert "Not reached 1" in told
    assert Run.objects.get(pk=run.pk).status == "queued"


def test_only_how_far_it_is_is_read_again_until_it_is_over(page: Client, ana: User) -> None:
    factories.run(ana)
    address = begin(page)
    part = page.get(address, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in part
    assert "<table" not in part
    bulk.work(seconds=5)
    part = page.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in part


def test_strangers_see_no_bulk_action(page: Client, ana: User, stranger: User) -> None:
    factories.run(ana)
    address = begin(page)
    client = Client()
    client.force_login(stranger)
    assert client.get(address).status_code == 404
    assert client.post(f"{address}stop/").status_code == 404
    assert "No bulk action yet" in text(client, "/bulk/")
    assert Client().get(address).status_code == 302


def test_more_than_twenty_need_their_number_typed_and_none_is_said(page: Client, ana: User) -> None:
    assert "No run matches" in asked(page)
    for _ in range(21):
        factories.run(ana)
    given = {"do": "cancel", "all": "1", "query": "status=queued"}
    assert page.post("/runs/act/", given).status_code == 422
    answer = page.post("/runs/act/", {**given, "typed": "21"})
    assert "Say why" in answer.content.decode()
    assert not BulkAction.objects.exists()
    begin(page, typed="21", note="imported twice")
    assert BulkAction.objects.get().total == 21


def test_the_number_may_grow_a_little_while_it_is_typed(page: Client, ana: User) -> None:
    for _ in range(23):
        factories.run(ana)
    given = {"do": "cancel", "all": "1", "query": "status=queued", "note": "old"}
    for shown in ("20", "1", "-1", "9" * 40):
        answer = page.post("/runs/act/", {**given, "typed": shown, "shown": shown})
        assert answer.status_code == 422
        assert "Type 23 to go on." in answer.content.decode()
    begin(page, note="old", typed="22", shown="22")
    assert BulkAction.objects.get().total == 23


def test_a_large_one_has_pages_and_stays_in_its_budget(
    page: Client, ana: User, django_assert_max_num_queries: MaxQueries
) -> None:
    for _ in range(130):
        factories.run(ana)
    address = begin(page, typed="130", note="imported twice")
    body = page.get(address).content.decode()
    (later,) = re.findall(r'href="\?after=(\d+)"', body)
    assert later == "100"
    second = page.get(f"{address}?after=100").content.decode()
    assert second.count('class="row-link"') == 30
    with django_assert_max_num_queries(8):
        page.get(address)
    BulkItem.objects.update(outcome=BulkOutcome.DONE)
    for path in ("/bulk/", address):
        with django_assert_max_num_queries(8):
            assert "Cancel 130 runs" in page.get(path).content.decode()
