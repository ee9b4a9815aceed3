"""What people and programs do to conversations: begin one, and say something in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from agentops import reports
from agentops.accounts.access import NotFound
from agentops.accounts.models import Team, User
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.codec import Encoded, digest, encode
from agentops.sdk.errors import AgentopsError
from agentops.sdk.ids import new_conversation_id
from runs import bell, services, turns
from runs.engine import store
from runs.models import Conversation, Message, Run, StopReason

__all__ = [
    "Begun",
    "ConversationBusy",
    "OnConflict",
    "Posted",
    "QueueFull",
    "begin",
    "check_content",
    "delete",
    "plainest",
    "post_message",
    "text_field",
]

MOST_WAITING = 100


class OnConflict(enum.StrEnum):
    """What a message does while a run of the conversation is live."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


class ConversationBusy(AgentopsError):
    """A run of this conversation is live, and the message was not to wait. Nothing was stored."""

    code = "conversation_busy"


class ConversationLive(ConversationBusy):
    """A run of this conversation is live, or a message waits. Cancel or let it end; then delete."""


class QueueFull(AgentopsError):
    """Too many messages of this conversation wait for their turn. Try again when some are done."""

    code = "queue_full"


@dataclass(frozen=True)
class Begun:
    """A conversation, and whether this call began it."""

    conversation: Conversation
    created: bool


@dataclass(frozen=True)
class Posted:
    """A message, and whether this call posted it. ``message.run`` is None while it waits."""

    message: Message
    created: bool


def begin(
    *,
    agent: str,
    owner: User | None,
    started_by: str,
    team: Team | None = None,
    title: str = "",
    idempotency_key: str | None = None,
) -> Begun:
    """Begin a conversation with ``agent``, or find the one this key began before.

    Raises UnknownAgent, InvalidRequest or IdempotencyMismatch; then nothing is stored.
    """
    services.check_key(idempotency_key)
    new = Conversation(
        public_id=new_conversation_id(),
        agent=catalog().agent(agent).name,
        title=title[: services.LONGEST_TITLE],
        owner=owner,
        team=team,
        started_by=started_by,
        idempotency_key=idempotency_key,
    )
    try:
        with transaction.atomic():
            new.save(force_insert=True)
    except IntegrityError:
        if idempotency_key is None:
            raise
        return Begun(_begun_before(new), created=False)
    new.refresh_from_db()
    return Begun(new, created=True)


def _begun_before(new: Conversation) -> Conversation:
    known = Conversation.objects.select_related("owner").get(
        owner=new.owner, idempotency_key=new.idempotency_key
    )
    if (known.agent, known.title) != (new.agent, new.title):
        raise services.IdempotencyMismatch
    return known


def post_message(
    *,
    conversation: Conversation,
    content: object,
    sender: str,
    on_conflict: OnConflict = OnConflict.ENQUEUE,
    by_operator: bool = False,
    idempotency_key: str | None = None,
) -> Posted:
    """Say something to the agent: its run starts now, or when the live one and all in line ended.

    ``content`` is a text, or the agent's whole input. While a run is live, ``enqueue`` lets the
    message wait, ``reject`` raises ConversationBusy, and ``interrupt`` stops that run and puts the
    message first in line; it starts when the run has let go of what it was doing.

    Durable when this returns. Raises also UnknownAgent, InvalidInput, PayloadError,
    PayloadTooLarge, InvalidRequest, IdempotencyMismatch or QueueFull; then nothing is stored.
    """
    services.check_key(idempotency_key)
    message = _message(conversation, content, sender, idempotency_key)
    message.urgent = on_conflict is OnConflict.INTERRUPT
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        locked = turns.lock(conversation.pk)
        if locked is None:
            raise NotFound(f"Conversation {conversation.public_id} has been deleted.")
        known = _posted_before(message)
        if known is not None:
            return Posted(known, created=False)
        _admit(cursor, locked, message, on_conflict, by_operator=by_operator)
    return Posted(Message.objects.select_related("run").get(pk=message.pk), created=True)


def check_content(*, agent: str, content: object) -> tuple[str, object, Encoded]:
    """The input that ``content`` becomes, encoded, and which property of it a text is.

    Raises what :func:`post_message` raises for content that the agent does not take.
    """
    definition = catalog().agent(agent)
    field = text_field(definition) if isinstance(content, str) else ""
    value = {field: content} if field else content
    definition.validate_input(value)
    return field, value, encode(value, limit=settings.AGENTOPS_MAX_PAYLOAD_BYTES)


def _message(conversation: Conversation, content: object, sender: str, key: str | None) -> Message:
    field, value, encoded = check_content(agent=conversation.agent, content=content)
    return Message(
        conversation=conversation,
        text_in=field,
        codec=encoded.codec,
        data=encoded.data,
        digest=digest(value),
        sender=sender,
        idempotency_key=key,
    )


def text_field(definition: AgentDefinition) -> str:
    """The input of the agent that takes a plain text: ``message``, or the only one it needs.

    Raises InvalidRequest when it is not clear which that would be.
    """
    properties = definition.input_schema.get("properties")
    known = list(properties) if isinstance(properties, dict) else []
    required = definition.input_schema.get("required")
    needed = list(required) if isinstance(required, list) else []
    if "message" in known:
        return "message"
    wanted = needed or known
    if len(wanted) == 1:
        return str(wanted[0])
    raise services.InvalidRequest(
        f"content: {definition.name} takes {', '.join(known) or 'no input'}, so it is not clear "
        "where a text belongs. Send an object with these properties, or give the agent an input "
        "called message."
    )


def plainest(definition: AgentDefinition, given: dict[str, object]) -> object:
    """The text in an input that holds nothing else but defaults; else the input as it is."""
    try:
        field = text_field(definition)
    except services.InvalidRequest:
        return given
    properties = definition.input_schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - text_field found one there
    others = {name: value for name, value in given.items() if name != field}
    usual = all(value == properties[name].get("default") for name, value in others.items())
    text = given.get(field)
    return text if usual and isinstance(text, str) else given


def _posted_before(message: Message) -> Message | None:
    if message.idempotency_key is None:
        return None
    known = (
        Message.objects.select_related("run")
        .filter(conversation=message.conversation, idempotency_key=message.idempotency_key)
        .first()
    )
    if known is not None and bytes(known.digest) != message.digest:
        raise services.IdempotencyMismatch
    return known


def _admit(
    cursor: store.Cursor,
    conversation: Conversation,
    message: Message,
    on_conflict: OnConflict,
    *,
    by_operator: bool,
) -> None:
    """Put the message in line, of a locked conversation, and let whoever is first have its turn."""
    live = Run.objects.filter(conversation=conversation, finished_at__isnull=True).first()
    waiting = Message.objects.filter(conversation=conversation, run__isnull=True).count()
    if on_conflict is OnConflict.REJECT and (live or waiting):
        raise ConversationBusy
    if waiting >= MOST_WAITING:
        raise QueueFull
    message.number = conversation.said + 1
    message.save(force_insert=True)
    _touch(conversation, message)
    if live is not None and on_conflict is OnConflict.INTERRUPT:
        _interrupt(cursor, live, message, by_operator=by_operator)
    turns.take_turn(cursor, conversation)
    bell.stir(conversation=conversation.public_id)


def _touch(conversation: Conversation, message: Message) -> None:
    """Count the message; a conversation without a title is called after its first text."""
    if not conversation.title:
        conversation.title = turns.title_of(message)
    Conversation.objects.filter(pk=conversation.pk).update(
        said=message.number, active_at=Now(), title=conversation.title
    )


def _interrupt(cursor: store.Cursor, live: Run, message: Message, *, by_operator: bool) -> None:
    reason = StopReason.CANCELLED_BY_OPERATOR if by_operator else StopReason.CANCELLED_BY_USER
    note = f"Message {message.number} of the conversation interrupted it."
    ending = store.cancellation(reason, by=message.sender, note=note)
    services.announce(store.cancel(cursor, [live.pk], ending))


def delete(*, conversation: Conversation) -> list[str]:
    """Erase a conversation with its messages, summaries and runs. Returns which runs went.

    Raises NotFound if it is gone, ConversationLive while a run of it, or one that such a run
    started, has not ended or a message waits; then nothing is erased.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        locked = turns.lock(conversation.pk)
        if locked is None:
            raise NotFound(f"Conversation {conversation.public_id} has been deleted.")
        family = Q(conversation=locked) | Q(root__conversation=locked)
        live = Run.objects.filter(family, finished_at__isnull=True)
        if live.exists() or Message.objects.filter(conversation=locked, run=None).exists():
            raise ConversationLive
        gone = store.erase_conversations(cursor, [locked.pk])
        transaction.on_commit(lambda: reports.forget(gone))
    return gone
