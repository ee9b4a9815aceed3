"""Events of a run: in pages, and as a stream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Any

from django.db import close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from agentops.accounts.access import Action
from runs import queries, reading
from runs.api.base import RunView, checked
from runs.api.guarding import guarded
from runs.live.following import follow
from runs.live.text import Change, Delta, Reset
from runs.models import Run
from runs.serializers import (
    EventPageSerializer,
    EventQuerySerializer,
    EventSerializer,
    StreamQuerySerializer,
)
from runs.timeline import ENDS, Line

HEARTBEAT_SECONDS = 15.0
NOTHING_NEW = b": nothing new\n\n"
_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    {"type": "string", "pattern": r"^\d{1,10}$"},
    OpenApiParameter.HEADER,
    description="Number of the last event that arrived; browsers send it by themselves.",
)


class EventList(RunView):
    """The journal of a run."""

    @extend_schema(
        operation_id="events_list",
        parameters=[EventQuerySerializer],
        responses=EventPageSerializer,
    )
    def get(self, request: Request, public_id: str) -> Response:
        """List events of a run in order."""
        run = self.run_for(Action.VIEW, public_id)
        wanted = checked(EventQuerySerializer, request.query_params)
        kinds = [kind for kind in wanted.get("types", "").split(",") if kind]
        limit = wanted["limit"]
        rows = queries.events(
            run=run,
            after=wanted["after"],
            limit=limit,
            types=kinds,
            created_at__gte=wanted.get("created_at__gte"),
        )
        following = rows[-1].seq if len(rows) == limit else None
        return Response(EventPageSerializer({"items": rows, "next_after": following}).data)


class Indifferent(BaseContentNegotiation):
    """Errors are JSON whatever the caller accepts; the stream is what it is."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class Stream:
    """A view whose GET goes on and on; HEAD asks only whether it would begin."""

    def head(self, request: Request, public_id: str) -> HttpResponse:
        """Say that there is a stream, to who may follow it."""
        answer: StreamingHttpResponse = self.get(request, public_id)  # type: ignore[attr-defined]
        answer.close()
        return HttpResponse(content_type=answer["Content-Type"])


class EventStream(Stream, RunView):
    """The journal of a run, as it is written."""

    content_negotiation_class = Indifferent

    @extend_schema(
        operation_id="events_stream",
        parameters=[StreamQuerySerializer, _LAST_EVENT_ID],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                {"type": "string"},
                description=(
                    "Server-sent events: `id` is the number, `event` the type, `data` the event in "
                    "JSON. `stream.gap` names numbers that are lost, `stream.end` follows the last "
                    "event of a final run, `stream.refused` comes when you may no longer see it. "
                    "`content.delta` and `content.reset` carry text as it is produced; they have "
                    "no id."
                ),
            )
        },
    )
    def get(self, request: Request, public_id: str) -> StreamingHttpResponse:
        """Follow a run: first what is there after a number, then what happens."""
        run = self.run_for(Action.VIEW, public_id)
        after = min(_begin_after(request), reading.last_seq(run.pk))
        is_over = run.is_final and not queries.events(run=run, after=after, limit=1)
        # From here on the stream lives on the hub; it must not sit on a connection for hours.
        close_old_connections()
        answer = StreamingHttpResponse(
            guarded(stream(run, after, is_over=is_over), self.caller, run),
            content_type="text/event-stream",
        )
        answer["Cache-Control"] = "no-store"
        answer["X-Accel-Buffering"] = "no"
        return answer


def _begin_after(request: Request) -> int:
    asked = checked(StreamQuerySerializer, request.query_params).get("after")
    last = request.headers.get("Last-Event-ID", "")
    if last and not (last.isascii() and last.isdecimal() and len(last) <= 10):
        raise ValidationError({"Last-Event-ID": ["This is not the number of an event."]})
    return int(last) if last else int(asked or 0)


async def stream(
    run: Run, after: int, *, is_over: bool = False, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> AsyncGenerator[bytes, None]:
    """The events of a run above ``after``, a comment when nothing happens, and its end."""
    if is_over:
        yield message("stream.end", {"status": run.status})
        return
    last = ""
    async with contextlib.aclosing(follow(run, after, pause_seconds=heartbeat_seconds)) as coming:
        async for news in coming:
            if news.is_silence:
                yield NOTHING_NEW
                continue
            yield b"".join([*told_text(run, news.changes), *_told(news.lines, after)])
            if news.lines:
                after, last = news.lines[-1].seq, news.lines[-1].kind
    # A run that failed may have gone on; what is followed ends only when it has ended for good.
    if last in ENDS:
        yield message("stream.end", {"status": last.removeprefix("run.")})


def told_text(run: Run, changes: Iterable[Change]) -> Iterator[bytes]:
    """Text that passes beside the journal. It has no number: nobody can ask for it again."""
    for change in changes:
        place = {"run": run.public_id, "step": change.step, "attempt": change.attempt}
        if isinstance(change, Delta):
            yield message("content.delta", {**place, "at": change.at, "text": change.text})
        elif isinstance(change, Reset):
            yield message("content.reset", place)


def gap(row: Line, after: int) -> Iterator[bytes]:
    """What is said before ``row`` when events between it and ``after`` are lost."""
    if row.seq > after + 1:
        yield message("stream.gap", {"from": after + 1, "to": row.seq - 1})


def _told(rows: Sequence[Line], after: int) -> Iterator[bytes]:
    for row in rows:
        yield from gap(row, after)
        after = row.seq
        yield message(row.kind, EventSerializer(row).data, row.seq)


def message(kind: str, data: object, number: int | str | None = None) -> bytes:
    """A server-sent event."""
    head = "" if number is None else f"id: {number}\n"
    body = json.dumps(data, cls=JSONEncoder, separators=(",", ":"))
    return f"{head}event: {kind}\ndata: {body}\n\n".encode()
