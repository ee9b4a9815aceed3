"""How conversations look from outside, and what may be said in them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from runs.conversations import OnConflict
from runs.dialogue import WAITING
from runs.models import Conversation, RunStatus
from runs.serializers import AnyValue, BodySerializer, QuerySerializer
from runs.services import LONGEST_TITLE

_STATUSES = [
    (WAITING, "It waits until the runs before it have ended."),
    *RunStatus.choices,
]


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation as lists show it."""

    id = serializers.CharField(source="public_id")
    owner = serializers.CharField(source="owner.username", allow_null=True)
    team = serializers.CharField(source="team.name", allow_null=True)
    messages = serializers.IntegerField(source="said", help_text="How many have been posted.")
    turns = serializers.IntegerField(help_text="How many of them have, or had, their run.")
    waiting = serializers.IntegerField(help_text="How many wait for their turn.")
    run = serializers.CharField(
        source="live_run", allow_null=True, help_text="The run that answers at this moment."
    )
    status = serializers.SerializerMethodField(help_text="Of that run; idle: there is none.")

    class Meta:
        model = Conversation
        fields = [
            "id", "agent", "title", "status", "run", "messages", "turns", "waiting", "owner",
            "team", "started_by", "idempotency_key", "created_at", "active_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_status(self, row: Any) -> str:
        return row.live_status or "idle"


class ConversationQuerySerializer(QuerySerializer):
    """Filters of the list of conversations."""

    pages = True

    agent = serializers.CharField(required=False, max_length=200)
    busy = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Whether a run is live."
    )


class BeginSerializer(BodySerializer):
    """A new conversation."""

    agent = serializers.CharField(max_length=200)
    title = serializers.CharField(
        required=False,
        max_length=LONGEST_TITLE,
        allow_blank=True,
        help_text="Without one it is called after its first text.",
    )


class PostSerializer(BodySerializer):
    """Something said to the agent."""

    content = AnyValue(
        help_text="A text, or an object that fits the agent's input schema. A text becomes the "
        "input `message`, or the only one the agent needs."
    )
    on_conflict = serializers.ChoiceField(
        [(choice.value, choice.value) for choice in OnConflict],
        required=False,
        default=OnConflict.ENQUEUE.value,
        help_text="While a run is live: wait in line, be refused with 409, or stop that run.",
    )


class MessageSerializer(serializers.Serializer[Any]):
    """A message, and its answer as far as there is one."""

    number = serializers.IntegerField(help_text="1, 2, 3 … in the order of posting.")
    turn = serializers.IntegerField(
        allow_null=True, help_text="1, 2, 3 … in the order of running; null while it waits."
    )
    run = serializers.CharField(source="run.public_id", allow_null=True)
    status = serializers.ChoiceField(_STATUSES, help_text="Of its run.")
    content = AnyValue()
    output = AnyValue(help_text="What the run returned.")
    error = AnyValue(help_text="Why it did not.")
    sender = serializers.CharField()
    created_at = serializers.DateTimeField(source="at")


class MessageQuerySerializer(QuerySerializer):
    """Which messages."""

    after = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=200, default=50)


class MessagePageSerializer(serializers.Serializer[Any]):
    """A stretch of a conversation."""

    items = MessageSerializer(many=True)
    next_after = serializers.IntegerField(
        allow_null=True, help_text="Send it as ?after= to go on; null: nothing more by now."
    )
