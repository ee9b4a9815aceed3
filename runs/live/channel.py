"""Hears what is said in passing about runs and conversations somebody watches in this process.

Text as workers produce it, and that something stirs in a conversation. Each run and conversation
has a channel of its own in Redis; without Redis there is silence.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from runs.bell import ASIDE

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_TIMEOUT_SECONDS = 5.0
# Nobody publishes here; the connection listens to it so that it always listens to something.
_QUIET = ASIDE + "none"

Heard = Callable[[bytes], None]


class Channel:
    """One subscription per web process, kept up over lost connections. Belongs to one loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard: dict[str, list[Heard]] = {}
        self._task: asyncio.Task[None] | None = None
        self._pubsub: redis.client.PubSub | None = None
        self._subscribed: set[str] = set()
        self._changes: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    @contextlib.contextmanager
    def listen(self, public_id: str, heard: Heard) -> Iterator[None]:
        """Call ``heard`` with each message about this for as long as the context lasts."""
        self._start()
        self._heard.setdefault(public_id, []).append(heard)
        self._align()
        try:
            yield
        finally:
            self._heard[public_id].remove(heard)
            if not self._heard[public_id]:
                del self._heard[public_id]
                self._align()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="live-text")

    async def close(self) -> None:
        """Hear nothing any more."""
        going = {task for task in (self._task, *self._changes) if task is not None}
        while going:
            # Once is not enough: the Redis client swallows what reaches it while it connects.
            for task in going:
                task.cancel()
            _, going = await asyncio.wait(going, timeout=0.1)
        self._task = None

    def _align(self) -> None:
        """Have the subscriptions follow what is listened to."""
        task = asyncio.create_task(self._subscribe())
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _subscribe(self) -> None:
        async with self._lock:
            if self._pubsub is None:
                return
            wanted = {ASIDE + public_id for public_id in self._heard} | {_QUIET}
            more, less = wanted - self._subscribed, self._subscribed - wanted
            try:
                if more:
                    await self._pubsub.subscribe(*more)
                if less:
                    await self._pubsub.unsubscribe(*less)
            except (RedisError, OSError):
                # The listener meets the same loss, connects anew and subscribes to everything.
                return
            self._subscribed = wanted

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                lost = bool(self._subscribed)
                if lost:
                    log.warning("live.text_lost", error=str(error))
                pause = _FIRST_PAUSE if lost else min(pause * 2, _LONGEST_PAUSE)
            finally:
                self._pubsub, self._subscribed = None, set()
            await asyncio.sleep(pause)

    async def _listen_once(self) -> None:
        client = redis.Redis.from_url(
            self._url, socket_connect_timeout=_TIMEOUT_SECONDS, health_check_interval=10
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(_QUIET)
            self._pubsub, self._subscribed = pubsub, {_QUIET}
            await self._subscribe()
            while True:
                message = await pubsub.get_message(timeout=_TIMEOUT_SECONDS)
                if message is not None:
                    self._tell(message["channel"].decode(), message["data"])

    def _tell(self, channel: str, data: bytes) -> None:
        for heard in list(self._heard.get(channel.removeprefix(ASIDE), ())):
            heard(data)
