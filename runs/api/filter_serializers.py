"""Filters of runs: of the list, of a search, of what a bulk action is for."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from runs.labels import LONGEST_KEY, LONGEST_LABEL, LONGEST_LABEL_VALUE, MOST_LABELS
from runs.models import RunStatus, StopReason, WaitingFor
from runs.serializers import BodySerializer, QuerySerializer


class FilterSerializer(serializers.Serializer[Any]):
    """What runs have to be like."""

    status = serializers.ChoiceField(RunStatus.choices, required=False)
    waiting_for = serializers.ChoiceField(WaitingFor.choices, required=False)
    stop_reason = serializers.ChoiceField(StopReason.choices, required=False)
    agent = serializers.CharField(required=False, max_length=200)
    owner = serializers.CharField(required=False, max_length=150, help_text="A person's name.")
    team = serializers.CharField(required=False, max_length=80, help_text="A team's name.")
    tag = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_LABEL),
        required=False,
        max_length=MOST_LABELS,
        help_text="Runs that have them all; in an address once per tag.",
    )
    external_id = serializers.CharField(required=False, max_length=LONGEST_KEY)
    conversation = serializers.CharField(
        required=False, max_length=40, help_text="Runs that are turns of this conversation."
    )
    parent = serializers.CharField(  # type: ignore[assignment] # the field, not DRF's attribute
        required=False, max_length=40, help_text="Runs that this run started."
    )
    created_at__gte = serializers.DateTimeField(required=False)
    created_at__lte = serializers.DateTimeField(required=False)


class RunQuerySerializer(QuerySerializer, FilterSerializer):
    """Filters of the run list, as they stand in an address."""

    pages = True

    metadata = serializers.ListField(
        child=serializers.RegexField(
            rf"^[^=\0]{{1,{LONGEST_LABEL}}}=[^\0]{{0,{LONGEST_LABEL_VALUE}}}$"
        ),
        required=False,
        max_length=MOST_LABELS,
        help_text="name=value, once per pair; runs that have them all.",
    )

    def validate_metadata(self, pairs: list[str]) -> dict[str, str]:
        """The pairs by name."""
        return dict(pair.partition("=")[::2] for pair in pairs)


class SearchSerializer(BodySerializer, FilterSerializer):
    """Filters of a search, as they stand in a body."""

    metadata = serializers.DictField(
        child=serializers.CharField(max_length=LONGEST_LABEL_VALUE, allow_blank=True),
        required=False,
        help_text="Runs that have all these pairs.",
    )

    def validate_metadata(self, pairs: dict[str, str]) -> dict[str, str]:
        """Refuse what no run can have."""
        if len(pairs) > MOST_LABELS or any("\0" in name for name in pairs):
            raise serializers.ValidationError(f"At most {MOST_LABELS} pairs, without NUL.")
        return pairs
