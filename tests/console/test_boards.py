"""Text on the screens of people who watch a run or a conversation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.utils import timezone

from agentops.accounts.models import User
from runs import bell, conversations, services, talks
from runs.live import boards, watching
from runs.live.hub import hub
from runs.models import Conversation, Phase, Run, RunStatus
from tests import factories
from tests.console.socket import Frames, Socket, done
from tests.console.test_socket import signed_in
from tests.factories import TOOL, Story
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def tab(ana: User) -> AsyncIterator[Socket]:
    socket = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    yield socket
    await socket.disconnect()
    await hub().close()


@pytest.fixture
def story(ana: User) -> Story:
    told = Story.of(factories.run(ana, status=RunStatus.RUNNING))
    told.note("run.created", 0).note("run.started", 1, worker=7)
    told.save()
    return told


def writes(run: Run, text: str, at: int = 0, step: str = "draft#1", **fields: int) -> None:
    piece = {"step": step, "attempt": 1, "epoch": 1, "at": at, "text": text, **fields}
    bell._redis().publish(bell.ASIDE + run.public_id, json.dumps(piece))


def does(what: str) -> Callable[[Frames], object]:
    return lambda frames: [frame for frame in frames if frame["do"] == what]


def of(frames: Frames, what: str) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["do"] == what]


async def listening(tab: Socket, topic: str, run: Run) -> None:
    """Watch, and be sure that the process hears text of the run."""
    await tab.say(do="watch", topic=topic, view="timeline", after=0)
    channel = bell.ASIDE + run.public_id

    def heard() -> bool:
        return bool(dict(bell._redis().pubsub_numsub(channel))[channel.encode()])

    async with asyncio.timeout(10):
        while not await done(heard):
            await asyncio.sleep(0.02)


async def test_text_is_shown_as_it_grows(tab: Socket, story: Story) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Hé 👋"))
    (first,) = of(await tab.until(does("write")), "write")
    assert (first["at"], first["text"], first["into"]) == (0, "Hé 👋", "writing")
    assert f'id="{first["id"]}"' in first["html"]
    await done(lambda: writes(story.run, ", you", at=4))
    (second,) = of(await tab.until(does("write")), "write")
    # A browser counts in UTF-16.
    assert (second["at"], second["text"], second["id"]) == (5, ", you", first["id"])
    assert "html" not in second


async def test_the_whole_comes_again_for_who_missed_some(
    tab: Socket, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "WHOLE_SECONDS", 0.0)
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "one "))
    await tab.until(does("write"))
    await done(lambda: writes(story.run, "two", at=4))
    (whole,) = of(await tab.until(does("write")), "write")
    assert (whole["at"], whole["text"]) == (0, "one two")
    assert "html" in whole


async def test_the_recorded_outcome_takes_its_place(tab: Socket, story: Story) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Hello"))
    await tab.until(does("write"))

    def recorded() -> None:
        story.wait(1).add("draft#1", Phase.OUTCOME, "step.completed", took=1, **TOOL).save()
        bell.hint_now([[story.run.pk, story.seq]])

    await done(recorded)
    (gone,) = of(await tab.until(does("unwrite")), "unwrite")
    assert gone["keep"] == []
    await done(lambda: writes(story.run, "Hello, late", at=0))
    assert await tab.is_silent(0.5)


async def test_text_of_a_step_recorded_before_is_not_shown(tab: Socket, story: Story) -> None:
    def recorded() -> None:
        story.wait(1).add("draft#1", Phase.OUTCOME, "step.completed", took=1, **TOOL).save()

    await done(recorded)
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "A late echo"))
    await done(lambda: writes(story.run, "B", step="other#1"))
    (shown,) = of(await tab.until(does("write")), "write")
    assert shown["text"] == "B"


async def test_a_worker_that_takes_over_begins_anew(tab: Socket, story: Story) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Half a"))
    await tab.until(does("write"))
    await done(lambda: writes(story.run, "Anew", epoch=2))
    frames = await tab.until(lambda frames: len(of(frames, "write")) == 1)
    texts = [f for f in frames if f["do"] in {"write", "unwrite"}]
    assert [frame["do"] for frame in texts] == ["unwrite", "write"]
    assert texts[1]["text"] == "Anew"


async def test_who_comes_late_gets_the_whole_at_once(tab: Socket, story: Story, ana: User) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Hello"))
    await tab.until(does("write"))
    other = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    await other.say(do="watch", topic=f"run:{story.run.public_id}", view="timeline", after=0)
    (whole,) = of(await other.until(does("write")), "write")
    assert (whole["at"], whole["text"]) == (0, "Hello")
    await other.disconnect()


async def test_a_page_that_asks_anew_loses_no_text(tab: Socket, story: Story) -> None:
    topic = f"run:{story.run.public_id}"
    await listening(tab, topic, story.run)
    await done(lambda: writes(story.run, "Hello"))
    await tab.until(does("write"))
    await tab.say(do="watch", topic=topic, view="timeline", after=2)
    await tab.say(do="alive")
    await tab.until(does("alive"))
    await done(lambda: writes(story.run, ", you", at=5))
    (more,) = of(await tab.until(does("write")), "write")
    assert more["text"] in {", you", "Hello, you"}

    def recorded() -> None:
        story.wait(1).add("draft#1", Phase.OUTCOME, "step.completed", took=1, **TOOL).save()
        bell.hint_now([[story.run.pk, story.seq]])

    await done(recorded)
    assert of(await tab.until(does("unwrite")), "unwrite")


async def test_who_was_away_is_told_which_texts_are_left(
    tab: Socket, story: Story, ana: User
) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Hello"))
    (shown,) = of(await tab.until(does("write")), "write")
    other = await Socket.of(ana, await done(lambda: signed_in(ana))).opened()
    await other.say(do="watch", topic=f"run:{story.run.public_id}", view="timeline", after=0)
    frames = await other.until(does("write"))
    assert [frame["keep"] for frame in of(frames, "unwrite")] == [[shown["id"]]]
    await other.disconnect()


async def test_nobody_is_shown_text_of_what_is_not_theirs(
    tab: Socket, story: Story, stranger: User
) -> None:
    sven = await Socket.of(stranger, await done(lambda: signed_in(stranger))).opened()
    await sven.say(do="watch", topic=f"run:{story.run.public_id}", view="timeline", after=0)
    assert (await sven.frames())[0]["do"] == "bye"
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await done(lambda: writes(story.run, "Secret"))
    await tab.until(does("write"))
    assert await sven.is_silent(0.2)
    await sven.disconnect()


async def test_boards_end_with_their_last_watcher(tab: Socket, story: Story) -> None:
    await listening(tab, f"run:{story.run.public_id}", story.run)
    await tab.say(do="unwatch", topic=f"run:{story.run.public_id}")
    await tab.say(do="alive")
    await tab.until(does("alive"))
    assert boards.boards()._boards == {}
    assert boards.boards()._tasks == {}


@pytest.fixture
def talk(ana: User) -> Conversation:
    begun = conversations.begin(agent="anything", owner=ana, started_by="ana")
    return begun.conversation


def say(talk: Conversation, text: str) -> None:
    conversations.post_message(conversation=talk, content=text, sender="ana")


async def test_a_conversation_reads_itself_again_when_something_is_said(
    tab: Socket, talk: Conversation
) -> None:
    await tab.say(do="watch", topic=f"conversation:{talk.public_id}")
    await tab.say(do="alive")
    await tab.until(does("alive"))
    await done(lambda: say(talk, "Hello"))
    (stale, *_) = of(await tab.until(does("stale")), "stale")
    assert set(stale["ids"]) == {"talk-head", "turns", "line", "what-happens"}


async def test_who_missed_something_of_a_conversation_reads_it_again(
    tab: Socket, talk: Conversation
) -> None:
    topic = f"conversation:{talk.public_id}"
    painted = await done(lambda: talks.version(talk))
    await tab.say(do="watch", topic=topic, after=painted)
    await tab.say(do="alive")
    assert not of(await tab.until(does("alive")), "stale")
    await tab.say(do="unwatch", topic=topic)
    await done(lambda: say(talk, "While you were away"))
    await tab.say(do="watch", topic=topic, after=painted)
    await tab.until(does("stale"))


async def test_a_conversation_that_is_told_late_says_so(tab: Socket, talk: Conversation) -> None:
    await tab.say(do="watch", topic=f"conversation:{talk.public_id}")
    await tab.say(do="alive")
    await tab.until(does("alive"))
    assert len(hub()._sockets()) == 1
    await tab.say(do="unwatch", topic=f"conversation:{talk.public_id}")
    await tab.say(do="alive")
    await tab.until(does("alive"))
    assert hub()._sockets() == set()


async def test_a_list_of_conversations_changes_in_place(tab: Socket, talk: Conversation) -> None:
    painted = int(timezone.now().timestamp() * 1000)
    await tab.say(do="watch", topic="conversations", after=painted, ids=[talk.public_id])
    await tab.say(do="alive")
    await tab.until(does("alive"))
    await done(lambda: say(talk, "Where is my parcel?"))
    (row, *_) = of(await tab.until(does("place")), "place")
    assert (row["how"], row["id"]) == ("morph", talk.public_id)
    assert "Where is my parcel?" in row["html"]
    assert "queued" in row["html"]


async def test_a_row_that_left_the_list_stays_dimmed(
    tab: Socket, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.1)
    await done(lambda: say(talk, "Hello"))
    run = await done(lambda: Run.objects.get(conversation=talk))
    painted = int(timezone.now().timestamp() * 1000)
    watched = {"topic": "conversations", "query": "busy=1", "after": painted}
    await tab.say(do="watch", ids=[talk.public_id], **watched)
    await tab.say(do="alive")
    await tab.until(does("alive"))
    await done(lambda: services.cancel_run(run=run, actor="ana", by_operator=False))
    frames = await tab.until(does("place"))
    assert "gone-by" in of(frames, "place")[-1]["html"]


async def test_conversations_not_shown_are_counted(
    tab: Socket, talk: Conversation, ana: User, stranger: User
) -> None:
    painted = int(timezone.now().timestamp() * 1000)

    def others() -> None:
        for owner in (ana, stranger):
            conversations.begin(agent="echo", owner=owner, started_by=owner.username)

    await done(others)
    await tab.say(do="watch", topic="conversations", after=painted, ids=[talk.public_id])
    (count,) = of(await tab.until(does("count")), "count")
    assert (count["id"], count["text"]) == ("new-talks", "1 with news")


async def test_text_of_the_live_run_is_shown_in_its_conversation(
    tab: Socket, talk: Conversation
) -> None:
    await done(lambda: say(talk, "Hello"))
    run = await done(lambda: Run.objects.get(conversation=talk))
    await done(lambda: FakeWorker.born().claims(run))
    await listening(tab, f"conversation:{talk.public_id}", run)
    await done(lambda: writes(run, "Hello back"))
    (shown,) = of(await tab.until(does("write")), "write")
    assert (shown["topic"], shown["text"]) == (f"conversation:{talk.public_id}", "Hello back")


async def test_a_stranger_watches_no_conversation(talk: Conversation, stranger: User) -> None:
    sven = await Socket.of(stranger, await done(lambda: signed_in(stranger))).opened()
    await sven.say(do="watch", topic=f"conversation:{talk.public_id}")
    assert (await sven.frames())[0]["do"] == "bye"
    await sven.disconnect()
    await hub().close()


def test_a_browser_counts_as_we_do() -> None:
    assert [boards.units(text) for text in ("", "a", "é", "👋", "\ud800")] == [0, 1, 1, 2, 1]
