"""How the record of a run looks from outside: events, steps, attempts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.models import Journal
from runs.serializers.base import AnyValue, QuerySerializer
from runs.steps import StepStatus
from runs.timeline import Attempt, Line


class EventSerializer(serializers.Serializer[Any]):
    """A line of the journal."""

    seq = serializers.IntegerField()
    type = serializers.CharField(source="kind")
    step = serializers.SerializerMethodField(help_text="Key of the step it is about.")
    name = serializers.CharField()
    attempt = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="at")
    data = serializers.SerializerMethodField(  # type: ignore[assignment] # as above
        help_text="Small facts about it; depends on the type."
    )

    def get_step(self, row: Journal | Line) -> str | None:
        return None if row.key.startswith("@") else row.key

    def get_attempt(self, row: Journal | Line) -> int | None:
        attempt = (row.meta or {}).get("attempt")
        return attempt if isinstance(attempt, int) else None

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_data(self, row: Journal | Line) -> dict[str, Any]:
        return dict(row.meta or {})


class EventQuerySerializer(QuerySerializer):
    """Which events."""

    after = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000, default=100)
    types = serializers.CharField(
        required=False, max_length=1000, help_text="Event types, with commas."
    )
    created_at__gte = serializers.DateTimeField(required=False)


class StreamQuerySerializer(QuerySerializer):
    """Where a stream begins."""

    after = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class EventPageSerializer(serializers.Serializer[Any]):
    """A stretch of a run's events."""

    items = EventSerializer(many=True)
    next_after = serializers.IntegerField(
        allow_null=True, help_text="Send it as ?after= to go on; null: nothing more by now."
    )


class StepErrorSerializer(serializers.Serializer[Any]):
    """Why a step failed."""

    code = serializers.CharField(required=False)
    message = serializers.CharField(required=False)


class StepSerializer(serializers.Serializer[Any]):
    """A step, folded from its events."""

    number = serializers.IntegerField(source="step.number")
    key = serializers.CharField(source="step.key")
    name = serializers.CharField(source="step.name")
    type = serializers.CharField(source="step.type")
    effect = serializers.CharField(source="step.effect", allow_blank=True)
    status = serializers.ChoiceField(StepStatus.choices, source="step.status")
    attempts = serializers.IntegerField(source="step.tries")
    first_seq = serializers.IntegerField(source="step.first_seq")
    last_seq = serializers.IntegerField(source="step.last_seq")
    started_at = serializers.DateTimeField(source="step.started_at")
    ended_at = serializers.DateTimeField(source="step.ended_at", allow_null=True)
    next_at = serializers.DateTimeField(
        source="step.next_at", allow_null=True, help_text="When the next attempt is due."
    )
    duration_ms = serializers.IntegerField(allow_null=True)
    preview = serializers.CharField(help_text="The beginning of its result in JSON.")
    error = StepErrorSerializer(allow_null=True)
    verdict = serializers.CharField(help_text="How a person settled it, if one did.")


class AttemptSerializer(serializers.Serializer[Any]):
    """One try at a step."""

    number = serializers.IntegerField(source="n")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    error = serializers.SerializerMethodField()
    worker = serializers.IntegerField(allow_null=True, help_text="Id of the worker, where told.")

    @extend_schema_field(StepErrorSerializer(allow_null=True))
    def get_error(self, attempt: Attempt) -> dict[str, str] | None:
        if attempt.error is None:
            return None
        code, message = attempt.error
        return {"code": code, "message": message}


class StepDetailSerializer(serializers.Serializer[Any]):
    """A step with its attempts and values."""

    step = StepSerializer()
    attempts = AttemptSerializer(many=True)
    input = AnyValue(help_text="What it was called with.")
    output = AnyValue(help_text="What it returned, or the error it failed with.")


class StepListSerializer(serializers.Serializer[Any]):
    """All steps of a run."""

    items = StepSerializer(many=True)
