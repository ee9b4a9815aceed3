"""Draws what changed in a list of conversations: rows in place, and how many have news."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from agentops.accounts.access import Actor
from runs import dialogue, talks
from runs.live.audience import Frame, Shown, Subscriber
from runs.live.pages import draw
from runs.live.watching import Watch
from runs.models import Run
from runs.talks import Asked

TOPIC = "conversations"
MOST_COUNTED = 100
Looked = tuple[object, ...]


@dataclass(slots=True)
class _Known:
    """How the rows of a screen stood when they were last drawn, and what it was told of others."""

    rows: dict[str, Looked] = field(default_factory=dict)
    told: int = 0


class TalkList(Watch):
    """One list of conversations on one screen."""

    def __init__(self, who: Subscriber, zone_name: str, query: str, shown: Shown) -> None:
        self._asked = Asked.read(dict(parse_qsl(query)))
        self._pages_on = "before=" in query
        self._ids = shown.ids
        # The list was painted at this moment, in milliseconds.
        self._since = datetime.fromtimestamp((shown.newest or 0) / 1000, UTC)
        self._known = _Known()
        super().__init__(who, zone_name, TOPIC, shown.ids)

    @classmethod
    async def open(
        cls, who: Subscriber, zone_name: str, topic: str, said: dict[str, Any]
    ) -> TalkList:
        assert topic == TOPIC  # noqa: S101 - nothing else is asked of it
        return cls(who, zone_name, str(said.get("query", ""))[:500], Shown.said(said))

    def look(self, viewer: Actor) -> list[Frame]:
        return [*self._rows(viewer), *self._pill(viewer)]

    def _rows(self, viewer: Actor) -> list[Frame]:
        newest = Run.objects.filter(conversation=OuterRef("pk")).order_by("-id")
        mine = dialogue.conversations(viewer=viewer).filter(public_id__in=self._ids)
        moved = [
            talk
            for talk in mine.annotate(moved_at=Subquery(newest.values("status_at")[:1]))
            if self._has_moved(talk)
        ]
        if not moved:
            return []
        fits = set(
            self._asked.of(viewer).filter(pk__in=[t.pk for t in moved]).values_list("pk", flat=True)
        )
        return [_frame(row) for row in talks.rows(moved, timezone.localtime(), fits=fits)]

    def _has_moved(self, talk: Any) -> bool:
        looked = (talk.live_status, talk.moved_at, talk.active_at, talk.turns, talk.waiting)
        before = self._known.rows.get(talk.public_id)
        self._known.rows[talk.public_id] = looked
        if before is None:
            return any(at is not None and at > self._since for at in looked[1:3])
        return before != looked

    def _pill(self, viewer: Actor) -> Iterable[Frame]:
        """How many conversations not shown have had news since the list was painted."""
        if self._pages_on:
            return
        others = self._asked.of(viewer).filter(active_at__gt=self._since)
        count = others.exclude(public_id__in=self._ids).values("pk")[:MOST_COUNTED].count()
        if count != self._known.told:
            self._known.told = count
            told = "99+" if count >= MOST_COUNTED else str(count)
            text = f"{told} with news" if count else ""
            yield {"do": "count", "topic": TOPIC, "id": "new-talks", "text": text}


def _frame(row: talks.TalkRow) -> Frame:
    html = draw("conversations/_row.html", row=row)
    public_id = row.conversation.public_id
    return {"do": "place", "topic": TOPIC, "how": "morph", "id": public_id, "html": html}
