"""Following a run over server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.test import AsyncClient

from agentops.accounts.models import User
from runs import services
from runs.api import events
from runs.engine import store
from runs.live.hub import hub
from runs.models import Journal, Run
from tests import people
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db(transaction=True)


class Watcher:
    """An app that follows a run."""

    def __init__(self, user: User, run: Run) -> None:
        token = people.token(user)
        self.headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        self.path = f"/api/v1/runs/{run.public_id}/stream"

    async def opens(self, after: str = "", **headers: str) -> Any:
        return await AsyncClient().get(f"{self.path}{after}", headers={**self.headers, **headers})

    async def follows(self, **options: Any) -> AsyncGenerator[dict[str, Any], None]:
        answer = await self.opens(**options)
        assert isinstance(answer, StreamingHttpResponse)
        assert answer.is_async
        async for chunk in answer.__aiter__():
            for block in bytes(chunk).decode().split("\n\n")[:-1]:
                yield dict(line.split(": ", 1) for line in block.split("\n"))


def start(owner: User) -> Run:
    return services.start_run(agent="anything", input={}, owner=owner, started_by="x").run


@pytest.fixture
def run(owner: User) -> Run:
    return start(owner)


@pytest.fixture(autouse=True)
async def _hub_ends() -> AsyncGenerator[None, None]:
    yield
    await hub().close()
    # What the tests did in the thread for synchronous code.
    await sync_to_async(_let_go)()


def _let_go() -> None:
    connection.close()


def sessions() -> int:
    """How many connections this database has."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


async def all_of(stream: AsyncGenerator[dict[str, Any], None]) -> list[dict[str, Any]]:
    return [block async for block in stream]


async def test_a_final_run_is_told_from_the_start_and_ends(owner: User, run: Run) -> None:
    await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)
    watcher = await sync_to_async(Watcher)(owner, run)
    blocks = await all_of(watcher.follows())
    assert [block["event"] for block in blocks] == ["run.created", "run.cancelled", "stream.end"]
    assert [block.get("id") for block in blocks] == ["1", "2", None]
    assert json.loads(blocks[1]["data"])["data"]["stop_reason"] == "cancelled_by_user"
    assert json.loads(blocks[2]["data"]) == {"status": "cancelled"}


@pytest.mark.parametrize("given", [{"after": "?after=1"}, {"last_event_id": "1"}])
async def test_a_watcher_goes_on_where_it_was(owner: User, run: Run, given: dict[str, str]) -> None:
    await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)
    watcher = await sync_to_async(Watcher)(owner, run)
    options = {name.replace("_", "-"): value for name, value in given.items()}
    blocks = await all_of(watcher.follows(**options))
    assert [block["event"] for block in blocks] == ["run.cancelled", "stream.end"]
    nothing_left = await all_of(watcher.follows(after="?after=2"))
    assert [block["event"] for block in nothing_left] == ["stream.end"]


async def test_events_arrive_while_they_happen_and_every_number_once(
    owner: User, run: Run, worker: FakeWorker
) -> None:
    watcher = await sync_to_async(Watcher)(owner, run)

    async def works() -> None:
        await asyncio.sleep(0.2)
        await sync_to_async(worker.claims)(run)
        for number in range(3):
            await sync_to_async(worker.appends)(run, f"look#{number + 1}")
            await asyncio.sleep(0.1)
        await sync_to_async(worker.suspends)(run, "event")
        await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)

    work = asyncio.create_task(works())
    seen = [block.get("id", block["event"]) async for block in watcher.follows()]
    await work
    assert seen == ["1", "2", "3", "4", "5", "stream.end"]


def fails(worker: FakeWorker, run: Run) -> None:
    worker.claims(run)
    worker.fails(run)


async def test_a_run_that_failed_and_goes_on_is_told_with_every_number_once(
    owner: User, run: Run, worker: FakeWorker
) -> None:
    watcher = await sync_to_async(Watcher)(owner, run)
    await sync_to_async(fails)(worker, run)
    before = await all_of(watcher.follows())
    assert [block["event"] for block in before] == ["run.created", "run.failed", "stream.end"]
    assert json.loads(before[-1]["data"]) == {"status": "failed"}

    await sync_to_async(services.retry_failure)(run=run, actor="ana")
    coming = asyncio.create_task(all_of(watcher.follows(**{"last-event-id": "2"})))
    await asyncio.sleep(0.2)
    assert not coming.done()
    await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)
    after = await asyncio.wait_for(coming, 15)
    assert [block.get("id", block["event"]) for block in after] == ["3", "4", "stream.end"]
    assert [block["event"] for block in after[:2]] == ["run.reopened", "run.cancelled"]


async def test_who_follows_when_it_fails_and_goes_on_at_once_stays(
    owner: User, run: Run, worker: FakeWorker
) -> None:
    def fails_and_goes_on() -> None:
        with transaction.atomic():
            fails(worker, run)
            with connection.cursor() as cursor:
                store.reopen(cursor, run.pk, by="ana")

    watcher = await sync_to_async(Watcher)(owner, run)
    coming = asyncio.create_task(all_of(watcher.follows()))
    await asyncio.sleep(0.2)
    await sync_to_async(fails_and_goes_on)()
    await asyncio.sleep(0.2)
    await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)
    seen = await asyncio.wait_for(coming, 15)
    assert [block.get("id", block["event"]) for block in seen] == ["1", "2", "3", "4", "stream.end"]


@pytest.mark.parametrize("after", ["3", "9999999999"])
async def test_who_asks_for_what_is_still_to_come_gets_what_comes_first(
    owner: User, run: Run, after: str
) -> None:
    watcher = await sync_to_async(Watcher)(owner, run)
    coming = asyncio.create_task(all_of(watcher.follows(**{"last-event-id": after})))
    await asyncio.sleep(0.2)
    await sync_to_async(services.cancel_run)(run=run, actor="x", by_operator=False)
    seen = await asyncio.wait_for(coming, 15)
    assert [block.get("id", block["event"]) for block in seen] == ["2", "stream.end"]


async def test_head_asks_and_does_not_follow(owner: User, stranger: User, run: Run) -> None:
    watcher = await sync_to_async(Watcher)(owner, run)
    answer = await AsyncClient().head(watcher.path, headers=watcher.headers)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream")
    assert not answer.streaming
    sven = await sync_to_async(Watcher)(stranger, run)
    assert (await AsyncClient().head(sven.path, headers=sven.headers)).status_code == 404


async def test_silence_is_filled_with_comments(run: Run) -> None:
    pieces = events.stream(run, 0, heartbeat_seconds=0.1)
    assert b"run.created" in await anext(pieces)
    assert await anext(pieces) == b": nothing new\n\n"
    await pieces.aclose()


async def test_open_streams_hold_no_connections(owner: User, worker: FakeWorker) -> None:
    runs = [await sync_to_async(start)(owner) for _ in range(5)]
    before = await sync_to_async(sessions)()
    streams = [events.stream(run, 0, heartbeat_seconds=0.5) for run in runs]
    for pieces in streams:
        assert b"run.created" in await anext(pieces)
        assert await anext(pieces) == b": nothing new\n\n"
    # The hub has one, whoever watches.
    assert await sync_to_async(sessions)() <= before + 1
    for pieces in streams:
        await pieces.aclose()


async def test_lost_numbers_are_named(owner: User, run: Run, worker: FakeWorker) -> None:
    await sync_to_async(worker.claims)(run)
    for number in range(3):
        await sync_to_async(worker.appends)(run, f"look#{number + 1}")
    await sync_to_async(Journal.objects.filter(run=run, seq__in=[2, 3]).delete)()
    watcher = await sync_to_async(Watcher)(owner, run)
    blocks = watcher.follows(after="?after=1")
    gap = await anext(blocks)
    assert (gap["event"], json.loads(gap["data"])) == ("stream.gap", {"from": 2, "to": 3})
    assert (await anext(blocks))["id"] == "4"
    await blocks.aclose()


async def test_what_is_wrong_is_said_in_json(owner: User, stranger: User, run: Run) -> None:
    watcher = await sync_to_async(Watcher)(owner, run)
    answer = await watcher.opens(**{"last-event-id": "soon"})
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/json")
    answer = await (await sync_to_async(Watcher)(stranger, run)).opens()
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await watcher.opens()
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Accel-Buffering"] == "no"
