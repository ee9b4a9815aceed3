"""One hub per web process: what is new is read once, drawn once, and sent to all who watch.

# Note [Why a hub]
Sending each event to each socket through a channel layer does not scale: it saturates a core at
some 3,000 messages a second. The hub looks at most every :data:`TICK_SECONDS`, sends one message
per topic at most every :data:`TOPIC_SECONDS`, and the text of a message is made once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import structlog
from django.conf import settings

from runs import reading
from runs.live.audience import (
    Audience,
    ListAudience,
    Shown,
    Stream,
    Subscriber,
    encode,
)
from runs.live.hints import Hints
from runs.live.lists import pill
from runs.live.reader import Reader
from runs.models import Run
from runs.timeline import ENDS, Line

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.01
TOPIC_SECONDS = 0.25
COUNT_SECONDS = 1.0
POLL_WITHOUT_HINTS_SECONDS = 1.0
POLL_WITH_HINTS_SECONDS = 3.0
STREAM_PAGE = 500


@dataclass(slots=True)
class WatchedRun:
    """A run that somebody watches. ``seq`` is the last event read of it, 0 before the first."""

    run: Run
    seq: int = 0
    pages: dict[Audience, set[Subscriber]] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    sent_at: float = 0.0


@dataclass(slots=True)
class WatchedList:
    """A list that somebody watches."""

    sockets: dict[Subscriber, Shown] = field(default_factory=dict)
    sent_at: float = 0.0
    counted_at: float = 0.0
    rows_due: bool = False
    count_due: bool = False


class Hub:
    """Belongs to one event loop. Starts to work with the first who watches."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._hints = Hints(settings.REDIS_URL, self.heard)
        self._runs: dict[int, WatchedRun] = {}
        self._lists: dict[ListAudience, WatchedList] = {}
        self._dirty: set[int] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._polled_at = 0.0

    # -- who watches --------------------------------------------------------------------------

    async def watch_run(self, who: Subscriber, run: Run, audience: Audience, after: int) -> None:
        """Send ``who`` what happens to ``run`` after event ``after``."""
        self._start()
        watched = self._runs.setdefault(run.pk, WatchedRun(run))
        watched.pages.setdefault(audience, set()).add(who)
        seq, frames = await self._reader.do(self._reader.join, run.pk, audience, after)
        watched.seq = watched.seq or seq
        if frames:
            who.offer(f"run:{run.public_id}", encode(frames))
        self._dirty.add(run.pk)
        self._wake.set()

    async def watch_list(self, who: Subscriber, audience: ListAudience, shown: Shown) -> None:
        """Send ``who`` changes of the runs it shows, and how many are new."""
        self._start()
        watched = self._lists.setdefault(audience, WatchedList())
        watched.sockets[who] = shown
        await self._reader.do(self._reader.join_list, who.actor, audience, shown.ids)

    async def leave_run(self, who: Subscriber, run_id: int, audience: Audience) -> None:
        """Send ``who`` no more of this run."""
        watched = self._runs.get(run_id)
        if watched is None:
            return
        watched.pages.get(audience, set()).discard(who)
        await self._tidy(run_id)

    async def leave_list(self, who: Subscriber, audience: ListAudience) -> None:
        """Send ``who`` no more of this list."""
        watched = self._lists.get(audience)
        if watched is None:
            return
        watched.sockets.pop(who, None)
        if not watched.sockets:
            del self._lists[audience]
            await self._reader.do(self._reader.forget_list, audience)

    async def _tidy(self, run_id: int) -> None:
        watched = self._runs[run_id]
        watched.pages = {audience: who for audience, who in watched.pages.items() if who}
        if not watched.pages and not watched.streams:
            del self._runs[run_id]
        await self._reader.do(self._reader.forget, run_id, set(watched.pages))

    def heard(self, runs: Iterable[int]) -> None:
        """A hint: these runs have news."""
        runs = set(runs)
        self._dirty |= runs & self._runs.keys()
        for watched in self._lists.values():
            watched.rows_due = watched.count_due = True
        self._wake.set()

    # -- the loop -----------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._hints.listen(), name="live-hints"),
                asyncio.create_task(self._work(), name="live-hub"),
            ]

    async def close(self) -> None:
        """Stop working; nobody is told anything any more."""
        going = set(self._tasks)
        while going:
            # Once is not enough: the Redis client swallows what reaches it while it connects.
            for task in going:
                task.cancel()
            _, going = await asyncio.wait(going, timeout=0.1)
        self._tasks = []
        await asyncio.to_thread(self._reader.close)

    async def _work(self) -> None:
        while True:
            self._poll()
            due = self._due_in()
            if due > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), due)
            self._wake.clear()
            try:
                await self._send_runs()
                await self._send_lists()
            except Exception:  # the hub outlives whatever one look runs into
                log.exception("live.look_failed")
                await asyncio.sleep(POLL_WITHOUT_HINTS_SECONDS)
            await asyncio.sleep(TICK_SECONDS)

    def _poll(self) -> None:
        """Look at everything once in a while: hints may be lost, or there is no Redis."""
        if time.monotonic() - self._polled_at < self._poll_seconds:
            return
        self._polled_at = time.monotonic()
        self._dirty |= self._runs.keys()
        for watched in self._lists.values():
            watched.rows_due = watched.count_due = True

    @property
    def _poll_seconds(self) -> float:
        return POLL_WITH_HINTS_SECONDS if self._hints.connected else POLL_WITHOUT_HINTS_SECONDS

    def _due_in(self) -> float:
        """Seconds until something may be sent, unless a hint comes first."""
        now = time.monotonic()
        moments = [self._polled_at + self._poll_seconds]
        moments += [
            self._runs[pk].sent_at + TOPIC_SECONDS for pk in self._dirty & self._runs.keys()
        ]
        for watched in self._lists.values():
            moments += [watched.sent_at + TOPIC_SECONDS] if watched.rows_due else []
            moments += [watched.counted_at + COUNT_SECONDS] if watched.count_due else []
        return min(moments) - now

    # -- runs ---------------------------------------------------------------------------------

    async def _send_runs(self) -> None:
        now = time.monotonic()
        self._dirty &= self._runs.keys()
        ready = {pk for pk in self._dirty if self._runs[pk].sent_at + TOPIC_SECONDS <= now}
        if not ready:
            return
        self._dirty -= ready
        seen = {pk: self._runs[pk].seq for pk in ready}
        audiences = {pk: [a for a, who in self._runs[pk].pages.items() if who] for pk in ready}
        lines, frames = await self._reader.do(self._reader.look, seen, audiences)
        for pk, new in lines.items():
            self._advance(pk, new, now)
        for (pk, audience), made in frames.items():
            if made and pk in self._runs:
                self._send(self._runs[pk], audience, encode(made))

    def _advance(self, pk: int, new: list[Line], now: float) -> None:
        watched = self._runs.get(pk)
        if watched is None:
            return
        watched.seq = max(watched.seq, new[-1].seq)
        watched.sent_at = now
        for stream in watched.streams:
            stream.wake.set()

    def _send(self, watched: WatchedRun, audience: Audience, text: str) -> None:
        topic = f"run:{watched.run.public_id}"
        for who in watched.pages.get(audience, ()):
            if who.sees(watched.run):
                who.offer(topic, text)

    # -- lists --------------------------------------------------------------------------------

    async def _send_lists(self) -> None:
        now = time.monotonic()
        for audience, watched in list(self._lists.items()):
            if watched.rows_due and watched.sent_at + TOPIC_SECONDS <= now:
                watched.rows_due, watched.sent_at = False, now
                await self._send_rows(audience, watched)
            if watched.count_due and watched.counted_at + COUNT_SECONDS <= now:
                watched.count_due, watched.counted_at = False, now
                await self._send_counts(audience, watched)

    async def _send_rows(self, audience: ListAudience, watched: WatchedList) -> None:
        ids = frozenset().union(*(shown.ids for shown in watched.sockets.values()))
        viewer = next(iter(watched.sockets)).actor
        text = await self._reader.do(self._reader.rows, viewer, audience, ids)
        if text is not None:
            for who in watched.sockets:
                who.offer("runs", text)

    async def _send_counts(self, audience: ListAudience, watched: WatchedList) -> None:
        asked = {shown.newest for shown in watched.sockets.values() if shown.newest is not None}
        if not asked:
            return
        viewer = next(iter(watched.sockets)).actor
        counts = await self._reader.do(self._reader.new_counts, viewer, audience, asked)
        for who, shown in watched.sockets.items():
            count = counts.get(shown.newest, 0) if shown.newest is not None else 0
            if count != shown.told:
                shown.told = count
                who.offer("runs", encode([pill(count)]))

    # -- streams ------------------------------------------------------------------------------

    async def stream(self, run: Run, after: int) -> AsyncIterator[list[Line]]:
        """The lines of ``run`` after event ``after``, as they come, until it has ended."""
        self._start()
        watched = self._runs.setdefault(run.pk, WatchedRun(run))
        stream = Stream(after)
        watched.streams.append(stream)
        try:
            watched.seq = watched.seq or await self._reader.do(reading.last_seq, run.pk)
            async for lines in self._lines(run.pk, stream):
                yield lines
                if any(line.kind in ENDS for line in lines):
                    return
        finally:
            watched.streams.remove(stream)
            if run.pk in self._runs:
                await self._tidy(run.pk)

    async def _lines(self, run_id: int, stream: Stream) -> AsyncIterator[list[Line]]:
        while True:
            stream.wake.clear()
            lines = await self._reader.do(self._reader.lines, run_id, stream.after, STREAM_PAGE)
            if lines:
                stream.after = lines[-1].seq
                yield lines
            if len(lines) < STREAM_PAGE:
                await stream.wake.wait()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def subscribe(run: Run, after: int = 0) -> AsyncIterator[list[Line]]:
    """The lines of a run's journal after event ``after``, as they come, until the run ends.

    Dense and in order. Leaving the iteration ends the subscription.
    """
    return hub().stream(run, after)
