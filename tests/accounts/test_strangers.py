"""Nobody sees what is somebody else's: every address, every operation, every consumer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core.serializers import serialize
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from agentops.accounts.models import ApiToken, Delegation, Membership, User
from agentops.sdk import catalog
from approvals.models import Grant, Request
from runs import bell
from runs.live.hub import hub
from runs.models import Conversation, Memory, Run, SavedView
from tests.accounts.doors import doors
from tests.accounts.strangers import Household, found_in, household, security_key
from tests.console.socket import Socket, done
from tests.console.test_socket import signed_in

pytestmark = pytest.mark.django_db
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
# Names of things that belong to nobody.
_SHARED = {"name": "anything", "agent": "anything", "key": "pay#1"}
# Before the number of something in an address stands what it is.
_NUMBER = re.compile(r"/(\w+)/<int:\w+>")


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog().modules
    catalog.configure(("tests.runs.agents",))
    yield
    catalog.configure(before)


@pytest.fixture
def ana(db: None) -> Household:
    made = household("ana")
    security_key(made)
    return made


@pytest.fixture
def bo(ana: Household) -> Household:
    return household("bo")


def console() -> list[str]:
    """The addresses of pages, with their parameters."""
    return sorted({at for at, _ in doors() if not at.startswith("/api/v1/")})


def operations() -> list[tuple[str, str, list[str]]]:
    """Method, address and query parameters of every operation of the API."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    document: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return [
        (method, path, [p["name"] for p in said.get("parameters", ()) if p["in"] == "query"])
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]


def filled(address: str, of: Household) -> Iterator[tuple[str, str]]:
    """The address with each thing that is theirs, and which; as it is if it takes none."""
    address = address.replace("{", "<").replace("}", ">")
    names = [name for _, name in _PARAMETER.findall(address)]
    numbered = _NUMBER.search(address)
    number = of.numbers.get(numbered[1], "0") if numbered else "0"
    known = {**_SHARED, "number": number, "pk": number}
    choices = [[known[name]] if name in known else sorted(of.ids) for name in names]
    theirs = {*of.ids, *of.numbers.values()}
    for values in product(*choices):
        given = iter(values)
        at = _PARAMETER.sub(lambda _, given=given: next(given).replace("#", "%23"), address)  # type: ignore[misc]
        yield at, next((value for value in values if value in theirs), "")


def text_of(answer: HttpResponseBase) -> str:
    if answer.streaming:
        return ""
    return bytes(answer.content).decode() + str(answer.headers)  # type: ignore[attr-defined]


def betrayed(answer: HttpResponseBase, somebody: Household, asked: str) -> set[str]:
    """What an answer tells of somebody, other than what one had asked for."""
    said = text_of(answer)
    return {mark for mark in somebody.marks if mark in said and mark not in asked}


def rows(somebody: Household) -> str:
    """All that is somebody's, to see whether it changed."""
    me = somebody.person
    runs = Run.objects.filter(owner=me).order_by("pk")
    talks = Conversation.objects.filter(owner=me).order_by("pk")
    tokens = ApiToken.objects.filter(user=me).order_by("pk")
    known = list(tokens.values_list("pk", "expiry"))
    own = (UserSession, Authenticator, Membership)
    kept = [list(kind._default_manager.filter(user=me).order_by("pk").values()) for kind in own]
    kept.append(list(Delegation.objects.filter(person=me).values()))
    asked = Request.objects.filter(owner=me).order_by("pk")
    kept += [list(asked.values()), list(Grant.objects.filter(owner=me).values())]
    kept.append(list(asked.values("votes")))
    kept.append(list(SavedView.objects.filter(owner=me).values()))
    kept.append(list(Memory.objects.filter(text__contains=somebody.canary).order_by("pk").values()))
    kept.append(list(User.objects.filter(pk=me.pk).values("password", "is_active", "groups")))
    return f"{serialize('json', [*runs, *talks])} {known} {kept}"


@pytest.mark.parametrize("address", console())
def test_no_page_shows_or_does_anything_to_what_is_anas(
    ana: Household, bo: Household, address: str
) -> None:
    before = rows(ana)
    client = bo.session()
    for at, asked in filled(address, ana):
        for answer in (client.get(at), client.post(at)):
            assert not betrayed(answer, ana, asked), at
            assert not asked or answer.status_code in {404, 405}, (at, answer.status_code)
            client.force_login(bo.person)
    for mark in sorted(ana.marks)[:3]:
        for name in (
            "q",
            "team",
            "for",
            "owner",
            "ids",
            "view",
            "after",
            "before",
            "like",
            "agent",
        ):
            assert not betrayed(client.get(address, {name: mark}), ana, mark)
    assert rows(ana) == before


@pytest.mark.parametrize(("method", "address", "query"), operations())
def test_no_operation_shows_or_does_anything_to_what_is_anas(
    ana: Household, bo: Household, method: str, address: str, query: list[str]
) -> None:
    before = rows(ana)
    for client in (bo.app(), bo.session()):
        for at, asked in filled(address, ana):
            answer = client.generic(method.upper(), at, "{}", "application/json")
            assert not betrayed(answer, ana, asked), at
            refused = {401, 404} if asked else set(range(200, 500))
            assert answer.status_code in refused, (at, answer.status_code, text_of(answer))
            if not asked and method == "get":
                _searched(client, at, query, ana)
    assert rows(ana) == before


def _searched(client: Client, at: str, query: list[str], ana: Household) -> None:
    for name in query:
        for mark in (*sorted(ana.ids)[:3], ana.canary, ana.person.username, ana.team.name):
            assert not betrayed(client.get(at, {name: mark}), ana, mark), (at, name)


def test_what_is_left_to_find_is_found_by_its_owner(ana: Household, bo: Household) -> None:
    """The crawler is not blind: on the same walk ana meets all that is hers, nothing of bo's."""
    seen = ""
    for client in (ana.session(), ana.app()):
        for method, address, _ in operations():
            if method == "get" and not address.endswith("/stream"):
                for at, _ in filled(address, ana):
                    seen += text_of(client.get(at, {"limit": 200} if "{" not in address else {}))
    assert ana.canary in seen
    assert ana.ids <= found_in(seen)
    assert not bo.ids & found_in(seen)


@pytest.mark.parametrize(
    "body",
    [
        {"agent": "anything", "team": "TEAM"},
        {"agent": "anything", "parent": "ID"},
        {"agent": "anything", "conversation": "ID"},
        {"agent": "anything", "owner": "ana"},
        {"runs": ["ID"], "ids": ["ID"], "items": ["ID"], "action": "cancel"},
        {"action": "cancel", "ids": ["ID"]},
        {"action": "cancel", "filter": {"owner": "ana"}},
        {"runs": ["ID"], "may": "read"},
        {"conversations": ["ID"], "may": "respond"},
    ],
    ids=str,
)
def test_no_body_reaches_what_is_anas(
    ana: Household, bo: Household, body: dict[str, object]
) -> None:
    before = rows(ana)
    for identity in sorted(ana.ids)[::3]:
        said = str(body).replace("'", '"').replace("ID", identity).replace("TEAM", ana.team.name)
        for method, address, _ in operations():
            if method != "post" or "{" in address:
                continue
            answer = bo.app().post(address, said, "application/json")
            assert not betrayed(answer, ana, identity) - {ana.canary}
    assert not Run.objects.filter(owner=bo.person, team=ana.team).exists()
    assert not Run.objects.filter(owner=bo.person, parent__owner=ana.person).exists()
    assert rows(ana) == before


@pytest.mark.django_db(transaction=True)
async def test_no_consumer_tells_of_what_is_anas() -> None:
    ana = await done(lambda: household("ana"))
    bo = await done(lambda: household("bo"))
    session = await done(lambda: signed_in(bo.person))
    socket = await Socket.of(bo.person, session).opened()
    try:
        for identity in sorted(ana.ids):
            for kind in ("run", "conversation", "agent", "inbox"):
                await socket.say(do="watch", topic=f"{kind}:{identity}", after=0, view="journal")
                await socket.say(do="unwatch", topic=f"{kind}:{identity}")
        lists = ("runs", "conversations", "overview", "inbox", "bulk")
        for topic in lists:
            await socket.say(do="watch", topic=topic, query="", after=0, ids=sorted(ana.ids))
        await done(lambda: _stir(ana))
        heard = await _heard(socket)
    finally:
        await socket.disconnect()
        await hub().close()
    told = {mark for mark in ana.marks if mark in heard}
    # Who asks for a run by its id is told that there is none, by that id.
    assert ana.canary not in told
    assert not re.search(r'"html":"[^"]*(?:' + "|".join(map(re.escape, ana.ids)) + ")", heard)


def _stir(ana: Household) -> None:
    for run in Run.objects.filter(owner=ana.person):
        Run.objects.filter(pk=run.pk).update(status_at=timezone.now(), progress=ana.canary)
        bell.hint_now([[run.pk, 99]])
        piece = {"step": "draft#1", "attempt": 1, "epoch": 99, "at": 0, "text": ana.canary}
        bell._redis().publish(bell.ASIDE + run.public_id, json.dumps(piece))
    for talk in Conversation.objects.filter(owner=ana.person):
        Conversation.objects.filter(pk=talk.pk).update(active_at=timezone.now())
        bell._redis().publish(bell.ASIDE + talk.public_id, "")


async def _heard(socket: Socket) -> str:
    heard = ""
    while not await socket.is_silent(1.5):
        heard += json.dumps(await socket.frames())
    return heard
