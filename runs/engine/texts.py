"""Text as it is produced, for whoever watches: beside the journal, over Redis, never waited for.

Each run has a channel. A message holds what was added since the one before, or now and then the
whole text of the attempt, so that who missed a message or came late is right again within
:data:`WHOLE_SECONDS`. Nothing is kept: losing all of it loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from dataclasses import dataclass

import redis.asyncio
import structlog

from agentops.execution.records import Claim, printable
from runs.bell import ASIDE

GATHER_SECONDS = 0.1
WHOLE_SECONDS = 2.0
LONGEST_TEXT = 64_000
TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 2.0

log = structlog.get_logger(__name__)
Key = tuple[int, str]


@dataclass(slots=True)
class _Text:
    """What one attempt has shown so far, and how much of it was sent."""

    run: str
    epoch: int
    attempt: int
    text: str = ""
    sent: int = 0
    whole_at: float = 0.0

    def add(self, text: str) -> None:
        """Nobody reads more than so much as it runs by; the outcome has it all."""
        self.text = (self.text + text)[:LONGEST_TEXT]

    def is_due(self, now: float) -> bool:
        """Whether there is news, or a latecomer may wait for the whole."""
        return self.sent < len(self.text) or now - self.whole_at >= WHOLE_SECONDS

    def message(self, key: str, now: float) -> str:
        """The next message about it."""
        whole = now - self.whole_at >= WHOLE_SECONDS
        start = 0 if whole else self.sent
        self.sent = len(self.text)
        self.whole_at = now if whole else self.whole_at
        told = {
            "step": key,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "at": start,
            "text": self.text[start:],
        }
        return json.dumps(told, separators=(",", ":"))


class Texts:
    """Publishes what attempts show, ten times a second at most. Made on the worker's loop."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._texts: dict[Key, _Text] = {}
        self._changed: set[Key] = set()
        self._some = asyncio.Event()
        self._told = False
        self._task = self._loop.create_task(self._publish())

    def add(self, claim: Claim, key: str, attempt: int, text: str) -> None:
        """Attempt ``attempt`` of a step shows more. May be called from any thread."""
        place = claim.id, key
        with self._lock:
            known = self._texts.get(place)
            if known is None or (known.epoch, known.attempt) < (claim.epoch, attempt):
                known = self._texts[place] = _Text(claim.public_id, claim.epoch, attempt)
            if (known.epoch, known.attempt) > (claim.epoch, attempt):
                return
            known.add(printable(text))
            first = not self._changed
            self._changed.add(place)
        if first:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is told any more
                self._loop.call_soon_threadsafe(self._some.set)

    def forget(self, claim: Claim) -> None:
        """The run is over, or somebody else's: nothing of it is shown any more."""
        with self._lock:
            for place in [p for p in self._texts if p[0] == claim.id]:
                if self._texts[place].epoch <= claim.epoch:
                    del self._texts[place]
                    self._changed.discard(place)

    def over(self, claim: Claim, key: str) -> None:
        """The attempt has ended; its outcome takes the place of its text."""
        with self._lock:
            known = self._texts.get((claim.id, key))
            if known is not None and known.epoch <= claim.epoch:
                del self._texts[claim.id, key]
                self._changed.discard((claim.id, key))

    def _messages(self) -> list[tuple[str, str]]:
        now = time.monotonic()
        with self._lock:
            self._changed.clear()
            return [
                (ASIDE + text.run, text.message(key, now))
                for (_, key), text in self._texts.items()
                if text.is_due(now)
            ]

    async def _publish(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WHOLE_SECONDS if self._texts else None):
                    await self._some.wait()
            self._some.clear()
            messages = self._messages()
            if messages and not await self._sent(messages):
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(GATHER_SECONDS)

    async def _sent(self, messages: list[tuple[str, str]]) -> bool:
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for channel, message in messages:
                    pipeline.publish(channel, message)
                await pipeline.execute()
        except (redis.RedisError, OSError, TimeoutError) as error:
            if not self._told:
                log.warning("texts.lost", error=type(error).__name__)
            self._told = True
            return False
        self._told = False
        return True

    async def close(self) -> None:
        """Publish nothing more."""
        self._task.cancel()
        with contextlib.suppress(redis.RedisError, OSError):
            await self._client.aclose()
