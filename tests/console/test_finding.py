"""Finding by a few letters: places, agents, views, runs; never somebody else's."""

from __future__ import annotations

from django.test import Client

from agentops.accounts.models import User
from tests import factories

PART = {"HX-Request": "true"}


def found(client: Client, typed: str) -> str:
    return client.get("/find/", {"q": typed}, headers=PART).content.decode()


def test_places_agents_views_and_runs_are_found(page: Client, ana: User) -> None:
    run = factories.running(ana)
    assert 'href="/runs/"' in found(page, "")
    assert 'href="/agents/echo/"' in found(page, "start echo")
    assert 'href="/runs/?view=stuck"' in found(page, "stuck")
    assert f"/runs/{run.public_id}/" in found(page, "november invoices")
    assert f"/runs/{run.public_id}/" in found(page, run.public_id[:12])
    assert 'href="/runs/?q=november"' in found(page, "november")
    assert "Nothing is called so" in found(page, "run_0000000000")


def test_enter_opens_the_first(page: Client, ana: User) -> None:
    run = factories.running(ana)
    answer = page.get("/find/", {"q": run.public_id, "go": "1"})
    assert answer["Location"] == f"/runs/{run.public_id}/"
    assert page.get("/find/", {"q": "overview", "go": "1"})["Location"] == "/"


def test_strangers_runs_are_not_found(page: Client, stranger: User) -> None:
    run = factories.running(stranger)
    assert run.public_id not in found(page, "november")
    assert run.public_id not in found(page, run.public_id)


def test_it_is_a_page_of_its_own_too(page: Client) -> None:
    assert "<h1>Find</h1>" in page.get("/find/?q=runs").content.decode()
    assert Client().get("/find/").status_code == 302
    assert page.post("/find/").status_code == 405
