"""The console's socket: one per tab. What is on it says ``CONSOLE.md``, "Live"."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import parse_qsl

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.utils import timezone

from agentops.accounts.access import Actor, NotFound
from agentops.accounts.models import User
from agentops.accounts.rechecks import CHECK_SECONDS, look_again
from runs import dialogue, figures, queries, talks
from runs.lens import Lens
from runs.live.audience import (
    RIGHT_LOST,
    SIGNED_OUT,
    Audience,
    ListAudience,
    Shown,
    Subscriber,
    encode,
    number,
)
from runs.live.boards import boards, stale
from runs.live.glances import TOPIC as SUMS
from runs.live.hub import hub
from runs.live.talklist import TalkList
from runs.live.watching import Watch, opener
from runs.models import Conversation, Run
from runs.release import build

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
MOST_TOPICS = 8
# By topic: a run's page, a list of runs or of conversations, a conversation, the sums.
Watched = tuple[int, Audience] | ListAudience | Watch | str | None
_VIEWS = frozenset({"timeline", "conversation", "journal", "related"})


class Console(AsyncWebsocketConsumer):
    """Watches runs and lists for a signed-in person, for as long as they may."""

    _who: Subscriber
    _zone: str

    async def __call__(self, *asgi: Any) -> None:
        """Speak with one tab. Whatever ends it, nothing of it stays behind."""
        self._tasks: list[asyncio.Task[None]] = []
        self._looked_at = float("-inf")
        self._topics: dict[str, Watched] = {}
        try:
            await super().__call__(*asgi)
        finally:
            for task in self._tasks:
                task.cancel()
            for topic in list(self._topics):
                await self._unwatch(topic)

    async def connect(self) -> None:
        await self.accept()
        user: object = self.scope.get("user")
        if not isinstance(user, User) or not user.is_active:
            await self._bye(SIGNED_OUT)
            return
        key = self.scope["session"].session_key
        who = await database_sync_to_async(_subscriber)(user, key)
        if who is None:
            await self._bye(SIGNED_OUT)
            return
        self._who = who
        self._zone = self.scope.get("cookies", {}).get("zone", "")
        known = {"now": figures.iso(timezone.now()), "build": build(), "paused": hub().is_late}
        await self.send(text_data=encode([{"do": "hello", **known}]))
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._check())]

    async def _pump(self) -> None:
        """Send what the hub has queued."""
        while True:
            await self.send(text_data=await self._who.next())

    async def _check(self) -> None:
        """Look now and then whether this person is still signed in and still may."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                actor = await database_sync_to_async(self._still)()
            except DatabaseError:  # it is looked at again; until then nothing new is read either
                log.warning("live.unchecked")
                continue
            if actor is None or actor.reach != self._who.actor.reach:
                # What waits to be sent was drawn for somebody with other rights.
                self._tasks[0].cancel()
                await self._bye(RIGHT_LOST if actor else SIGNED_OUT)
                return
            self._who.actor = actor

    def _still(self) -> Actor | None:
        """The person with the rights of now, if their session lives and they are active."""
        return look_again(self._who.actor)

    async def _bye(self, code: int) -> None:
        await self.send(text_data=encode([{"do": "bye", "code": code}]))
        await self.close(code=code)

    # -- what the browser says ----------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        try:
            said = json.loads(text_data or "")
        except ValueError:
            return
        if isinstance(said, dict) and self._tasks:
            await self._hear(said)

    async def _hear(self, said: dict[str, Any]) -> None:
        topic = str(said.get("topic", ""))
        match said.get("do"):
            case "watch" if len(self._topics) < MOST_TOPICS or topic in self._topics:
                await self._watch(topic, said)
            case "unwatch":
                await self._unwatch(topic)
            case "look":
                self._look()
            case "alive":
                now = figures.iso(timezone.now())
                await self.send(text_data=encode([{"do": "alive", "now": now}]))

    def _look(self) -> None:
        """Somebody pressed "Try now"; a key that is held down asks no oftener than a person."""
        if self._looked_at + LOOK_SECONDS <= time.monotonic():
            self._looked_at = time.monotonic()
            hub().look()

    async def _watch(self, topic: str, said: dict[str, Any]) -> None:
        """Watch something; it is watched anew if it is already, as the page then asks for."""
        kind = topic.partition(":")[0]
        if kind == "conversation":
            await self._watch_talk(topic, said)
            return
        await self._leave(topic)
        if topic == SUMS:
            hub().watch_sums(self._who)
            self._topics[topic] = None
        elif kind == "run":
            await self._watch_run(topic, said)
        elif topic == "runs":
            await self._watch_list(said)
        elif topic == "conversations":
            hub().join(self._who)
            self._topics[topic] = await TalkList.open(self._who, self._zone, topic, said)
        else:
            await self._watch_other(kind, topic, said)

    async def _watch_run(self, topic: str, said: dict[str, Any]) -> None:
        try:
            run = await database_sync_to_async(self._run)(topic.partition(":")[2])
        except NotFound:
            await self._refuse(topic)
            return
        asked = dict(parse_qsl(str(said.get("query", ""))[:500]))
        view = asked.get("view", "timeline")
        audience = Audience(self._zone, view if view in _VIEWS else "timeline", Lens.read(asked))
        self._topics[topic] = (run.pk, audience)
        boards().watch(self._who, run)
        await hub().watch_run(self._who, run, audience, number(said.get("after")) or 0)

    async def _watch_talk(self, topic: str, said: dict[str, Any]) -> None:
        """Watch a conversation; who missed something of it is told to read it again."""
        if topic in self._topics:
            return
        try:
            talk, version = await database_sync_to_async(self._talk)(topic.partition(":")[2])
        except NotFound:
            await self._refuse(topic)
            return
        self._topics[topic] = talk.public_id
        hub().join(self._who)
        boards().watch(self._who, talk)
        if number(said.get("after")) not in (None, version):
            self._who.offer(topic, encode([stale(talk)]))

    async def _refuse(self, topic: str) -> None:
        await boards().leave(self._who, topic.partition(":")[2])
        await self.send(text_data=encode([{"do": "bye", "topic": topic, "code": RIGHT_LOST}]))

    def _talk(self, public_id: str) -> tuple[Conversation, int]:
        talk = dialogue.conversation(public_id=public_id, viewer=self._who.actor)
        return talk, talks.version(talk)

    def _run(self, public_id: str) -> Run:
        return queries.get_run(public_id=public_id, viewer=self._who.actor)

    async def _watch_list(self, said: dict[str, Any]) -> None:
        reach = self._who.actor.reach
        audience = ListAudience(self._zone, str(said.get("query", ""))[:500], reach)
        self._topics["runs"] = audience
        await hub().watch_list(self._who, audience, Shown.said(said))

    async def _watch_other(self, kind: str, topic: str, said: dict[str, Any]) -> None:
        """Watch what another app shows, if it is theirs to see."""
        opens = opener(kind)
        if opens is None:
            return
        try:
            self._topics[topic] = await opens.open(self._who, self._zone, topic, said)
        except NotFound:
            await self._refuse(topic)
        else:
            hub().join(self._who)

    async def _unwatch(self, topic: str) -> None:
        await self._leave(topic)
        await boards().leave(self._who, topic.partition(":")[2])

    async def _leave(self, topic: str) -> None:
        """Watch it no more, but keep the place at its board: what is written there goes on."""
        watched = self._topics.pop(topic, None)
        if topic == SUMS:
            hub().glances.leave(self._who)
        elif isinstance(watched, ListAudience):
            await hub().leave_list(self._who, watched)
        elif isinstance(watched, Watch):
            await watched.close()
        elif isinstance(watched, tuple):
            await hub().leave_run(self._who, *watched)
        if not any(isinstance(other, Watch | str) for other in self._topics.values()):
            hub().leave(self._who)


def _subscriber(user: User, session_key: str | None) -> Subscriber | None:
    """Whoever opens a socket, unless their session alone does not open anything (yet)."""
    actor = look_again(Actor(user, session_key=session_key))
    return Subscriber(actor) if actor else None
