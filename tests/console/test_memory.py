"""The Memory pages: read, search, change, delete, erase."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from agentops.sdk.memory import note
from runs.engine import memories
from runs.engine.memories import Namespace, Writer
from runs.models import Memory, MemoryKind
from runs.views.memory import editable
from tests import factories, people


def keep(key: str, value: object, run: str = "", **space: Any) -> Memory:
    written = memories.put(
        Namespace(**space),
        note(key, value, None, None),
        Writer("clerk", run, "memory.put#1"),
    )
    return Memory.objects.get(public_id=written.public_id)


@pytest.fixture
def mine(ana: User) -> Memory:
    run = factories.succeeded(ana)
    return keep("colour", "turquoise", run.public_id, kind=MemoryKind.PERSON, owner=ana.pk)


def text(answer: object) -> str:
    assert isinstance(answer, HttpResponse)
    return answer.content.decode()


def test_the_list_shows_what_is_mine_and_the_run_that_wrote_it(page: Client, mine: Memory) -> None:
    said = text(page.get("/memory/"))
    assert "turquoise" in said
    assert f"/runs/{mine.run}/" in said
    assert f"/memory/{mine.public_id}/" in said


def test_nothing_nothing_found_and_nothing_older_are_told_apart(page: Client, ana: User) -> None:
    assert "Nothing is remembered yet" in text(page.get("/memory/"))
    keep("colour", "turquoise", kind=MemoryKind.PERSON, owner=ana.pk)
    assert "Nothing remembered matches" in text(page.get("/memory/", {"q": "purple"}))
    assert "No older entries" in text(page.get("/memory/", {"before": "0"}))
    assert "turquoise" in text(page.get("/memory/", {"q": "TURQUOISE", "scope": "person"}))
    for odd in ("-1", "9" * 30, "x"):
        assert page.get("/memory/", {"before": odd, "scope": odd}).status_code == 200


def test_a_long_list_has_pages(page: Client, ana: User) -> None:
    for n in range(60):
        keep(f"key-{n}", n, kind=MemoryKind.PERSON, owner=ana.pk)
    first = text(page.get("/memory/"))
    older = Memory.objects.get(key="key-10").pk
    assert f"before={older}" in first
    assert "key-9<" in text(page.get("/memory/", {"before": older}))


def test_it_is_changed_as_it_was_read(page: Client, mine: Memory) -> None:
    at = f"/memory/{mine.public_id}/"
    assert "Where it comes from" in text(page.get(at))
    saved = page.post(
        at, {"revision": "1", "value": '{"name": "violet"}', "text": "", "expires": ""}
    )
    assert (saved.status_code, saved["Location"]) == (302, at)
    mine.refresh_from_db()
    assert (mine.revision, mine.text, mine.written_by, mine.run) == (2, "name violet", "ana", "")
    stale = page.post(at, {"revision": "1", "value": "red", "text": "", "expires": ""})
    assert stale.status_code == 409
    assert "violet" in text(stale)
    assert ">red</textarea>" in text(stale)
    assert 'name="revision" value="2"' in text(stale)


@pytest.mark.parametrize("expires", ["yesterday", "2020-01-01T10:00", "2026-13-45T00:00"])
def test_a_moment_that_cannot_be_is_refused_and_what_was_typed_stays(
    page: Client, mine: Memory, expires: str
) -> None:
    said = {"revision": "1", "value": "<b>typed</b>", "text": "", "expires": expires}
    answer = page.post(f"/memory/{mine.public_id}/", said)
    assert answer.status_code == 422
    assert "&lt;b&gt;typed&lt;/b&gt;" in text(answer)
    mine.refresh_from_db()
    assert mine.revision == 1


@pytest.mark.parametrize(
    "value", ["turquoise", "12", "null", "", " x ", "a\r\nb", "<b>", '"q"', 12, None,
              [1, {"a": "ä"}], "a\0b\ud800", 1.5, True],
)  # fmt: skip
def test_saving_it_unchanged_changes_nothing(page: Client, ana: User, value: object) -> None:
    row = keep("k", value, kind=MemoryKind.PERSON, owner=ana.pk)
    at = f"/memory/{row.public_id}/"
    assert page.get(at).status_code == 200
    page.post(at, {"revision": "1", "value": editable(value), "text": "", "expires": ""})
    row.refresh_from_db()
    assert row.revision == 2
    assert memories.remembered(row).value == value


def test_it_is_deleted_and_all_is_erased_when_the_name_is_typed(page: Client, ana: User) -> None:
    rows = [keep(f"k{n}", n, kind=MemoryKind.PERSON, owner=ana.pk) for n in range(3)]
    assert page.get(f"/memory/{rows[0].public_id}/delete/").status_code == 405
    assert page.post(f"/memory/{rows[0].public_id}/delete/").status_code == 302
    assert Memory.objects.count() == 2
    assert "2 entries" in text(page.get("/memory/erase/"))
    assert page.post("/memory/erase/", {"person": "ana", "typed": "bo"}).status_code == 422
    assert Memory.objects.count() == 2
    assert "2 entries deleted" in text(
        page.post("/memory/erase/", {"person": "ana", "typed": "ana"})
    )
    assert not Memory.objects.exists()


def test_strangers_find_nothing(stranger: User, mine: Memory) -> None:
    client = Client()
    client.force_login(stranger)
    assert "turquoise" not in text(client.get("/memory/"))
    for at in ("", "delete/"):
        assert client.post(f"/memory/{mine.public_id}/{at}", {"revision": "1"}).status_code == 404
    assert client.get("/memory/erase/", {"person": "ana"}).status_code == 404
    assert client.post("/memory/erase/", {"person": "ana", "typed": "ana"}).status_code == 404
    assert Memory.objects.get().revision == 1


def test_a_reader_of_a_team_sees_it_without_the_form(db: None) -> None:
    team = Team.objects.create(name="finance")
    row = keep("k", "shared", kind=MemoryKind.TEAM, team=team.pk)
    client = Client()
    client.force_login(people.person("rita", Role.VIEWER, team=team))
    said = text(client.get(f"/memory/{row.public_id}/"))
    assert "shared" in said
    assert "needs the role" in said
    assert "<textarea" not in said
    assert client.post(f"/memory/{row.public_id}/", {"revision": "1"}).status_code == 403


def test_an_administrator_erases_somebody(operator: User, mine: Memory) -> None:
    client = Client()
    client.force_login(operator)
    member = text(client.get(f"/settings/members/{mine.owner_id}/"))
    assert "/memory/erase/?person=ana" in member
    assert "Type ana" in text(client.get("/memory/erase/", {"person": "ana"}))
    client.post("/memory/erase/", {"person": "ana", "typed": "ana"})
    assert not Memory.objects.exists()
