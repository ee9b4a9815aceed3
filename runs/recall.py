"""What models are told of a conversation: its turns word for word, the oldest as a summary.

Read when a request is sent, never to replay one; see decision 0031.
"""

from __future__ import annotations

from agentops.sdk.codec import encode
from agentops.sdk.turns import Past
from runs import dialogue
from runs.models import Message, Summary
from runs.values import load

__all__ = ["keep_summary", "past"]


def past(*, run_id: int) -> Past | None:
    """What was said before the turn ``run_id`` belongs to; None outside of a conversation.

    A run that another one started, or a fork, belongs to the turn it came from.
    """
    message = dialogue.message_behind(run_id)
    if message is None:
        return None
    turn = message.turn or 0
    last = _summary(message.conversation_id, turn)
    through = last.through if last else 0
    said = dialogue.between(conversation=message.conversation, after=through, before=turn)
    text = str(load(last.codec, last.data)) if last else ""
    return Past(message.conversation.public_id, through + 1, said, text)


def _summary(conversation_id: int, turn: int) -> Summary | None:
    known = Summary.objects.filter(conversation=conversation_id, through__lt=turn, turn__lte=turn)
    return known.order_by("-through", "-pk").first()


def keep_summary(*, run_id: int, through: int, text: str) -> None:
    """Keep what a run made of the turns up to ``through``, for it and all that follow."""
    message: Message | None = dialogue.message_behind(run_id)
    if message is None:
        return
    stored = encode(text)
    Summary.objects.create(
        conversation=message.conversation,
        through=through,
        turn=message.turn or 0,
        run_id=run_id,
        codec=stored.codec,
        data=stored.data,
    )
