"""The console's socket, on a real database and a real Redis."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import Client

from agentops.accounts.models import User
from agentops.asgi import application
from runs import bell, consumers
from runs.live.hub import hub
from runs.models import Phase, Run, RunStatus
from tests import factories
from tests.console.socket import Frames, Socket, done
from tests.factories import TOOL, Story

pytestmark = pytest.mark.django_db(transaction=True)
# The package offers the function of the same name.
LIVE_HUB = importlib.import_module("runs.live.hub")


def signed_in(user: User) -> SessionStore:
    client = Client()
    client.force_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    return SessionStore(key)


@pytest.fixture
async def tab(ana: User) -> AsyncIterator[Socket]:
    socket = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    yield socket
    await socket.disconnect()
    await hub().close()


def a_run(owner: User) -> Story:
    story = Story.of(factories.run(owner, status=RunStatus.RUNNING))
    story.note("run.created", 0).note("run.started", 1, worker=7)
    story.wait(1).add("first#1", Phase.OUTCOME, "step.completed", value=1, took=1, **TOOL)
    story.save()
    return story


def goes_on(story: Story, number: int, *, hint: bool = True) -> None:
    story.wait(1).add(f"call#{number}", Phase.OUTCOME, "step.completed", took=1, **TOOL).save()
    if hint:
        bell.hint_now([[story.run.pk, story.seq]])


def paused(frames: Frames) -> bool:
    return any(frame["do"] == "paused" and frame["at"] for frame in frames)


def placed(frames: Frames) -> list[str]:
    return [frame["html"] for frame in frames if frame["do"] == "place"]


def has(text: str) -> Callable[[Frames], bool]:
    return lambda frames: any(text in html for html in placed(frames))


async def test_an_event_reaches_the_tab_as_the_row_the_page_draws(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=timeline")
    while story.run.pk not in hub()._reader.timelines:
        await asyncio.sleep(0.01)
    await done(lambda: goes_on(story, 1))
    frames = await tab.until(has('id="s2"'))
    row = next(f for f in frames if 'id="s2"' in f.get("html", ""))
    assert (row["how"], row["id"], row["seq"]) == ("append", "block-0", 4)
    assert row["topic"] == f"run:{story.run.public_id}"


async def test_a_lost_hint_costs_time_not_events(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1, hint=False))
    assert await tab.until(has('id="e4"'))


async def test_hints_that_come_doubled_and_late_change_nothing(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1))
    await done(lambda: goes_on(story, 2))
    for seq in (5, 4, 5, 1):
        await done(partial(bell.hint_now, [[story.run.pk, seq]]))
    await done(lambda: goes_on(story, 3))
    frames = await tab.until(has('id="e6"'))
    rows = [html for html in placed(frames) if "<tr" in html]
    assert [html.split('id="')[1].split('"')[0] for html in rows] == ["e4", "e5", "e6"]


async def test_a_socket_that_was_cut_catches_up_from_its_number(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    for number in range(1, 4):
        await done(partial(goes_on, story, number, hint=False))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=4, query="view=journal")
    frames = await tab.until(has('id="e6"'))
    assert not has('id="e4"')(frames)
    assert has('id="e5"')(frames)


async def test_what_is_not_an_event_stream_of_ours_is_ignored(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    for text in ("", "{", "[]", '"watch"', '{"do": "watch"}', '{"do": "watch", "topic": "x:1"}'):
        await tab.send_text(text)
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after="x", query=["?"])
    await done(lambda: goes_on(story, 1))
    assert await tab.until(lambda frames: any(f["do"] in {"place", "stale"} for f in frames))


async def test_a_stranger_is_refused_at_watch(tab: Socket, stranger: User) -> None:
    story = await done(lambda: a_run(stranger))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=0)
    assert await tab.frames() == [
        {"do": "bye", "topic": f"run:{story.run.public_id}", "code": 4403}
    ]
    await done(lambda: goes_on(story, 1))
    assert await tab.is_silent(1)


async def test_a_right_that_is_lost_stops_the_news_at_send(
    tab: Socket, ana: User, stranger: User
) -> None:
    story = await done(lambda: a_run(ana))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1))
    await tab.until(has('id="e4"'))
    await done(lambda: Run.objects.filter(pk=story.run.pk).update(owner=stranger))
    await done(lambda: goes_on(story, 2))
    topic = f"run:{story.run.public_id}"
    assert await tab.frames() == [{"do": "bye", "topic": topic, "code": 4403}]
    await done(lambda: goes_on(story, 3))
    assert await tab.is_silent(1)


async def test_signing_out_closes_the_socket(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    session = await done(lambda: signed_in(ana))
    socket = await Socket.of(ana, session).opened()
    await done(session.flush)
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    assert await socket.closed() == 4401
    await socket.disconnect()
    await hub().close()


async def test_losing_the_operators_right_closes_the_socket(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    socket = await Socket.of(operator, await done(lambda: signed_in(operator))).opened()
    await done(operator.groups.clear)
    assert await socket.frames() == [{"do": "bye", "code": 4403}]
    assert await socket.closed() == 4403
    await socket.disconnect()
    await hub().close()


async def test_a_right_is_looked_at_again_after_the_database_was_away(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    session = await done(lambda: signed_in(ana))
    socket = await Socket.of(ana, session).opened()
    looked: list[object] = []

    def away(_: object) -> None:
        looked.append(_)
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(consumers, "look_again", away)
        while len(looked) < 2:
            await asyncio.sleep(0.01)
    await done(session.flush)
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    assert await socket.closed() == 4401
    await socket.disconnect()
    await hub().close()


async def test_what_waits_to_be_sent_is_not_sent_to_who_lost_the_right(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.2)
    held, stuck = asyncio.Event(), asyncio.Event()
    send = consumers.Console.send

    async def slow(self: consumers.Console, text_data: str) -> None:
        if '"do":"news"' in text_data:
            held.set()
            await stuck.wait()
        await send(self, text_data=text_data)

    monkeypatch.setattr(consumers.Console, "send", slow)
    story = await done(lambda: a_run(operator))
    socket = await Socket.of(operator, await done(lambda: signed_in(operator))).opened()
    await socket.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1))
    await asyncio.wait_for(held.wait(), 3)
    await done(operator.groups.clear)
    frames = await socket.until(lambda got: any(frame["do"] == "bye" for frame in got))
    stuck.set()
    assert frames[-1] == {"do": "bye", "code": 4403}
    assert not any(frame["do"] in {"news", "place"} for frame in frames)
    assert await socket.closed() == 4403
    assert await socket.is_silent(0.3)
    await socket.disconnect()
    await hub().close()


async def test_a_socket_that_breaks_leaves_nothing_behind(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await done(lambda: a_run(ana))
    socket = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()

    def broken(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(hub()._reader, "join", broken)
    await socket.say(do="watch", topic=f"run:{story.run.public_id}", after=3)
    with pytest.raises(OperationalError):
        await socket.wait(3)  # type: ignore[no-untyped-call]
    assert hub().sockets == 0
    assert hub()._runs == {}
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
    assert not {"Console._pump", "Console._check"} & names
    await hub().close()


async def test_who_is_not_signed_in_is_told_so() -> None:
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    socket = Socket(application, {"headers": headers})
    assert await socket.connect()
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    assert await socket.closed() == 4401


async def test_a_foreign_origin_is_refused() -> None:
    headers = [(b"origin", b"https://elsewhere.example"), (b"host", b"localhost")]
    assert not await Socket(application, {"headers": headers}).connect()


async def test_a_list_changes_in_place_and_counts_what_is_new(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    run = story.run
    await tab.say(
        do="watch", topic="runs", query="status=running", after=run.pk, ids=[run.public_id]
    )
    await asyncio.sleep(0.3)
    await done(lambda: story.ends(RunStatus.SUCCEEDED, "completed").save())
    newer = await done(lambda: factories.run(ana, status=RunStatus.RUNNING))
    await done(lambda: bell.hint_now([[newer.pk, 1]]))
    frames = await tab.until(
        lambda got: has(run.public_id)(got) and any(f["do"] == "count" for f in got)
    )
    row = next(html for html in placed(frames) if run.public_id in html)
    assert "succeeded" in row
    assert 'class="gone-by"' in row
    assert {"do": "count", "id": "new-rows", "text": "1 new run", "topic": "runs"} in frames


async def test_a_list_that_follows_is_told_to_read_itself_again(tab: Socket, ana: User) -> None:
    await tab.say(do="watch", topic="runs", query="status=queued&follow=1", after=0, ids=[])
    await asyncio.sleep(0.3)
    run = await done(lambda: factories.run(ana))
    await done(lambda: bell.hint_now([[run.pk, 1]]))
    frames = await tab.until(lambda got: any(f["do"] in {"stale", "count"} for f in got))
    assert frames == [{"do": "stale", "ids": ["list"], "topic": "runs"}]


async def test_a_list_does_not_tell_of_other_peoples_runs(
    tab: Socket, ana: User, stranger: User
) -> None:
    theirs = await done(lambda: a_run(stranger))
    await tab.say(do="watch", topic="runs", query="", after=0, ids=[theirs.run.public_id])
    await done(lambda: theirs.ends(RunStatus.SUCCEEDED, "completed").save())
    await done(lambda: bell.hint_now([[theirs.run.pk, 4]]))
    assert await tab.is_silent(1.5)


async def test_without_redis_the_hub_looks_by_itself_and_says_which_moment_it_shows(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(LIVE_HUB, "POLL_WITHOUT_HINTS_SECONDS", 0.5)
    socket = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    story = await done(lambda: a_run(ana))
    await socket.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1, hint=False))
    frames = await socket.until(has('id="e4"'), timeout=3)
    frames += await socket.until(paused, timeout=3)
    frames += await socket.until(paused, timeout=3)
    first, *_, last = [frame["at"] for frame in frames if frame["do"] == "paused"]
    assert first < last
    await socket.disconnect()
    await hub().close()


async def test_who_comes_while_pages_are_late_is_told_so(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    session = await done(lambda: signed_in(ana))
    story = await done(lambda: a_run(ana))
    first = await Socket.of(ana, session).opened()
    await first.say(do="watch", topic=f"run:{story.run.public_id}", after=3)
    await first.until(paused)
    second = Socket.of(ana, session)
    assert await second.connect()
    assert (await second.frames())[0]["paused"] is True
    await second.say(do="watch", topic=f"run:{story.run.public_id}", after=3)
    assert await second.until(paused)
    for socket in (first, second):
        await socket.disconnect()
    await hub().close()


async def test_try_now_looks_at_once(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(LIVE_HUB, "POLL_WITHOUT_HINTS_SECONDS", 60)
    socket = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    story = await done(lambda: a_run(ana))
    await socket.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await socket.until(paused)
    await done(lambda: goes_on(story, 1, hint=False))
    assert await socket.is_silent(1)
    await socket.say(do="look")
    assert await socket.until(has('id="e4"'))
    await socket.disconnect()
    await hub().close()


async def test_unwatched_is_forgotten(tab: Socket, ana: User) -> None:
    story = await done(lambda: a_run(ana))
    await tab.say(do="watch", topic=f"run:{story.run.public_id}", after=3, query="view=journal")
    await done(lambda: goes_on(story, 1))
    await tab.until(has('id="e4"'))
    await tab.say(do="unwatch", topic=f"run:{story.run.public_id}")
    await asyncio.sleep(0.2)
    assert hub()._runs == {}
    assert hub()._reader.timelines == {}
