"""Following a conversation over server-sent events, across the borders of its runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import AsyncClient

from agentops.accounts.models import User
from runs import conversations, services, turns
from runs.api import conversation_stream
from runs.api.conversation_stream import Place
from runs.live.hub import hub
from runs.models import Conversation, Run
from tests import people
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db(transaction=True)
Block = dict[str, Any]


@pytest.fixture(autouse=True)
async def _hub_ends() -> AsyncGenerator[None, None]:
    yield
    await hub().close()
    await sync_to_async(_let_go)()


def _let_go() -> None:
    connection.close()


@pytest.fixture
def talk(owner: User) -> Conversation:
    return conversations.begin(agent="anything", owner=owner, started_by="olga").conversation


def say(talk: Conversation, *texts: str) -> None:
    for text in texts:
        conversations.post_message(conversation=talk, content=text, sender="olga")


def answer(talk: Conversation, worker: FakeWorker, output: object = None) -> None:
    """The live run does one step and ends; the next message has its turn."""
    run = worker.claims(Run.objects.get(conversation=talk, finished_at=None))
    worker.appends(run, "look#1")
    worker.finishes(run, output)
    worker.appends(run, "@run.succeeded", kind="run.succeeded")
    turns.advance(conversation_id=talk.pk)


def read(piece: bytes) -> list[Block]:
    blocks = []
    for text in piece.decode().split("\n\n")[:-1]:
        told = dict(line.split(": ", 1) for line in text.split("\n"))
        blocks.append({**told, "data": json.loads(told["data"])} if "data" in told else told)
    return blocks


class App:
    """An app that follows a conversation."""

    def __init__(self, user: User, talk: Conversation) -> None:
        token = people.token(user)
        self.headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        self.path = f"/api/v1/conversations/{talk.public_id}/stream"

    async def opens(self, query: str = "?until=idle", **headers: str) -> Any:
        known = {name.replace("_", "-"): value for name, value in headers.items()}
        return await AsyncClient().get(self.path + query, headers={**self.headers, **known})

    async def follows(self, **options: str) -> list[Block]:
        answer = await self.opens(**options)
        assert isinstance(answer, StreamingHttpResponse)
        assert answer.is_async
        async with asyncio.timeout(20):
            return [block async for piece in answer.__aiter__() for block in read(bytes(piece))]


@pytest.fixture
def app(owner: User, talk: Conversation) -> App:
    return App(owner, talk)


def ids(blocks: list[Block]) -> list[str | None]:
    return [block.get("id") for block in blocks]


async def test_turns_follow_each_other_in_one_stream(
    app: App, talk: Conversation, worker: FakeWorker
) -> None:
    await sync_to_async(say)(talk, "one", "two")
    await sync_to_async(answer)(talk, worker, "1")
    await sync_to_async(answer)(talk, worker, "2")
    blocks = await app.follows()
    assert ids(blocks) == [
        None, "1.1", "1.2", "1.3", "2.0", None, "2.1", "2.2", "2.3", "3.0", None,
    ]  # fmt: skip
    assert [block["event"] for block in blocks][:5] == [
        "turn.started", "run.created", "step.completed", "run.succeeded", "turn.ended",
    ]  # fmt: skip
    assert blocks[0]["data"]["content"] == "one"
    assert (blocks[4]["data"]["output"], blocks[4]["data"]["status"]) == ("1", "succeeded")
    assert blocks[6]["data"]["turn"] == 2
    assert blocks[6]["data"]["run"] == blocks[5]["data"]["run"]
    assert (blocks[-1]["event"], blocks[-1]["data"]) == ("stream.end", {"status": "idle"})


@pytest.mark.parametrize("cut", range(11))
async def test_who_was_cut_off_anywhere_sees_every_number_once(
    app: App, talk: Conversation, worker: FakeWorker, cut: int
) -> None:
    await sync_to_async(say)(talk, "one", "two")
    await sync_to_async(answer)(talk, worker)
    await sync_to_async(answer)(talk, worker)
    before = (await app.follows())[:cut]
    last = next((block["id"] for block in reversed(before) if "id" in block), None)
    after = await app.follows(**({"last_event_id": last} if last else {}))
    numbered = [number for number in ids(before) + ids(after) if number]
    assert numbered == ["1.1", "1.2", "1.3", "2.0", "2.1", "2.2", "2.3", "3.0"]


async def test_the_next_turn_arrives_while_somebody_listens(
    talk: Conversation, worker: FakeWorker
) -> None:
    pieces = conversation_stream.stream(talk, Place(), heartbeat_seconds=5)
    async with contextlib.aclosing(pieces), asyncio.timeout(15):

        async def until(number: str) -> list[Block]:
            seen: list[Block] = []
            async for piece in pieces:
                seen += read(piece)
                if number in ids(seen):
                    break
            return seen

        waiting = asyncio.create_task(until("1.1"))
        await asyncio.sleep(0.1)
        await sync_to_async(say)(talk, "one", "two")
        assert [block["event"] for block in await waiting] == ["turn.started", "run.created"]
        await sync_to_async(answer)(talk, worker, "1")
        assert ids(await until("2.1")) == ["1.2", "1.3", "2.0", None, "2.1"]


def fail(talk: Conversation, worker: FakeWorker) -> Run:
    return worker.fails(worker.claims(Run.objects.get(conversation=talk, finished_at=None)))


async def test_a_turn_that_failed_and_goes_on_is_told_on(
    app: App, talk: Conversation, worker: FakeWorker
) -> None:
    await sync_to_async(say)(talk, "one")
    run = await sync_to_async(fail)(talk, worker)
    before = await app.follows()
    assert ids(before) == [None, "1.1", "1.2", "2.0", None]

    await sync_to_async(services.retry_failure)(run=run, actor="olga")
    coming = asyncio.create_task(app.follows(last_event_id="2.0"))
    await asyncio.sleep(0.2)
    await sync_to_async(fail)(talk, worker)
    after = await coming
    assert [block["event"] for block in after] == [
        "run.reopened", "run.failed", "turn.ended", "stream.end",
    ]  # fmt: skip
    assert ids(after) == ["1.3", "1.4", "2.0", None]


async def test_who_asks_for_what_is_still_to_come_gets_what_comes_first(
    app: App, talk: Conversation, worker: FakeWorker
) -> None:
    await sync_to_async(say)(talk, "one")
    coming = asyncio.create_task(app.follows(last_event_id="1.99999"))
    await asyncio.sleep(0.2)
    await sync_to_async(fail)(talk, worker)
    assert ids(await coming) == ["1.2", "2.0", None]


async def test_who_stays_hears_of_a_turn_that_goes_on(
    talk: Conversation, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_stream, "LOOK_SECONDS", 0.1)
    await sync_to_async(say)(talk, "one")
    run = await sync_to_async(fail)(talk, worker)
    pieces = conversation_stream.stream(talk, Place())
    async with contextlib.aclosing(pieces), asyncio.timeout(15):
        while "2.0" not in ids(read(await anext(pieces))):
            """What came before the end of the turn."""
        await sync_to_async(services.retry_failure)(run=run, actor="olga")
        await sync_to_async(fail)(talk, worker)
        assert ids(read(await anext(pieces))) == ["1.3", "1.4"]


async def test_a_turn_without_a_bell_is_found(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_stream, "LOOK_SECONDS", 0.1)
    pieces = conversation_stream.stream(talk, Place())
    async with contextlib.aclosing(pieces), asyncio.timeout(15):
        coming = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.1)
        monkeypatch.setattr("runs.bell.stir", lambda **_: None)
        await sync_to_async(say)(talk, "one")
        assert read(await coming)[0]["event"] == "turn.started"


async def test_silence_is_filled_with_comments(talk: Conversation) -> None:
    pieces = conversation_stream.stream(talk, Place(), heartbeat_seconds=0.1)
    async with contextlib.aclosing(pieces):
        assert await anext(pieces) == b": nothing new\n\n"
        assert await anext(pieces) == b": nothing new\n\n"


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=7", {}, "after"),
        ("?after=0.1", {}, "after"),
        ("?until=never", {}, "until"),
        ("", {"last_event_id": "run_1"}, "Last-Event-ID"),
    ],
)
async def test_a_wrong_place_is_named(
    app: App, query: str, headers: dict[str, str], field: str
) -> None:
    answer = await app.opens(query, **headers)
    assert answer.status_code == 422
    assert f"/{field}" in answer.json()["meta"]["fields"]


def test_an_id_is_two_plain_numbers() -> None:
    assert Place.read("2.17") == Place(2, 17)
    for text in ("", "2", "2.", "0.1", "१.१", "1.1.1", "9999999999.1", "-1.2"):
        assert Place.read(text) is None


async def test_a_stranger_follows_nothing(talk: Conversation, stranger: User) -> None:
    sven = await sync_to_async(App)(stranger, talk)
    assert (await sven.opens()).status_code == 404
