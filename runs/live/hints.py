"""Listens in Redis for what is worth a look; without it the hub looks by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
# A server that is there and does not answer is lost after two of these.
_PATIENCE_SECONDS = 2.0

Heard = Callable[[bytes], None]


class Hints:
    """One subscription, kept up over lost connections. Each channel has somebody who hears it.

    ``turned`` is called whenever the connection was made or lost. What was said while it was lost
    is lost too: whoever needs it looks for it then.
    """

    def __init__(
        self, url: str, channels: Mapping[str, Heard], turned: Callable[[], None] = lambda: None
    ) -> None:
        self._url = url
        self._channels = channels
        self._turned = turned
        self.connected = False

    async def listen(self) -> None:
        """Hear hints until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError, TimeoutError) as error:
                if self.connected:
                    log.warning("live.hints_lost", error=str(error) or type(error).__name__)
                pause = _FIRST_PAUSE if self.connected else min(pause * 2, _LONGEST_PAUSE)
            finally:
                self._turn(connected=False)
            await asyncio.sleep(pause)

    async def _listen_once(self) -> None:
        client = redis.Redis.from_url(
            self._url, socket_connect_timeout=_PATIENCE_SECONDS, retry=None
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(*self._channels)
            # The answer of the server: only now it is known to listen for us.
            await asyncio.wait_for(client.ping(), _PATIENCE_SECONDS)
            self._turn(connected=True)
            while True:
                message = await channel.get_message(timeout=_PATIENCE_SECONDS)
                if message is None:
                    await asyncio.wait_for(client.ping(), _PATIENCE_SECONDS)
                else:
                    self._channels[message["channel"].decode()](message["data"])

    def _turn(self, *, connected: bool) -> None:
        if self.connected != connected:
            self.connected = connected
            self._turned()


def runs_in(heard: Callable[[Iterable[int]], None]) -> Heard:
    """Whoever is told which runs moved, as one who hears messages; what is none of ours is not."""

    def hear(data: bytes) -> None:
        with contextlib.suppress(ValueError, TypeError, IndexError, KeyError):
            heard([int(pair[0]) for pair in json.loads(data)])

    return hear
