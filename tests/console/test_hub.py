"""The hub: one drawing for many sockets, bounded queues, streams without gaps."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from runs import bell
from runs.live import pages
from runs.live.audience import Audience, Subscriber
from runs.live.hub import Hub, hub, subscribe
from runs.models import Phase, RunStatus
from tests import factories
from tests.console.socket import done
from tests.factories import TOOL, Story

pytestmark = pytest.mark.django_db(transaction=True)
SOCKETS = 50


@pytest.fixture
async def live(db: None) -> AsyncIterator[Hub]:
    yield hub()
    await hub().close()


@pytest.fixture
def watcher(ana: User) -> Actor:
    return Actor(ana).ready()


@pytest.fixture
def story(ana: User) -> Story:
    told = Story.of(factories.run(ana, status=RunStatus.RUNNING)).note("run.created", 0)
    told.save()
    return told


async def goes_on(story: Story, first: int, last: int) -> None:
    await done(lambda: _goes_on(story, first, last))


def _goes_on(story: Story, first: int, last: int) -> None:
    for number in range(first, last + 1):
        story.wait(0.1).add(f"call#{number}", Phase.OUTCOME, "step.completed", took=0.1, **TOOL)
    story.save()
    bell.hint_now([[story.run.pk, story.seq]])


def numbers(texts: list[str]) -> list[int]:
    """The events of the journal rows in some messages."""
    rows = [frame for text in texts for frame in json.loads(text) if frame["do"] == "place"]
    return [int(f["html"].split('id="e')[1].split('"')[0]) for f in rows if 'id="e' in f["html"]]


async def test_every_socket_gets_every_event_once_and_each_is_drawn_once(
    live: Hub, story: Story, watcher: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    original = pages.draw

    def counting(template: str, **context: object) -> str:
        drawn.append(template)
        return original(template, **context)

    monkeypatch.setattr(pages, "draw", counting)
    sockets = [Subscriber(watcher) for _ in range(SOCKETS)]
    audience = Audience("UTC", "journal")
    for socket in sockets:
        await live.watch_run(socket, story.run, audience, after=1)
    drawn.clear()
    for first in (1, 11, 21):
        await goes_on(story, first, first + 9)
        await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        for socket in sockets:
            got: list[str] = []
            while len(numbers(got)) < 30:
                got.append(await socket.next())
            assert numbers(got) == list(range(2, 32))
    assert drawn.count("runs/_event.html") == 30


async def test_a_socket_that_does_not_take_its_messages_is_told_of_the_gap(
    live: Hub, story: Story, watcher: Actor
) -> None:
    slow, quick = Subscriber(watcher, length=1), Subscriber(watcher)
    audience = Audience("UTC", "journal")
    await live.watch_run(slow, story.run, audience, after=1)
    await live.watch_run(quick, story.run, audience, after=1)
    got: list[str] = []
    for number in (1, 2, 3):
        await goes_on(story, number, number)
        async with asyncio.timeout(3):
            while max(numbers(got), default=0) < number + 1:
                got.append(await quick.next())
    first = await slow.next()
    assert numbers([first]) == [2], first
    gap = json.loads(await slow.next())
    assert gap == [{"do": "gap", "topic": f"run:{story.run.public_id}"}]
    assert numbers(got) == [2, 3, 4]


async def test_topics_get_at_most_four_messages_a_second(
    live: Hub, story: Story, watcher: Actor
) -> None:
    socket = Subscriber(watcher)
    began = time.monotonic()
    await live.watch_run(socket, story.run, Audience("UTC", "journal"), after=1)
    for number in range(1, 21):
        await goes_on(story, number, number)
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.4)
    # One at once, then four a second, however long a busy machine took for this.
    assert socket._queue.qsize() <= 1 + 4 * (time.monotonic() - began)
    assert socket._queue.qsize() < 20


async def test_a_stream_is_dense_over_the_border_of_old_and_new(live: Hub, story: Story) -> None:
    await goes_on(story, 1, 5)
    got: list[int] = []

    async def read() -> None:
        async for lines in subscribe(story.run, after=2):
            got.extend(line.seq for line in lines)

    reading = asyncio.create_task(read())
    for first in (6, 8, 10):
        await asyncio.sleep(0.15)
        await goes_on(story, first, first + 1)
    await done(lambda: story.ends(RunStatus.SUCCEEDED, "completed").save())
    bell.hint_now([[story.run.pk, story.seq]])
    await asyncio.wait_for(reading, 5)
    assert got == list(range(3, story.seq + 1))
    assert live._runs == {}


async def test_leaving_a_stream_ends_the_subscription(live: Hub, story: Story) -> None:
    stream = subscribe(story.run)
    assert [line.seq for line in await anext(stream)] == [1]
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert live._runs == {}


async def test_a_page_and_a_stream_of_one_run_both_get_everything(
    live: Hub, story: Story, watcher: Actor
) -> None:
    stream = subscribe(story.run)
    assert [line.seq for line in await anext(stream)] == [1]
    await goes_on(story, 1, 2)
    socket = Subscriber(watcher)
    await live.watch_run(socket, story.run, Audience("UTC", "journal"), after=1)
    await goes_on(story, 3, 4)
    streamed: list[int] = []
    got: list[str] = []
    async with asyncio.timeout(5):
        while len(streamed) < 4:
            streamed += [line.seq for line in await anext(stream)]
        while max(numbers(got), default=0) < 5:
            got.append(await socket.next())
    assert streamed == [2, 3, 4, 5]
    assert sorted(set(numbers(got))) == [2, 3, 4, 5]
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
