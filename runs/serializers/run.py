"""How runs look from outside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.models import HELD_UNTIL, Run, RunStatus, StopReason, WaitingFor
from runs.serializers.base import AnyValue, ChoiceOrNone


class ReadyAt(serializers.DateTimeField):
    """When a worker may take a run; null where it waits for something else than a time."""

    def to_representation(self, value: Any) -> Any:
        return None if value == HELD_UNTIL else super().to_representation(value)


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run as lists show it."""

    id = serializers.CharField(source="public_id")
    status = serializers.ChoiceField(RunStatus.choices)
    waiting_for = ChoiceOrNone(WaitingFor.choices)
    stop_reason = ChoiceOrNone(StopReason.choices)
    degraded = serializers.ListField(child=serializers.CharField())
    tags = serializers.SerializerMethodField()
    metadata = serializers.SerializerMethodField()
    pause_requested_by = serializers.CharField(source="pause_by")
    owner = serializers.CharField(source="owner.username", allow_null=True)
    ready_at = ReadyAt(allow_null=True)
    parent = serializers.CharField(  # type: ignore[assignment] # the field, not DRF's attribute
        source="parent.public_id", allow_null=True
    )
    forked_from = serializers.CharField(source="forked_from.public_id", allow_null=True)

    team = serializers.CharField(source="team.name", allow_null=True)
    conversation = serializers.CharField(
        source="conversation.public_id", allow_null=True, help_text="Of which it is a turn."
    )

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_tags(self, run: Run) -> list[str]:
        return run.tags or []

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_metadata(self, run: Run) -> dict[str, str]:
        return run.metadata or {}

    class Meta:
        model = Run
        fields = [
            "id", "agent", "agent_version", "title", "queue", "priority", "status", "waiting_for",
            "waiting_detail", "stop_reason", "degraded", "steps", "retries", "progress", "owner",
            "team", "tags", "metadata", "external_id", "pause_requested_by", "started_by",
            "idempotency_key", "conversation", "parent", "forked_from", "forked_at_seq",
            "timeout_seconds", "expires_at", "ready_at", "created_at", "started_at", "status_at",
            "last_progress_at", "cancel_requested_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class RunDetailSerializer(RunSerializer):
    """A run with what went in and what came out."""

    input = AnyValue()
    output = AnyValue()
    error = AnyValue()
    traceparent = serializers.CharField(
        allow_null=True, help_text="W3C trace context of the request that started it."
    )

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "input", "output", "error", "traceparent"]


class RunItemsSerializer(serializers.Serializer[Any]):
    """Some runs, in the order of their starts."""

    items = RunSerializer(many=True)


class RunPageSerializer(RunItemsSerializer):
    """A page of runs."""

    next_cursor = serializers.CharField(allow_null=True)
    previous_cursor = serializers.CharField(allow_null=True)
