"""Listens for hints in Redis. Without Redis nothing is lost: the hub then looks every second."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from runs.bell import HINTS

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_TIMEOUT_SECONDS = 5.0


class Hints:
    """One subscription, kept up over lost connections. ``heard`` gets the ids of runs."""

    def __init__(self, url: str, heard: Callable[[Iterable[int]], None]) -> None:
        self._url = url
        self._heard = heard
        self.connected = False

    async def listen(self) -> None:
        """Hear hints until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                if self.connected:
                    log.warning("live.hints_lost", error=str(error))
                pause = _FIRST_PAUSE if self.connected else min(pause * 2, _LONGEST_PAUSE)
            finally:
                self.connected = False
            await asyncio.sleep(pause)

    async def _listen_once(self) -> None:
        client = redis.Redis.from_url(
            self._url, socket_connect_timeout=_TIMEOUT_SECONDS, health_check_interval=10
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(HINTS)
            self.connected = True
            while True:
                message = await channel.get_message(timeout=_TIMEOUT_SECONDS)
                if message is not None:
                    self._heard(_runs_in(message["data"]))


def _runs_in(data: bytes) -> list[int]:
    """The runs a hint names; nothing for what is no hint of ours."""
    with contextlib.suppress(ValueError, TypeError, IndexError, KeyError):
        return [int(pair[0]) for pair in json.loads(data)]
    return []
