"""Each screen when there is nothing, when it breaks, and for those who may not or not any more."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest
from django.db import OperationalError
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from tests import factories, people

SCREENS = ["/", "/runs/", "/bulk/", "/agents/", "/agents/echo/", "/system/", "/find/?q=echo",
           "/settings/keys/", "/runs/act/?do=pause"]  # fmt: skip
# What each screen reads first.
READS = {
    "/": "runs.attention.live_cards",
    "/runs/": "runs.listing.page",
    "/bulk/": "runs.bulk.visible",
    "/agents/": "runs.fleet.agent_days",
    "/agents/echo/": "runs.fleet.took",
    "/system/": "runs.housekeeping.queues",
    "/find/?q=echo": "runs.listing.recent_with",
}
EMPTY = {
    "/": "First steps until a first run has succeeded",
    "/runs/": "No runs yet A run is one durable execution",
    "/bulk/": "No bulk action yet",
    "/agents/echo/": "It has not run yet.",
    "/system/": "No worker yet",
    "/find/?q=zzzz": "All runs with “zzzz”",
    "/runs/act/?do=pause": "No run is selected",
}


def words(html: bytes) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html.decode())).split())


@pytest.mark.parametrize(("path", "said"), EMPTY.items())
def test_nothing_yet_says_what_comes_here(page: Client, path: str, said: str) -> None:
    assert said in words(page.get(path).content)


def test_without_agents_it_says_how_to_get_one(page: Client) -> None:
    catalog.configure(())
    told = words(page.get("/agents/").content)
    assert "No agents yet" in told
    assert "AGENTOPS_AGENTS=my_project.agents bin/up" in told
    assert "No agent is known." in words(page.get("/").content)


@pytest.mark.parametrize(("path", "reads"), READS.items())
def test_a_screen_that_breaks_says_so_with_an_id_for_the_log(
    page: Client, monkeypatch: pytest.MonkeyPatch, path: str, reads: str
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(reads, lost)
    page.raise_request_exception = False
    answer = page.get(path)
    assert answer.status_code == 500
    told = words(answer.content)
    assert "Something broke on our side" in told
    assert re.search(r"the error id [0-9a-f]{12}", told)
    assert "the connection is lost" not in told


@pytest.mark.django_db
@pytest.mark.parametrize("path", SCREENS)
def test_who_is_signed_out_signs_in_and_comes_back(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={quote(path)}")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://testserver/runs/?status=failed", "/runs/%3Fstatus%3Dfailed"),
        ("https://evil.example/runs/", "/"),
        ("//evil.example/", "/"),
        ("", "/"),
    ],
)
@pytest.mark.parametrize("path", ["/runs/act/", "/agents/echo/start/", "/runs/views/"])
def test_a_form_sent_after_signing_out_leads_back_to_its_page(
    path: str, referer: str, back: str
) -> None:
    answer = Client().post(path, headers={"Referer": referer})
    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={back}")


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*SCREENS, "/runs/complete/?q=s", "/runs/run_x/peek/"])
def test_a_region_of_who_is_signed_out_says_so_in_its_place(path: str) -> None:
    answer = Client().get(path, headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "You are signed out" in words(answer.content)
    assert b"Sign in again" in answer.content
    assert b"<html" not in answer.content


@pytest.fixture
def reader(ana: User) -> Client:
    """Somebody who may look at what ana's team does, and no more."""
    team = Team.objects.create(name="finance")
    factories.run(ana, title="November invoices", team=team)
    client = Client()
    client.force_login(people.person("vera", Role.VIEWER, team=team))
    return client


def test_a_reader_sees_rows_and_is_told_why_an_act_left_them_alone(reader: Client) -> None:
    shown = reader.get("/runs/").content.decode()
    assert "November invoices" in shown
    (run,) = re.findall(r'<tr id="(run_\w+)"', shown)
    assert "Pause 1 run?" in words(reader.get(f"/runs/act/?do=pause&id={run}").content)
    told = words(reader.post("/runs/act/", {"do": "pause", "id": run}).content)
    assert "Pause: 0 runs, 1 left as it was" in told
    assert "left alone" in told
    assert "operator" in told


def test_a_reader_has_overview_agents_and_no_system(reader: Client) -> None:
    assert "queued" in words(reader.get("/").content)
    assert reader.get("/agents/").status_code == 200
    assert reader.get("/system/").status_code == 404
    assert "System" not in words(reader.get("/find/?q=system").content).split("Find")[-1]


@pytest.mark.parametrize("path", ["/runs/run_zzzzzzzz/", "/bulk/bulk_zzz/", "/agents/nobody/"])
def test_what_is_not_theirs_is_not_there(page: Client, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404
    assert "There is nothing here that you may see" in words(answer.content)
