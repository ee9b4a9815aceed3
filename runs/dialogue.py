"""What can be read about conversations. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery

from agentops.accounts.access import Action, Actor, NotFound, authorize, visible_to
from agentops.sdk.turns import Turn
from runs.models import Conversation, Journal, Message, Run, RunPayload
from runs.timeline import ENDS
from runs.turns import text_of
from runs.values import Stored, load_all

MOST_MESSAGES = 200
# A run can wait as well, for other things: this word is told apart from its statuses.
WAITING = "waiting_its_turn"
_PUBLIC_ID = re.compile(r"conv_[0-9a-z]{20}")


@dataclass(frozen=True)
class Said:
    """A message with what is known of its answer. ``run`` is None while it waits for its turn.

    A run that no message began stands here with its input; ``message`` is then None.
    """

    message: Message | None
    run: Run | None
    content: object
    output: object = None
    error: object = None

    @property
    def number(self) -> int:
        return self.message.number if self.message else 0

    @property
    def turn(self) -> int | None:
        return self.message.turn if self.message else None

    @property
    def sender(self) -> str:
        return self.message.sender if self.message else self.run.started_by if self.run else ""

    @property
    def at(self) -> datetime:
        """When it was said."""
        begun = self.message.at if self.message else self.run.created_at if self.run else None
        assert begun is not None  # noqa: S101 - one of them is there
        return begun

    @property
    def status(self) -> str:
        """The status of its run; of a message in line, that it is."""
        return self.run.status if self.run is not None else WAITING

    @property
    def is_text(self) -> bool:
        return isinstance(self.content, str)


def conversations(
    *, viewer: Actor, agent: str = "", busy: bool | None = None, words: str = ""
) -> QuerySet[Any]:
    """The conversations ``viewer`` may see, with ``live_run``, ``live_status`` and ``waiting``.

    ``words`` are all in the title or the name of the agent.
    """
    mine = visible_to(viewer, Conversation.objects.select_related("owner"))
    if agent:
        mine = mine.filter(agent=agent)
    for word in words.split():
        mine = mine.filter(Q(title__icontains=word) | Q(agent__icontains=word))
    live = Run.objects.filter(conversation=OuterRef("pk"), finished_at__isnull=True)
    mine = mine.annotate(
        live_run=Subquery(live.values("public_id")[:1]),
        live_status=Subquery(live.values("status")[:1]),
        waiting=Count("messages", filter=Q(messages__run__isnull=True)),
    )
    return mine if busy is None else mine.filter(live_run__isnull=not busy)


def conversation(*, public_id: str, viewer: Actor, action: Action = Action.VIEW) -> Conversation:
    """The conversation called ``public_id``. Raises NotFound unless ``viewer`` may do this."""
    found = None
    if _PUBLIC_ID.fullmatch(public_id):
        rows = Conversation.objects.select_related("owner", "team")
        found = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound(f"There is no conversation {public_id[:40]}, or it is not yours to see.")
    authorize(viewer, action, found)
    return found


def live_run(conversation: Conversation) -> Run | None:
    """The run that answers at this moment, if one does."""
    return Run.objects.filter(conversation=conversation, finished_at__isnull=True).first()


def waiting(conversation: Conversation) -> list[Said]:
    """The messages that wait for their turn, the next one first."""
    rows = Message.objects.filter(conversation=conversation, run__isnull=True)
    return _said(list(rows.order_by(F("urgent").desc(), "number")))


def messages(
    *, conversation: Conversation, after: int = 0, limit: int = MOST_MESSAGES
) -> list[Said]:
    """Up to ``limit`` messages above number ``after``, in the order in which they were said."""
    rows = _with_runs(conversation).filter(number__gt=after).order_by("number")
    return _said(list(rows[: min(limit, MOST_MESSAGES)]))


def turns(
    *, conversation: Conversation, before: int | None = None, limit: int = MOST_MESSAGES
) -> list[Said]:
    """The last ``limit`` turns below number ``before``, in the order in which they were taken."""
    rows = _with_runs(conversation).filter(turn__isnull=False)
    if before is not None:
        rows = rows.filter(turn__lt=before)
    newest = list(rows.order_by("-turn")[: min(limit, MOST_MESSAGES)])
    return _said(newest[::-1])


def turn(*, conversation: Conversation, number: int) -> Said | None:
    """One turn as it stands; None if it has not come."""
    row = _with_runs(conversation).filter(turn=number).first()
    return None if row is None else _said([row])[0]


def is_idle(conversation: Conversation) -> bool:
    """Whether no run is live and no message waits for its turn."""
    line = Message.objects.filter(conversation=conversation, run__isnull=True)
    return not line.exists() and live_run(conversation) is None


def events_left(run: Run, after: int) -> bool:
    """Whether the journal of ``run`` goes on after event ``after``."""
    return Journal.objects.filter(run=run, seq__gt=after).exists()


def went_on(*, conversation: Conversation, turn: int, after: int | None) -> int | None:
    """The event after which a turn that had ended went on, if it did: a failed run may.

    ``after`` is the last that was seen of it; None if that is not known any more.
    """
    run = run_of_turn(conversation.pk, turn)
    if run is None:
        return None
    if after is not None:
        return after if events_left(run, after) else None
    if run.is_final:
        return None
    ends = Journal.objects.filter(run=run, kind__in=ENDS)
    last: int | None = ends.aggregate(last=Max("seq"))["last"]
    return last


def run_of_turn(conversation_id: int, turn: int) -> Run | None:
    """The run that has this turn; None if it has not come."""
    return Run.objects.filter(message__conversation=conversation_id, message__turn=turn).first()


def earlier(*, run_id: int, last: int) -> list[Turn]:
    """Up to ``last`` turns before the one ``run_id`` belongs to, oldest first.

    A run that another one started, or a fork, belongs to the turn it came from.
    """
    message = message_behind(run_id)
    if message is None:
        return []
    before = turns(conversation=message.conversation, before=message.turn, limit=last)
    return [Turn(said.content, said.output, said.status, said.at) for said in before]


def between(*, conversation: Conversation, after: int, before: int) -> list[Turn]:
    """The turns above number ``after`` and below ``before``, oldest first: all of them."""
    rows = _with_runs(conversation).filter(turn__gt=after, turn__lt=before).order_by("turn")
    return [Turn(s.content, s.output, s.status, s.at) for s in _said(list(rows))]


def message_behind(run_id: int) -> Message | None:
    """The message whose turn a run belongs to, also by what it was forked from or started by."""
    above: int | None = run_id
    while above is not None:
        message = Message.objects.select_related("conversation").filter(run=above).first()
        if message is not None:
            return message
        run = Run.objects.only("parent_id", "forked_from_id").filter(pk=above).first()
        above = (run.parent_id or run.forked_from_id) if run else None
    return None


def behind(run: Run) -> Said:
    """A run as the answer to its message, or to its input alone."""
    row = Message.objects.select_related("run__payload", "run__owner").filter(run=run).first()
    if row is not None:
        return _said([row])[0]
    payload = RunPayload.objects.get(run=run)
    return Said(None, run, *load_all(_payload_pairs(payload)))


def one(message: Message) -> Said:
    """A message as it stands now."""
    row = Message.objects.select_related("run__payload").get(pk=message.pk)
    return _said([row])[0]


def _with_runs(conversation: Conversation) -> QuerySet[Message]:
    rows = Message.objects.filter(conversation=conversation)
    return rows.select_related("run__payload", "run__owner")


def _said(rows: Sequence[Message]) -> list[Said]:
    values = list(load_all([pair for row in rows for pair in _pairs(row)]))
    found = []
    for i, row in enumerate(rows):
        content, output, error = values[3 * i : 3 * i + 3]
        text = text_of(row, content)
        found.append(Said(row, row.run, content if text is None else text, output, error))
    return found


def _pairs(row: Message) -> tuple[Stored, Stored, Stored]:
    if row.run is None:
        return (row.codec, row.data), (None, None), (None, None)
    return _payload_pairs(row.run.payload)


def _payload_pairs(payload: RunPayload) -> tuple[Stored, Stored, Stored]:
    return (
        (payload.input_codec, payload.input),
        (payload.output_codec, payload.output),
        (payload.error_codec, payload.error),
    )
