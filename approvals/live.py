"""What tabs that show the inbox are told: rows in place, counts, and when a request changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async
from django.db.models import Max
from django.utils import timezone

from agentops.accounts.access import Actor, NotFound
from approvals import inbox
from approvals.inbox import TABS, Wanted
from approvals.models import Record, Request
from approvals.moves import INBOX
from approvals.recounting import sentence
from approvals.showing import Row
from runs import figures
from runs.live.audience import RIGHT_LOST, Frame, Shown, Subscriber, number
from runs.live.pages import draw
from runs.live.watching import Watch

MOST_COUNTED = 100
Looked = tuple[object, ...]


class InboxList(Watch):
    """The list of requests on one screen."""

    def __init__(self, who: Subscriber, zone_name: str, query: str, shown: Shown) -> None:
        self._wanted = Wanted.read(dict(parse_qsl(query)))
        self._ids = shown.ids
        # The list was painted at this moment, in milliseconds.
        self._since = datetime.fromtimestamp((shown.newest or 0) / 1000, UTC)
        self._rows: dict[str, Looked] = {}
        self._told: dict[str, str] = {}
        super().__init__(who, zone_name, INBOX, [INBOX])

    @classmethod
    async def open(
        cls,
        who: Subscriber,
        zone_name: str,
        topic: str,  # noqa: ARG003 - as the base says it
        said: dict[str, Any],
    ) -> Watch:
        return cls(who, zone_name, str(said.get("query", ""))[:500], Shown.said(said))

    def look(self, viewer: Actor) -> list[Frame]:
        return [*self._changed(viewer), *self._counts(viewer)]

    def _changed(self, viewer: Actor) -> Iterator[Frame]:
        """The rows shown that are not as they were drawn; they stay where they are."""
        mine = inbox.requests_of(viewer).filter(public_id__in=self._ids)
        rows = mine.select_related("owner", "acknowledged_by", "decided_by")
        moved = [row for row in rows if self._has_moved(row)]
        if moved:
            fits = _fitting(self._wanted, viewer, [row.pk for row in moved])
            now = timezone.localtime()
            yield from (_row(Row(row, now, matches=row.pk in fits)) for row in moved)

    def _has_moved(self, row: Request) -> bool:
        looked = (row.state, row.acknowledged_by_id, row.decide_by, row.title, row.risk)
        before, self._rows[row.public_id] = self._rows.get(row.public_id), looked
        if before is not None:
            return before != looked
        return any(
            at is not None and at > self._since for at in (row.decided_at, row.acknowledged_at)
        )

    def _counts(self, viewer: Actor) -> Iterator[Frame]:
        """How many wait in each tab, for the reader in the rail, and not shown yet."""
        tallies = inbox.tallies(viewer)
        for name in TABS:
            if name in tallies:
                yield from self._count(f"tally-{name or 'mine'}", figures.count(tallies[name]))
        html = draw("inbox/_waiting.html", waiting_for_me=tallies[""])
        if self._told.get("rail") not in (None, html):
            yield {"do": "place", "topic": INBOX, "how": "morph", "id": "rail-inbox", "html": html}
        self._told["rail"] = html
        new = self._wanted.of(viewer).filter(created_at__gt=self._since)
        count = new.exclude(public_id__in=self._ids).values("pk")[:MOST_COUNTED].count()
        told = "99+" if count >= MOST_COUNTED else str(count)
        yield from self._count("new-requests", f"{told} new" if count else "", first="")

    def _count(self, name: str, text: str, first: str | None = None) -> Iterator[Frame]:
        """The frame of a number that differs from what the page was told of it, or shows."""
        before, self._told[name] = self._told.get(name, first), text
        if before is None or before != text:
            yield {"do": "count", "topic": INBOX, "id": name, "text": text}


def _fitting(wanted: Wanted, viewer: Actor, keys: Collection[int]) -> set[int]:
    return set(wanted.of(viewer).filter(pk__in=keys).values_list("pk", flat=True))


def _row(row: Row) -> Frame:
    html = draw("inbox/_row.html", row=row, now=row.now)
    return {"do": "place", "topic": INBOX, "how": "morph", "id": row.request.public_id,
            "html": html}  # fmt: skip


class RequestPage(Watch):
    """One request on one screen: when something happens to it, the screen reads it again."""

    def __init__(
        self, who: Subscriber, zone_name: str, topic: str, known: tuple[int, int | None]
    ) -> None:
        self._pk, self._version = known
        super().__init__(who, zone_name, topic, [topic.partition(":")[2]])

    @classmethod
    async def open(cls, who: Subscriber, zone_name: str, topic: str, said: dict[str, Any]) -> Watch:
        pk = await database_sync_to_async(_key)(who.actor, topic.partition(":")[2])
        return cls(who, zone_name, topic, (pk, number(said.get("after"))))

    def look(self, viewer: Actor) -> list[Frame]:
        if not inbox.requests_of(viewer).filter(pk=self._pk).exists():
            return [{"do": "bye", "topic": self._topic, "code": RIGHT_LOST}]
        records = Record.objects.filter(request=self._pk)
        version = records.aggregate(last=Max("pk"))["last"] or 0
        if version == self._version:
            return []
        self._version = version
        newest = records.filter(pk=version).first()
        stale = {"do": "stale", "topic": self._topic, "ids": ["request"]}
        said = [{"do": "say", "text": sentence(newest), "urgent": False}] if newest else []
        return [stale, *said]


def _key(viewer: Actor, public_id: str) -> int:
    """The key of a request they may see. Raises NotFound."""
    found = inbox.requests_of(viewer).filter(public_id=public_id.replace("\0", "")).first()
    if found is None:
        raise NotFound
    return found.pk
