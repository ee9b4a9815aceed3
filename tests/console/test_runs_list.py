"""The list of runs as a tool: order, columns, completion, peeking, views people keep."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from runs import listing
from runs.columns import COLUMNS, SORTS
from runs.models import Run, SavedView
from tests import factories, people


def shown(client: Client, path: str) -> list[str]:
    return re.findall(r'<tr id="(run_\w+)"', client.get(path).content.decode())


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# -- order and columns ---------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["steps", "-steps", "retries", "-progress", "started"])
def test_pages_of_any_order_follow_each_other_without_gap_or_repeat(
    page: Client, ana: User, sort: str
) -> None:
    for number in range(120):
        factories.run(ana, steps=number % 7, retries=number % 3)
    first = shown(page, f"/runs/?sort={sort}")
    second = shown(page, f"/runs/?sort={sort}&before={first[-1]}")
    third = shown(page, f"/runs/?sort={sort}&before={second[-1]}")
    field = SORTS[sort]
    ordered = Run.objects.order_by(field, "-id" if sort.startswith("-") else "id")
    assert first + second + third == list(ordered.values_list("public_id", flat=True))
    assert shown(page, f"/runs/?sort={sort}&after={third[0]}") == second


def test_a_head_turns_the_order_round_and_says_which_it_is(page: Client, ana: User) -> None:
    factories.run(ana)
    body = page.get("/runs/").content.decode()
    assert re.search(r'c-started" aria-sort="descending"><a href="\?sort=started">', body)
    body = page.get("/runs/?sort=-steps").content.decode()
    assert re.search(r'c-steps num" aria-sort="descending"><a href="\?sort=steps">', body)
    assert body.count("aria-sort") == 1
    assert "cannot be sorted by “colour”" in page.get("/runs/?sort=colour").content.decode()


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_every_column_has_a_head_and_a_cell(page: Client, ana: User, name: str) -> None:
    factories.failed(ana)
    body = page.get(f"/runs/?cols={name}").content.decode()
    row = body[body.index('<tr id="run_') :].partition("</tr>")[0]
    wanted = 2 if name == "title" else 3
    assert row.count("<td") == wanted == body.partition("</thead>")[0].count('<th scope="col"')


def test_columns_are_moved_left_out_and_added_by_links(page: Client, ana: User) -> None:
    factories.run(ana)
    body = page.get("/runs/?status=queued&cols=agent,title,id&edit=columns").content.decode()
    links = {unescape(said): unescape(href) for href, said in re.findall(
        r'href="\?([^"]*)" aria-label="([^"]+)"', body)}  # fmt: skip
    assert "cols=title%2Cagent%2Cid" in links["Move Agent right"]
    assert "cols=agent%2Ctitle&" in links["Leave out Id"]
    assert "Leave out Title" not in links
    assert all("status=queued" in href for name, href in links.items() if name.startswith("Move"))
    assert "Move" not in page.get("/runs/?cols=agent").content.decode()


def test_a_page_tells_how_many_there_are(
    page: Client, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(60):
        factories.run(ana)
    assert "50 of 60 runs" in page.get("/runs/").content.decode()
    monkeypatch.setattr(listing, "MOST_COUNTED", 20)
    monkeypatch.setattr("runs.figures._ABOUT_ABOVE", 20)
    assert re.search(r"50 of about \S+ runs", page.get("/runs/").content.decode())


def test_somebody_elses_run_is_no_place_to_go_on_from(
    page: Client, ana: User, stranger: User
) -> None:
    factories.run(ana)
    theirs = factories.run(stranger)
    told = page.get(f"/runs/?before={theirs.public_id}").content.decode()
    made_up = page.get("/runs/?before=run_zzzzzzzzzzzzzzzzzzzz").content.decode()
    assert "no longer kept" in told
    assert "no longer kept" in made_up


def test_a_length_of_time_that_makes_no_sense_is_said(page: Client) -> None:
    assert "Write since:30m" in page.get("/runs/?since=yesterday").content.decode()
    assert page.get("/runs/?since=24h&ended=7d").status_code == 200


def test_what_callers_wrote_on_runs_finds_them(page: Client, ana: User) -> None:
    run = factories.run(ana, tags=["urgent"], metadata={"customer": "acme"}, external_id="o-1")
    factories.run(ana)
    for query in ("tag=urgent", "metadata=customer:acme", "external_id=o-1"):
        assert shown(page, f"/runs/?{query}") == [run.public_id], query
    assert "tag:urgent" in page.get("/runs/complete/?q=tag:").content.decode()
    assert "metadata:customer:acme" in page.get("/runs/complete/?q=metadata:").content.decode()
    assert page.get("/runs/?q=metadata:customer:acme")["Location"].endswith("customer%3Aacme")


# -- completion and peeking ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("sta", "status:"),
        ("status:fa", "status:failed"),
        ("late status:fa", "late status:failed"),
        ("agent:inv", "agent:invoice-clerk"),
        ("owner:a", "owner:ana"),
        ("ended:2", "ended:24h"),
    ],
)
def test_the_filter_is_completed(page: Client, ana: User, typed: str, found: str) -> None:
    factories.run(ana)
    told = page.get("/runs/complete/", {"q": typed}).content.decode()
    assert f'<option value="{found}">' in told


def test_completion_tells_nothing_of_strangers(page: Client, ana: User, stranger: User) -> None:
    factories.run(stranger, agent="secret-agent")
    assert "sven" not in page.get("/runs/complete/?q=owner:").content.decode()
    assert "secret" not in page.get("/runs/complete/?q=agent:").content.decode()


def test_a_peek_shows_the_most_important(page: Client, ana: User, stranger: User) -> None:
    told = page.get(f"/runs/{factories.failed(ana).public_id}/peek/").content.decode()
    assert "A step failed on every attempt it had." in told
    assert "Last events" in told
    told = page.get(f"/runs/{factories.uncertain(ana).public_id}/peek/").content.decode()
    assert "Not moving because:" in told
    assert page.get(f"/runs/{factories.run(stranger).public_id}/peek/").status_code == 404
    assert page.get("/runs/?panel=none").content == b""


# -- views ---------------------------------------------------------------------------------------


def keep(client: Client, name: str, query: str, **more: str) -> None:
    assert client.post("/runs/views/", {"name": name, "query": query, **more}).status_code == 302


def tab(client: Client, name: str) -> str | None:
    body = client.get("/runs/").content.decode()
    found = re.search(rf'<a href="([^"]+)"[^>]*>{name}<', body.partition("</nav><a")[0])
    return unescape(found[1]) if found else None


def test_a_kept_view_is_a_tab_with_filter_order_and_columns(page: Client, ana: User) -> None:
    keep(page, "Late invoices", "q=invoice&status=failed&cols=title,id&sort=-steps&nonsense=1")
    address = tab(page, "Late invoices")
    assert address == "/runs/?status=failed&q=invoice&sort=-steps&cols=title%2Cid"
    body = page.get(address).content.decode()
    assert 'aria-current="page"' in body
    assert "Remove view Late invoices" in body
    keep(page, "Late invoices", "status=queued")
    assert tab(page, "Late invoices") == "/runs/?status=queued"
    assert SavedView.objects.count() == 1


def test_keeping_and_removing_can_be_taken_back(page: Client, ana: User) -> None:
    keep(page, "Mine", "status=failed", shared="on")
    body = page.get("/runs/").content.decode()
    (undo,) = re.findall(r'action="([^"]+)"><input[^>]+><button[^>]+data-keys="u"', body)
    page.post(unescape(undo))
    assert not SavedView.objects.exists()
    body = page.get("/runs/").content.decode()
    (undo,) = re.findall(r'action="([^"]+)"><input[^>]+><button[^>]+data-keys="u"', body)
    page.post(unescape(undo))
    view = SavedView.objects.get()
    assert (view.name, view.query, view.is_shared) == ("Mine", "status=failed", True)


def test_shared_views_reach_team_mates_and_nobody_else(page: Client, stranger: User) -> None:
    team = Team.objects.create(name="Finance")
    cleo = signed_in(people.person("cleo", Role.VIEWER, team=team))
    dave = signed_in(people.person("dave", Role.VIEWER, team=team))
    keep(cleo, "Ours", "status=failed", shared="on")
    keep(cleo, "My own", "status=queued")
    assert (tab(dave, "Ours"), tab(dave, "My own")) == ("/runs/?status=failed", None)
    assert tab(page, "Ours") is None
    ours = SavedView.objects.get(name="Ours")
    assert dave.post(f"/runs/views/{ours.pk}/remove/").status_code == 403
    assert page.post(f"/runs/views/{ours.pk}/remove/").status_code == 404
    assert cleo.get(f"/runs/views/{ours.pk}/remove/").status_code == 405
    assert cleo.post(f"/runs/views/{ours.pk}/remove/").status_code == 302
    assert cleo.post(f"/runs/views/{ours.pk}/remove/").status_code == 404


@pytest.mark.parametrize("name", ["", "   ", "x" * 41])
def test_a_view_without_a_proper_name_is_refused_in_words(page: Client, name: str) -> None:
    page.post("/runs/views/", {"name": name, "query": "status=failed"})
    assert "1 to 40 characters" in page.get("/runs/").content.decode()
    assert not SavedView.objects.exists()


def test_the_list_with_kept_views_stays_in_its_budget(
    page: Client, ana: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    factories.every_status(ana)
    for number in range(60):
        factories.run(ana)
        if number < 9:
            keep(page, f"View {number}", f"q=word{number}")
    page.get("/runs/")
    for path in ("/runs/", "/runs/?sort=-steps", "/runs/?status=queued&cols=title,parent,team"):
        with django_assert_max_num_queries(8):
            page.get(path)
