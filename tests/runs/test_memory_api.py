"""Memory over REST: whose it is, what is stale, what is erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role, Scope
from agentops.sdk.memory import note
from runs.engine import memories
from runs.engine.memories import Namespace, Writer
from runs.models import Memory, MemoryKind
from tests import factories, people

pytestmark = pytest.mark.django_db
AT = "/api/v1/memories"


def app(user: User, *scopes: Scope) -> Client:
    return Client(headers={"authorization": f"Bearer {people.token(user, *scopes)}"})


def entry(**space: Any) -> Memory:
    written = memories.put(
        Namespace(**space), note("colour", "green", None, None), Writer("clerk", "run_x", "put#1")
    )
    return Memory.objects.get(public_id=written.public_id)


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def ana(team: Team) -> User:
    return people.person("ana", Role.OPERATOR, team=team)


@pytest.fixture
def mine(ana: User) -> Memory:
    return entry(kind=MemoryKind.PERSON, owner=ana.pk)


def test_an_entry_is_written_read_found_changed_and_deleted(ana: User) -> None:
    client = app(ana)
    made = client.post(AT, {"key": "k", "value": {"a": [1]}}, "application/json")
    assert (made.status_code, made.json()["revision"], made.json()["person"]) == (201, 1, "ana")
    at = f"{AT}/{made.json()['id']}"
    read = client.get(at)
    assert (read.json()["value"], read["ETag"]) == ({"a": [1]}, '"1"')
    assert [e["key"] for e in client.get(f"{AT}/search?q=a").json()["items"]] == ["k"]
    changed = client.put(at, {"value": 2}, "application/json", headers={"If-Match": '"1"'})
    assert (changed.json()["value"], changed.json()["revision"]) == (2, 2)
    assert changed.json()["written_by"] == "ana"
    assert client.delete(at, headers={"If-Match": "1"}).json()["code"] == "memory_changed"
    assert client.delete(at, headers={"If-Match": "2"}).status_code == 204
    assert client.get(at).status_code == 404


def test_a_stale_write_is_refused_and_nothing_is_lost(ana: User, mine: Memory) -> None:
    at, client = f"{AT}/{mine.public_id}", app(ana)
    first = client.put(at, {"value": "blue", "revision": 1}, "application/json")
    second = client.put(at, {"value": "red", "revision": 1}, "application/json")
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["code"] == "memory_changed"
    assert client.get(at).json()["value"] == "blue"


@pytest.mark.parametrize(
    ("body", "headers"),
    [({"value": 1}, {}), ({"value": 1}, {"If-Match": "latest"}), ({"revision": 1}, {}),
     ({"value": 1, "revision": 1, "key": "other"}, {}),
     ({"value": 1, "revision": 1, "expires_at": "2020-01-01T00:00:00Z"}, {})],
)  # fmt: skip
def test_a_write_that_says_too_little_or_too_much_is_refused(
    ana: User, mine: Memory, body: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = app(ana).put(f"{AT}/{mine.public_id}", body, "application/json", headers=headers)
    assert answer.status_code == 422
    mine.refresh_from_db()
    assert mine.revision == 1


@pytest.mark.parametrize(
    "body",
    [{"key": "k"}, {"key": "", "value": 1}, {"key": "x" * 201, "value": 1},
     {"key": "k", "value": 1, "scope": "team"},
     {"key": "k", "value": 1, "team": "finance"}, {"key": "k", "value": 1, "owner": "bo"}],
)  # fmt: skip
def test_a_new_entry_that_cannot_be_is_refused_with_its_field(
    ana: User, body: dict[str, Any]
) -> None:
    answer = app(ana).post(AT, body, "application/json")
    assert answer.status_code == 422
    assert answer.json()["message"]
    assert not Memory.objects.exists()


def test_a_value_that_is_too_large_and_a_key_that_is_there_are_refused(ana: User) -> None:
    client = app(ana)
    large = client.post(AT, {"key": "k", "value": "x" * 300_000}, "application/json")
    assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")
    for status in (201, 409):
        answer = client.post(AT, {"key": "k", "value": 1}, "application/json")
        assert answer.status_code == status


def test_a_write_is_repeated_without_harm(ana: User) -> None:
    client, key = app(ana), {"Idempotency-Key": "a"}
    for _ in range(2):
        answer = client.post(AT, {"key": "k", "value": 1}, "application/json", headers=key)
        assert answer.status_code == 201


def test_strangers_see_nothing_and_change_nothing(mine: Memory, ana: User) -> None:
    stranger = people.person("sven", *set(Role) - {Role.ADMINISTRATOR})
    client, at = app(stranger), f"{AT}/{mine.public_id}"
    assert client.get(AT).json()["items"] == []
    assert client.get(f"{AT}/search?q=green").json()["items"] == []
    assert client.get(at).status_code == 404
    assert client.put(at, {"value": 1, "revision": 1}, "application/json").status_code == 404
    assert client.delete(at).status_code == 404
    erased = client.post(f"{AT}/erase", {"person": "ana"}, "application/json")
    nobody = client.post(f"{AT}/erase", {"person": "nobody"}, "application/json")
    assert (erased.status_code, nobody.status_code) == (404, 404)
    assert Memory.objects.get().revision == 1


def test_a_reader_of_a_team_reads_and_an_operator_changes(team: Team, ana: User) -> None:
    shared = entry(kind=MemoryKind.TEAM, team=team.pk)
    at, body = f"{AT}/{shared.public_id}", {"value": 1, "revision": 1}
    reader = app(people.person("rita", Role.VIEWER, team=team))
    assert reader.get(at).status_code == 200
    assert reader.put(at, body, "application/json").status_code == 403
    new = {"key": "n", "value": 1, "scope": "team", "team": "finance"}
    assert reader.post(AT, new, "application/json").status_code == 403
    assert app(ana).put(at, body, "application/json").status_code == 200
    assert app(ana).post(AT, new, "application/json").status_code == 201


def test_the_memory_of_an_agent_is_for_administrators(ana: User) -> None:
    own = entry(kind=MemoryKind.AGENT, agent="echo")
    at = f"{AT}/{own.public_id}"
    assert app(ana).get(at).status_code == 404
    opal, auditor = app(people.administrator("opal")), people.person("otto", Role.AUDITOR)
    assert opal.get(at).status_code == 200
    assert app(auditor).get(at).status_code == 404
    new = {"key": "n", "value": 1, "scope": "agent", "agent": "echo"}
    assert app(ana).post(AT, new, "application/json").status_code == 403
    session = Client()
    session.force_login(people.administrator("olga"))
    assert session.post(AT, new, "application/json").status_code in {201, 403}


def test_a_token_does_what_its_scopes_say(ana: User, mine: Memory) -> None:
    reads, at = app(ana, Scope.RUNS_READ), f"{AT}/{mine.public_id}"
    assert reads.get(at).status_code == 200
    assert reads.delete(at).status_code == 403
    assert reads.post(AT, {"key": "n", "value": 1}, "application/json").status_code == 403
    assert reads.post(f"{AT}/erase", {"person": "ana"}, "application/json").status_code == 403


def test_what_is_over_is_not_there(ana: User, mine: Memory) -> None:
    Memory.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    client = app(ana)
    assert client.get(f"{AT}/{mine.public_id}").status_code == 404
    assert client.get(AT).json()["items"] == []
    assert client.get(f"{AT}/search?q=green").json()["items"] == []
    assert client.post(AT, {"key": "colour", "value": 1}, "application/json").status_code == 201


def test_one_erases_ones_own_and_administrators_anybodys(ana: User, mine: Memory) -> None:
    bo = people.person("bo")
    entry(kind=MemoryKind.PERSON, owner=bo.pk)
    shared = entry(kind=MemoryKind.TEAM, team=ana.teams.get().pk)
    factories.run(ana)
    own = app(ana).post(f"{AT}/erase", {"person": "ana"}, "application/json")
    assert own.json() == {"entries": 1, "runs": 1, "conversations": 0}
    session = Client()
    session.force_login(people.administrator("opal"))
    other = session.post(f"{AT}/erase", {"person": "bo"}, "application/json")
    assert other.json()["entries"] == 1
    assert list(Memory.objects.all()) == [shared]


def test_the_command_erases_and_says_what_is_kept(
    ana: User, mine: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    live = factories.run(ana)
    call_command("erase_person", "ana")
    said = capsys.readouterr().out
    assert "erased: 1 entries" in said
    assert live.public_id in said
    assert not Memory.objects.exists()
    with pytest.raises(CommandError, match="no person called zoe"):
        call_command("erase_person", "zoe")


def test_an_account_that_goes_takes_its_memory_along(ana: User, mine: Memory) -> None:
    ana.delete()
    assert not Memory.objects.exists()
