"""Hints for watchers: which runs moved, and how far. Losing one costs latency, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json

import redis.asyncio
import structlog

CHANNEL = "agentops.hints"
GATHER_SECONDS = 0.05
TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Hints:
    """Publishes the newest number of each run that moved, a few times a second at most."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
        self._moved: dict[int, int] = {}
        self._some = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._publish())
        self._told = False

    def add(self, run: int, seq: int) -> None:
        """Run ``run`` has events up to ``seq``."""
        self._moved[run] = seq
        self._some.set()

    async def _publish(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            moved, self._moved = self._moved, {}
            try:
                await self._client.publish(CHANNEL, json.dumps(list(moved.items())))
                self._told = False
            except (redis.RedisError, OSError, TimeoutError) as error:
                if not self._told:
                    log.warning("hints.lost", error=type(error).__name__)
                self._told = True
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(GATHER_SECONDS)

    async def close(self) -> None:
        """Publish nothing more."""
        self._task.cancel()
        with contextlib.suppress(redis.RedisError, OSError):
            await self._client.aclose()
