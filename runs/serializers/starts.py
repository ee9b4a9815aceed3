"""What may be said of a run to start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from runs import waiting
from runs.labels import LONGEST_KEY, LONGEST_LABEL, LONGEST_LABEL_VALUE, MOST_LABELS
from runs.serializers.base import AnyValue, BodySerializer, Number
from runs.services import LONGEST_TITLE, MOST_IN_A_BATCH

LONGEST_TIMEOUT_SECONDS = timedelta(days=365).total_seconds()


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
    timeout_seconds = Number(required=False, min_value=0.001, max_value=LONGEST_TIMEOUT_SECONDS)
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

    wait_seconds = Number(
        required=False, min_value=0, max_value=waiting.LONGEST_SECONDS, default=30
    )


class BatchSerializer(BodySerializer):
    """Many runs to start."""

    runs = StartSerializer(many=True, allow_empty=False, max_length=MOST_IN_A_BATCH)  # type: ignore[call-arg]


class ReplaySerializer(BodySerializer):
    """With what to run it again."""

    input = AnyValue(required=False, default=None, help_text="Another input; null keeps it.")


class ForkSerializer(BodySerializer):
    """Where a fork begins."""

    at_seq = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, help_text="Number of the last event to keep."
    )
    input = AnyValue(required=False, default=None, help_text="Another input; null keeps it.")
