"""One hub per web process: what is new is read once, drawn once, and sent to all who watch.

# Note [Why a hub]
Sending each event to each socket through a channel layer does not scale: it saturates a core at
some 3,000 messages a second. The hub looks at most every :data:`TICK_SECONDS`, sends one message
per topic at most every :data:`TOPIC_SECONDS`, and the text of a message is made once.

# Note [Late]
Without hints, or when the database does not answer, pages are late: the hub looks by itself every
:data:`POLL_WITHOUT_HINTS_SECONDS` and tells every page which moment it shows. Streams of programs
have nobody who reads a notice and are looked for every :data:`STREAM_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.utils import timezone

from runs import bell, figures, reading
from runs.live.audience import (
    RIGHT_LOST,
    Audience,
    ListAudience,
    Shown,
    Stream,
    Subscriber,
    encode,
)
from runs.live.channel import Channel
from runs.live.glances import Glances
from runs.live.hints import Hints, runs_in
from runs.live.lists import new_rows
from runs.live.reader import Reader
from runs.models import Run
from runs.timeline import ENDS, Line

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

TICK_SECONDS = 0.01
TOPIC_SECONDS = 0.25
COUNT_SECONDS = 1.0
POLL_WITHOUT_HINTS_SECONDS = 5.0
POLL_WITH_HINTS_SECONDS = 3.0
STREAM_SECONDS = 1.0
LATE_SECONDS = 1.0
PAUSE_AFTER_FAILURE_SECONDS = 1.0
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
        self._hints = Hints(settings.REDIS_URL, {bell.HINTS: runs_in(self.heard)}, self.look)
        self.channel = Channel(settings.REDIS_URL)
        self._runs: dict[int, WatchedRun] = {}
        self._lists: dict[ListAudience, WatchedList] = {}
        # Sockets that watch something else, and are told with the others when pages are late.
        self._guests: set[Subscriber] = set()
        self._dirty: set[int] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._polled_at = self._streams_at = float("-inf")
        self.glances = Glances()
        self._failed = False
        # When pages showed the newest for the last time, and what they were told of it.
        self._seen_at = timezone.now()
        self._well_at = time.monotonic()
        self._told = ""

    # -- who watches --------------------------------------------------------------------------

    async def watch_run(self, who: Subscriber, run: Run, audience: Audience, after: int) -> None:
        """Send ``who`` what happens to ``run`` after event ``after``."""
        self._start()
        self._greet(who)
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
        self._greet(who)
        watched = self._lists.setdefault(audience, WatchedList())
        watched.sockets[who] = shown
        await self._reader.do(self._reader.join_list, who.actor, audience, shown.ids)

    def watch_sums(self, who: Subscriber) -> None:
        """Tell ``who`` now and then that sums of everything may have changed."""
        self._start()
        self._greet(who)
        self.glances.watch(who)

    def join(self, who: Subscriber) -> None:
        """Tell ``who``, who watches something the hub does not read, when pages are late."""
        self._start()
        self._greet(who)
        self._guests.add(who)

    def leave(self, who: Subscriber) -> None:
        """Tell ``who`` no more of that."""
        self._guests.discard(who)

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
        self.glances.heard()
        self._wake.set()

    def look(self) -> None:
        """Look at everything now, whatever was heard."""
        self._polled_at = self._streams_at = float("-inf")
        self._wake.set()

    # -- the loop -----------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._tasks:
            self._well_at = time.monotonic()
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
        await self.channel.close()
        await asyncio.to_thread(self._reader.close)

    async def _work(self) -> None:
        while True:
            polled = self._poll()
            due = self._due_in()
            if due > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), due)
            self._wake.clear()
            try:
                await self._send_runs()
                await self._send_lists()
                self.glances.tell()
                self._failed = False
            except Exception:  # the hub outlives whatever one look runs into
                log.exception("live.look_failed")
                self._failed, self._polled_at = True, float("-inf")
            self._tell_if_late(looked=polled)
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS if self._failed else TICK_SECONDS)

    def _poll(self) -> bool:
        """Look at everything once in a while: hints may be lost, or there is no Redis."""
        now = time.monotonic()
        if now - self._streams_at >= STREAM_SECONDS and not self._hints.connected:
            self._streams_at = now
            self._dirty |= {pk for pk, watched in self._runs.items() if watched.streams}
        if now - self._polled_at < self._poll_seconds:
            return False
        self._polled_at = now
        self._dirty |= self._runs.keys()
        for watched in self._lists.values():
            watched.rows_due = watched.count_due = True
        if not self._hints.connected:
            self.glances.heard()
        return True

    @property
    def _poll_seconds(self) -> float:
        return POLL_WITH_HINTS_SECONDS if self._hints.connected else POLL_WITHOUT_HINTS_SECONDS

    def _due_in(self) -> float:
        """Seconds until something may be sent, unless a hint comes first."""
        now = time.monotonic()
        moments = [self._polled_at + self._poll_seconds, self.glances.due_at()]
        if not self._hints.connected and not self._told:
            moments.append(max(self._well_at + LATE_SECONDS, now))
        if not self._hints.connected and any(watched.streams for watched in self._runs.values()):
            moments.append(self._streams_at + STREAM_SECONDS)
        moments += [
            self._runs[pk].sent_at + TOPIC_SECONDS for pk in self._dirty & self._runs.keys()
        ]
        for watched in self._lists.values():
            moments += [watched.sent_at + TOPIC_SECONDS] if watched.rows_due else []
            moments += [watched.counted_at + COUNT_SECONDS] if watched.count_due else []
        return min(moments) - now

    # -- whether pages are told at once -------------------------------------------------------

    def _tell_if_late(self, *, looked: bool) -> None:
        """Tell every page which moment it shows while it is not told at once, and when it is."""
        trouble = self._failed or not self._hints.connected
        if not self._failed and (looked or not trouble):
            self._seen_at = timezone.now()
        if not trouble:
            self._well_at = time.monotonic()
        late = time.monotonic() - self._well_at >= LATE_SECONDS
        told = _paused(figures.iso(self._seen_at)) if late else ""
        if told == self._told:
            return
        self._told = told
        for who in self._sockets():
            who.mention(told or _paused(""))

    @property
    def is_late(self) -> bool:
        """Whether pages show the state of an earlier moment now."""
        return bool(self._told)

    def _greet(self, who: Subscriber) -> None:
        if self._told:
            who.mention(self._told)

    @property
    def sockets(self) -> int:
        """How many watch."""
        return len(self._sockets())

    def _sockets(self) -> set[Subscriber]:
        pages = (who for watched in self._runs.values() for who in watched.pages.values())
        lists = (watched.sockets for watched in self._lists.values())
        return self._guests.union(self.glances.watchers, *pages, *lists)

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``call`` reads, in the hub's thread and over its connection."""
        return await self._reader.do(call, *args, **kwargs)

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
        found = await self._reader.do(self._reader.look, seen, audiences)
        for pk, new in found.lines.items():
            self._advance(pk, new, now)
        for (pk, audience), made in found.frames.items():
            if pk in self._runs:
                self._runs[pk].run = found.runs[pk]
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
        """Send to those who may still see the run; the others are told that they may not."""
        topic = f"run:{watched.run.public_id}"
        for who in list(watched.pages.get(audience, ())):
            if who.sees(watched.run):
                who.offer(topic, text)
            else:
                watched.pages[audience].discard(who)
                who.mention(encode([{"do": "bye", "topic": topic, "code": RIGHT_LOST}]))

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
                who.offer("runs", encode([new_rows(audience.query, count)]))

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
                if lines[-1].kind in ENDS and await self._reader.do(
                    reading.is_over, run.pk, lines[-1].seq
                ):
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


def _paused(at: str) -> str:
    """The message that pages show the state of that moment; of none: they are live."""
    return encode([{"do": "paused", "at": at}])


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def watching() -> int:
    """How many sockets of this process watch something."""
    return sum(hub.sockets for hub in list(_hubs.values()))


def subscribe(run: Run, after: int = 0) -> AsyncIterator[list[Line]]:
    """The lines of a run's journal after event ``after``, as they come, until the run ends.

    Dense and in order. Leaving the iteration ends the subscription.
    """
    return hub().stream(run, after)
