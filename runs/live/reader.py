"""The hub's one thread and one database connection: reads what is new and draws it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import structlog
from django.db import connections
from django.utils import timezone

from agentops.accounts.access import Actor
from runs import reading
from runs.listing import Filter
from runs.live import lists, pages
from runs.live.audience import Audience, Frame, ListAudience, encode
from runs.live.lists import Known
from runs.live.pages import Before, News
from runs.models import Run
from runs.timeline import Line, Timeline
from runs.zones import zone

P = ParamSpec("P")
T = TypeVar("T")
Drawn = dict[tuple[int, Audience], list[Frame]]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Look:
    """What a look found: new lines of runs, frames for audiences, and the runs as they are now."""

    lines: dict[int, list[Line]]
    frames: Drawn = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)


class Reader:
    """Does its calls one after the other, so that what it keeps needs no lock."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self.timelines: dict[int, Timeline] = {}
        self._before: dict[tuple[int, Audience], Before] = {}
        self._known: dict[ListAudience, Known] = {}

    async def do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``call`` in the thread. The connection goes back to the pool after each."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: _and_close(lambda: call(*args, **kwargs))
        )

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    # -- pages of runs ------------------------------------------------------------------------

    def look(self, seen: dict[int, int], audiences: dict[int, list[Audience]]) -> Look:
        """New lines of some runs, and frames for those who watch their pages."""
        found = Look(reading.new_lines(seen))
        watched = [pk for pk in found.lines if pk in self.timelines and audiences[pk]]
        if watched:
            found.runs = Run.objects.select_related("owner").in_bulk(watched)
        for run in found.runs.values():
            try:
                found.frames |= self._draw(run, found.lines[run.pk], audiences[run.pk])
            except Exception:  # what cannot be drawn of one run must not silence the others
                log.exception("live.undrawn", run=run.public_id)
                self.forget(run.pk, set())
                gap = {"do": "gap", "topic": f"run:{run.public_id}"}
                found.frames |= {(run.pk, audience): [gap] for audience in audiences[run.pk]}
        return found

    def _draw(self, run: Run, lines: list[Line], audiences: list[Audience]) -> Drawn:
        timeline = self.timelines[run.pk]
        fresh = [line for line in lines if line.seq > timeline.seq]
        news = News(run, timeline, timeline.seq, fresh, timeline.apply(fresh))
        known = [a for a in audiences if (run.pk, a) in self._before]
        return {(run.pk, audience): self._frames(news, audience) for audience in known if fresh}

    def _frames(self, news: News, audience: Audience) -> list[Frame]:
        key = (news.run.pk, audience)
        with timezone.override(zone(audience.zone)):
            frames, self._before[key] = pages.changes(news, audience, self._before[key])
        return frames

    def join(self, run_id: int, audience: Audience, after: int) -> tuple[int, list[Frame]]:
        """Begin to draw for an audience; frames for a page that was drawn at event ``after``.

        A timeline that is there already is left as it is: what it has not seen yet, all who watch
        get together.
        """
        timeline = self.timelines.get(run_id)
        if timeline and after >= timeline.seq and (run_id, audience) in self._before:
            return timeline.seq, []
        run = Run.objects.select_related("owner").get(pk=run_id)
        if timeline is None:
            timeline = self.timelines[run_id] = reading.timeline(run).copy()
        news = News(run, timeline, after)
        with timezone.override(zone(audience.zone)):
            if (run_id, audience) not in self._before:
                self._before[run_id, audience] = pages.before_of(news, audience)
            return timeline.seq, self._missed(news, audience)

    def _missed(self, news: News, audience: Audience) -> list[Frame]:
        after = news.after
        if after >= news.timeline.seq:
            return []
        if news.timeline.seq - after > pages.MOST_CAUGHT_UP:
            return [{"do": "gap", "topic": f"run:{news.run.public_id}"}]
        news.changed = [step for step in news.timeline.steps if step.last_seq > after]
        if audience.view == "journal":
            lines = reading.lines(news.run, after=after)
            news.lines = [line for line in lines if line.seq <= news.timeline.seq]
        frames, _ = pages.changes(news, audience, pages.before_missing(news, audience))
        return [frame for frame in frames if frame["do"] != "say"]

    def forget(self, run_id: int, audiences: set[Audience]) -> None:
        """Nobody but these watches the run any more."""
        for key in [key for key in self._before if key[0] == run_id and key[1] not in audiences]:
            del self._before[key]
        if not audiences:
            self.timelines.pop(run_id, None)

    # -- lists --------------------------------------------------------------------------------

    def join_list(self, viewer: Actor, audience: ListAudience, ids: frozenset[str]) -> None:
        """Begin to watch the rows of a list that a page has drawn."""
        known = self._known.setdefault(audience, Known())
        lists.remember(viewer, ids, known)

    def rows(self, viewer: Actor, audience: ListAudience, ids: frozenset[str]) -> str | None:
        """The message about rows that changed, if any did."""
        query = Filter.read_query(audience.query)
        known = self._known.setdefault(audience, Known())
        with timezone.override(zone(audience.zone)):
            frames = lists.row_changes(viewer, query, ids, known)
        return encode(frames) if frames else None

    def new_counts(self, viewer: Actor, audience: ListAudience, newest: set[int]) -> dict[int, int]:
        """How many runs came after each of some numbers."""
        query = Filter.read_query(audience.query)
        return {number: lists.new_count(viewer, query, number) for number in newest}

    def forget_list(self, audience: ListAudience) -> None:
        self._known.pop(audience, None)

    # -- raw lines ----------------------------------------------------------------------------

    def lines(self, run_id: int, after: int, limit: int) -> list[Line]:
        """Lines of a run, a page of them."""
        return reading.lines(Run(pk=run_id), after=after, limit=limit)


def _and_close(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
