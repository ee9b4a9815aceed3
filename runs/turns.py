"""Whose turn it is: the next message of a conversation becomes a run as soon as none is live.

# Note [One turn at a time]
Whoever posts a message or starts a turn locks the conversation's row first and looks for a live run
with a statement of its own, after the lock. A worker that ends a run does not lock the
conversation; so a message that arrives in that moment may see the run as live and stay in line,
although nobody is coming. Whoever has ended a run therefore calls :func:`advance` after the commit,
and the sweep calls :func:`advance_all`. Two that advance at once queue for the lock, and the second
finds a live run. Should all of this be wrong, ``run_one_live_per_conversation`` refuses the second
run. Locks are taken in one order: conversation, then runs.
"""

from __future__ import annotations

import structlog
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef

from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.codec import Encoded, decode
from agentops.sdk.errors import UnknownAgent
from runs import bell
from runs.engine import store
from runs.models import Conversation, Message, Run

__all__ = ["advance", "advance_all", "is_live", "lock", "take_turn", "text_of", "title_of"]

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 500
LONGEST_TITLE = 200


def advance(*, conversation_id: int) -> Run | None:
    """Start the run of the next message, if one waits and no run is live."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        conversation = lock(conversation_id)
        return None if conversation is None else take_turn(cursor, conversation)


def advance_all() -> int:
    """Start the turns nobody else has started. Returns how many.

    Finds them by their rows alone, so it does not matter what was lost.
    """
    live = Run.objects.filter(conversation=OuterRef("conversation"), finished_at__isnull=True)
    waiting = Message.objects.filter(~Exists(live), run__isnull=True)
    started = 0
    for pk in waiting.values_list("conversation", flat=True).distinct()[:MOST_AT_ONCE]:
        try:
            started += advance(conversation_id=pk) is not None
        except Exception:  # one conversation that cannot go on does not hold up the others
            log.exception("conversation.stuck", conversation=pk)
    return started


def lock(conversation_id: int) -> Conversation | None:
    """The conversation, locked until the caller's transaction ends; None if it is gone."""
    rows = Conversation.objects.select_for_update(no_key=True)
    return rows.filter(pk=conversation_id).first()


def is_live(conversation: Conversation, *, besides: int | None = None) -> bool:
    """Whether a run of the conversation, another one than ``besides``, has not ended."""
    live = Run.objects.filter(conversation=conversation, finished_at__isnull=True)
    return live.exclude(pk=besides or 0).exists()


def take_turn(cursor: store.Cursor, conversation: Conversation) -> Run | None:
    """Start the run of the next message of a conversation the caller has locked."""
    if is_live(conversation):
        return None
    line = Message.objects.filter(conversation=conversation, run__isnull=True)
    message = line.order_by(F("urgent").desc(), "number").first()
    if message is None:
        return None
    run = store.start(cursor, _new_run(conversation, message))
    assert run is not None  # noqa: S101 - only an idempotency key could find another one
    conversation.turns += 1
    Conversation.objects.filter(pk=conversation.pk).update(turns=conversation.turns)
    Message.objects.filter(pk=message.pk).update(
        run=run, turn=conversation.turns, codec=None, data=None
    )
    bell.ring(queue=run.queue)
    bell.hint([(run.pk, 1)])
    bell.stir(conversation=conversation.public_id)
    return run


def text_of(message: Message, input: object) -> str | None:
    """The plain text ``message`` was, given the input that carries it; None if it was none."""
    found = input.get(message.text_in) if message.text_in and isinstance(input, dict) else None
    return found if isinstance(found, str) else None


def _new_run(conversation: Conversation, message: Message) -> store.NewRun:
    definition = _definition(conversation.agent)
    encoded = Encoded(message.codec or 0, bytes(message.data or b""))
    return store.NewRun(
        agent=conversation.agent,
        agent_version=definition.version if definition else "",
        input=encoded,
        input_digest=bytes(message.digest),
        owner_id=conversation.owner_id,
        team_id=conversation.team_id,
        started_by=message.sender,
        title=title_of(message) or conversation.title,
        queue=definition.queue if definition else "default",
        timeout_seconds=definition.timeout if definition else None,
        conversation_id=conversation.pk,
        meta={"conversation": conversation.public_id, "message": message.number},
    )


def _definition(agent: str) -> AgentDefinition | None:
    """The agent, unless this process has a release without it: a worker may know it."""
    try:
        return catalog().agent(agent)
    except UnknownAgent:
        return None


def title_of(message: Message) -> str:
    """The first line of a message that waits, if it is a text."""
    text = text_of(message, decode(message.codec or 0, bytes(message.data or b""))) or ""
    first = text.strip().partition("\n")[0].replace("\0", "")
    return first.encode(errors="replace").decode()[:LONGEST_TITLE]
