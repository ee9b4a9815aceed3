"""A conversation as a stream: all its runs, one after the other, across their borders.

Each event has an id ``turn.seq``, so that a reader who was cut off goes on where they were,
whichever run it was in. The end of a turn has the id of the beginning of the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from django.db import close_old_connections
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from agentops.accounts.access import Action
from runs import dialogue, reading
from runs.api.base import checked
from runs.api.conversation_serializers import MessageSerializer
from runs.api.conversations import ConversationView
from runs.api.events import (
    HEARTBEAT_SECONDS,
    NOTHING_NEW,
    Indifferent,
    Stream,
    gap,
    message,
    told_text,
)
from runs.api.guarding import guarded
from runs.dialogue import Said
from runs.live.following import News, follow
from runs.live.hub import hub
from runs.models import Conversation
from runs.serializers import EventSerializer, QuerySerializer
from runs.timeline import Line

# How long a turn nobody told of may stay unnoticed.
LOOK_SECONDS = 2.0
_PLACE = re.compile(r"(\d{1,9})\.(\d{1,9})")
_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    {"type": "string", "pattern": r"^\d{1,9}\.\d{1,9}$"},
    OpenApiParameter.HEADER,
    description="Id of the last event that arrived; browsers send it by themselves.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a conversation: after event ``seq`` of turn ``turn``."""

    turn: int = 1
    seq: int = 0

    @classmethod
    def read(cls, text: str) -> Place | None:
        """The place an id names, if it is one."""
        found = _PLACE.fullmatch(text)
        if not text.isascii() or found is None or int(found[1]) < 1:
            return None
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.turn}.{self.seq}"


@dataclass(slots=True)
class Seen:
    """How far a reader is in a turn."""

    seq: int


class ConversationStreamQuery(QuerySerializer):
    """Where a stream begins, and whether it ends."""

    after = serializers.RegexField(
        r"^\d{1,9}\.\d{1,9}$",
        required=False,
        help_text="An id, turn.seq; 3.0 is before the first event of turn 3.",
    )
    until = serializers.ChoiceField(
        [("idle", "idle")],
        required=False,
        help_text="The stream ends when no run is live and no message waits.",
    )


class ConversationStream(Stream, ConversationView):
    """Everything that happens in a conversation."""

    content_negotiation_class = Indifferent

    @extend_schema(
        operation_id="conversations_stream",
        parameters=[ConversationStreamQuery, _LAST_EVENT_ID],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                {"type": "string"},
                description=(
                    "Server-sent events of all runs in turn, as those of a run. `turn.started` has "
                    "the message, `turn.ended` message and answer. `id` is turn.seq."
                ),
            )
        },
    )
    def get(self, request: Request, public_id: str) -> StreamingHttpResponse:
        """Follow a conversation: first what is there after an id, then what happens."""
        found = self.conversation_for(Action.VIEW, public_id)
        wanted = checked(ConversationStreamQuery, request.query_params)
        begin = _begin(request, wanted.get("after", ""))
        # From here on the stream lives on the hub; it must not sit on a connection for hours.
        close_old_connections()
        chunks = stream(found, begin, until_idle=wanted.get("until") == "idle")
        answer = StreamingHttpResponse(
            guarded(chunks, self.caller, found), content_type="text/event-stream"
        )
        answer["Cache-Control"] = "no-store"
        answer["X-Accel-Buffering"] = "no"
        return answer


def _begin(request: Request, after: str) -> Place:
    last = request.headers.get("Last-Event-ID", "")
    place = Place.read(last or after) if last or after else Place()
    if place is None:
        field = "Last-Event-ID" if last else "after"
        raise ValidationError({field: ["Send the id of an event, such as 2.17."]})
    return place


async def stream(
    conversation: Conversation,
    place: Place,
    *,
    until_idle: bool = False,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """What happens after ``place``, a comment when nothing does, and with ``until_idle`` an end."""
    stirred = asyncio.Event()
    with hub().channel.listen(conversation.public_id, lambda _: stirred.set()):
        quiet = 0.0
        seen: Seen | None = None
        while True:
            stirred.clear()
            said = await hub().read(dialogue.turn, conversation=conversation, number=place.turn)
            if said is not None:
                seen = await _begin_of(said, place)
                events = _turn_of(said, seen, heartbeat_seconds)
                async with contextlib.aclosing(events):
                    async for event in events:
                        yield event
                place, quiet = Place(place.turn + 1), 0.0
            elif (back := await _went_on(conversation, place, seen)) is not None:
                place = back
            elif until_idle and await hub().read(dialogue.is_idle, conversation):
                yield message("stream.end", {"status": "idle"})
                return
            else:
                quiet += await _wait(stirred, min(LOOK_SECONDS, heartbeat_seconds))
                if quiet >= heartbeat_seconds:
                    quiet = 0.0
                    yield NOTHING_NEW


async def _wait(stirred: asyncio.Event, seconds: float) -> float:
    """Wait for a bell; how long it was waited without one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stirred.wait()
        return 0.0
    return seconds


async def _begin_of(said: Said, place: Place) -> Seen:
    """Where to begin in a turn; what is still to come cannot have been seen."""
    if place.seq == 0 or said.run is None:
        return Seen(0)
    return Seen(min(place.seq, await hub().read(reading.last_seq, said.run.pk)))


async def _went_on(conversation: Conversation, place: Place, seen: Seen | None) -> Place | None:
    """Back into the turn before, if its run failed, was told as ended, and goes on."""
    turn = place.turn - 1
    if turn < 1 or place.seq:
        return None
    after = await hub().read(
        dialogue.went_on, conversation=conversation, turn=turn, after=seen.seq if seen else None
    )
    return None if after is None else Place(turn, after)


async def _turn_of(said: Said, seen: Seen, pause: float) -> AsyncGenerator[bytes, None]:
    """The events of one turn after what was seen, its text, and how it ended."""
    assert said.run is not None  # noqa: S101 - a turn has a run
    if seen.seq == 0:
        yield message("turn.started", _told(said))
    async with contextlib.aclosing(_news(said, seen.seq, pause)) as coming:
        async for news in coming:
            if news.is_silence:
                yield NOTHING_NEW
                continue
            told = [*told_text(said.run, news.changes)]
            for line in news.lines:
                told += [*gap(line, seen.seq), _event(said, line)]
                seen.seq = line.seq
            yield b"".join(told)
    ended = await hub().read(dialogue.behind, said.run)
    yield message("turn.ended", _told(ended), str(Place((said.turn or 0) + 1)))


def _event(said: Said, line: Line) -> bytes:
    run = said.run.public_id if said.run is not None else None
    data = cast("dict[str, Any]", EventSerializer(line).data) | {"run": run, "turn": said.turn}
    return message(line.kind, data, f"{said.turn}.{line.seq}")


async def _news(said: Said, seq: int, pause: float) -> AsyncGenerator[News, None]:
    """News of the turn's run; none if all of it was seen before."""
    assert said.run is not None  # noqa: S101 - as above
    if said.run.is_final and not await hub().read(dialogue.events_left, said.run, seq):
        return
    async with contextlib.aclosing(follow(said.run, seq, pause_seconds=pause)) as coming:
        async for news in coming:
            yield news


def _told(said: Said) -> dict[str, Any]:
    return dict(MessageSerializer(said).data)
