"""What may be said to a run that is there."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from runs.labels import LONGEST_KEY
from runs.serializers.base import AnyValue, BodySerializer
from runs.services import LONGEST_TITLE, Verdict


class RetrySerializer(BodySerializer):
    """What to try again."""

    what = serializers.ChoiceField(
        [
            ("now", "The next attempt of what waits in its back-off, at once."),
            ("failure", "The failed step of a failed run, in the same run."),
        ]
    )


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
