"""Something a tab watches that looks by itself: when it hears of news, and now and then.

What another app shows live stands in ``AGENTOPS_TOPICS`` by the first word of its topic.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from agentops.accounts.access import Actor
from runs.live.audience import Frame, Subscriber, encode
from runs.live.hub import hub
from runs.zones import zone

log = structlog.get_logger(__name__)

# How long what nobody told of may stay unnoticed; what is said is heard at once.
LOOK_SECONDS = 2.0


class Watch(ABC):
    """One thing on one screen. It works until it is closed."""

    def __init__(self, who: Subscriber, zone_name: str, topic: str, hears: Iterable[str]) -> None:
        self._who, self._zone, self._topic = who, zone_name, topic
        self._hears = tuple(hears)
        self._stirred = asyncio.Event()
        self._task = asyncio.create_task(self._keep_working(), name=f"live {topic}")

    @classmethod
    @abstractmethod
    async def open(cls, who: Subscriber, zone_name: str, topic: str, said: dict[str, Any]) -> Watch:
        """What the browser asks to watch. Raises NotFound."""

    @abstractmethod
    def look(self, viewer: Actor) -> list[Frame]:
        """Frames for what changed since the last look; in the hub's thread."""

    async def close(self) -> None:
        """Send no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep_working(self) -> None:
        with contextlib.ExitStack() as listening:
            for name in self._hears:
                listening.enter_context(hub().channel.listen(name, self._heard))
            while True:
                self._stirred.clear()
                try:
                    frames = await hub().read(self._look, self._who.actor)
                except Exception:  # a screen outlives whatever one look runs into
                    log.exception("live.look_failed", topic=self._topic)
                    frames = []
                if frames:
                    self._who.offer(self._topic, encode(frames))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._stirred.wait()

    def _heard(self, _: bytes) -> None:
        self._stirred.set()

    def _look(self, viewer: Actor) -> list[Frame]:
        with timezone.override(zone(self._zone)):
            return self.look(viewer)


def opener(kind: str) -> type[Watch] | None:
    """What watches topics of this kind, if another app has one."""
    named = settings.AGENTOPS_TOPICS.get(kind)
    found: type[Watch] | None = import_string(named) if named else None
    return found
