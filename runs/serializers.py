"""How runs look from outside, and what may be said about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs import waiting
from runs.labels import LONGEST_KEY, LONGEST_LABEL, LONGEST_LABEL_VALUE, MOST_LABELS
from runs.models import Journal, Run, RunStatus, StopReason, WaitingFor
from runs.services import LONGEST_TITLE, MOST_IN_A_BATCH, Verdict
from runs.steps import StepStatus
from runs.timeline import Attempt, Line

LONGEST_TIMEOUT_SECONDS = timedelta(days=365).total_seconds()


class BodySerializer(serializers.Serializer[Any]):
    """What a request says. A field nobody knows is refused: it is a mistyped one."""

    refuses_unknown = True

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        if unknown:
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                {name: [f"There is no such field; known are {known}."] for name in sorted(unknown)}
            )
        return super().to_internal_value(data)


@extend_schema_field({})
class AnyValue(serializers.JSONField):
    """Any JSON value, also null."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, None) if data is None else super().validate_empty_values(data)


class ChoiceOrNone(serializers.ChoiceField):
    """A word of a list; the empty one is null."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices, allow_null=True, **options)

    def to_representation(self, value: Any) -> Any:
        return value or None


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
    parent = serializers.CharField(  # type: ignore[assignment] # the field, not DRF's attribute
        source="parent.public_id", allow_null=True
    )
    forked_from = serializers.CharField(source="forked_from.public_id", allow_null=True)

    team = serializers.CharField(source="team.name", allow_null=True)

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
            "idempotency_key", "parent", "forked_from", "forked_at_seq",
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


class StartSerializer(BodySerializer):
    """What to start."""

    agent = serializers.CharField(max_length=200)
    input = AnyValue(required=False, default=None, help_text="Fits the agent's input schema.")
    title = serializers.CharField(required=False, max_length=LONGEST_TITLE, allow_blank=True)
    queue = serializers.RegexField(
        r"^[a-z0-9_.-]{1,64}$", required=False, help_text="Workers of this queue run it."
    )
    priority = serializers.IntegerField(
        required=False, min_value=-100, max_value=100, help_text="Higher goes first."
    )
    timeout_seconds = serializers.FloatField(
        required=False, min_value=0.001, max_value=LONGEST_TIMEOUT_SECONDS
    )
    expires_at = serializers.DateTimeField(
        required=False, help_text="It expires if nobody works on it at this time."
    )
    ready_at = serializers.DateTimeField(required=False, help_text="It does not start earlier.")

    tags = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_LABEL),
        required=False,
        max_length=MOST_LABELS,
        help_text="Words to find it by.",
    )
    metadata = serializers.DictField(
        child=serializers.CharField(max_length=LONGEST_LABEL_VALUE, allow_blank=True),
        required=False,
        help_text=f"At most {MOST_LABELS} pairs; names up to {LONGEST_LABEL} characters.",
    )
    external_id = serializers.CharField(
        required=False, max_length=LONGEST_KEY, help_text="What you call it; means one run."
    )

    def validate_expires_at(self, value: Any) -> Any:
        """Refuse what would be over before it began."""
        if value <= timezone.now():
            raise serializers.ValidationError("This time is over. Give one in the future.")
        return value


class WaitSerializer(StartSerializer):
    """What to start, and how long to wait for its end."""

    wait_seconds = serializers.FloatField(
        required=False, min_value=0, max_value=waiting.LONGEST_SECONDS, default=30
    )


class BatchSerializer(BodySerializer):
    """Many runs to start."""

    runs = StartSerializer(many=True, allow_empty=False, max_length=MOST_IN_A_BATCH)  # type: ignore[call-arg]


class RunItemsSerializer(serializers.Serializer[Any]):
    """Some runs, in the order of their starts."""

    items = RunSerializer(many=True)


class RunPageSerializer(RunItemsSerializer):
    """A page of runs."""

    next_cursor = serializers.CharField(allow_null=True)
    previous_cursor = serializers.CharField(allow_null=True)


class RetrySerializer(BodySerializer):
    """What to try again."""

    what = serializers.ChoiceField(
        [
            ("now", "The next attempt of what waits in its back-off, at once."),
            ("failure", "The failed step of a failed run, in the same run."),
        ]
    )


class ReplaySerializer(BodySerializer):
    """With what to run it again."""

    input = AnyValue(required=False, default=None, help_text="Another input; null keeps it.")


class CancelSerializer(BodySerializer):
    """Why a run is stopped."""

    note = serializers.CharField(required=False, max_length=LONGEST_TITLE, allow_blank=True)


class SignalSerializer(BodySerializer):
    """An event for a run."""

    name = serializers.CharField(max_length=LONGEST_KEY)
    payload = AnyValue(required=False, default=None)
    dedup_key = serializers.CharField(
        required=False,
        max_length=LONGEST_KEY,
        help_text="Sent again with this key, it counts once.",
    )


class SignalledSerializer(serializers.Serializer[Any]):
    """What became of an event."""

    accepted = serializers.BooleanField(help_text="False: the same dedup_key came before.")


class SettleSerializer(BodySerializer):
    """What became of an uncertain step."""

    verdict = serializers.ChoiceField([(verdict.value, verdict.value) for verdict in Verdict])
    result = AnyValue(required=False, default=None, help_text="What it returned, if it happened.")
    reference = serializers.CharField(
        required=False, max_length=500, allow_blank=True, help_text="How you know, for the record."
    )


class ForkSerializer(BodySerializer):
    """Where a fork begins."""

    at_seq = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="Number of the last event to keep."
    )
    input = AnyValue(required=False, default=None, help_text="Another input; null keeps it.")


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


class EventQuerySerializer(serializers.Serializer[Any]):
    """Which events."""

    after = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000, default=100)
    types = serializers.CharField(
        required=False, max_length=1000, help_text="Event types, with commas."
    )
    created_at__gte = serializers.DateTimeField(required=False)


class StreamQuerySerializer(serializers.Serializer[Any]):
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


class AgentSerializer(serializers.Serializer[Any]):
    """An agent that can be started."""

    name = serializers.CharField()
    version = serializers.CharField()
    description = serializers.CharField()
    queue = serializers.CharField()
    timeout_seconds = serializers.FloatField(source="timeout", allow_null=True)
    max_steps = serializers.IntegerField()
    input_schema = serializers.DictField(help_text="JSON schema of the input.")


class AgentListSerializer(serializers.Serializer[Any]):
    """The agents that can be started."""

    items = AgentSerializer(many=True)
