"""How bulk actions look from outside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.api.filter_serializers import SearchSerializer
from runs.bulk import counts
from runs.models import BulkAction, BulkItem, BulkOutcome, BulkVerb
from runs.serializers import BodySerializer, QuerySerializer
from runs.services import LONGEST_TITLE

MOST_NAMED = 1000


class BulkStartSerializer(BodySerializer):
    """What to do to which runs: those named in ``runs``, or all that match ``filter``."""

    action = serializers.ChoiceField(BulkVerb.choices)
    runs = serializers.ListField(
        child=serializers.CharField(max_length=24), required=False, max_length=MOST_NAMED
    )
    filter = SearchSerializer(required=False)
    note = serializers.CharField(required=False, max_length=LONGEST_TITLE, allow_blank=True)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        """Exactly one way of naming runs, and never all there are by accident."""
        if bool(said.get("runs")) == bool(said.get("filter")):
            raise serializers.ValidationError(
                "Name the runs, or give a filter with at least one field; not both."
            )
        return said


class CountsSerializer(serializers.Serializer[Any]):
    """How many runs have which outcome."""

    pending = serializers.IntegerField()
    done = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    failed = serializers.IntegerField()
    stopped = serializers.IntegerField()


class BulkActionSerializer(serializers.ModelSerializer[BulkAction]):
    """A bulk action and how far it is."""

    id = serializers.CharField(source="public_id")
    action = serializers.ChoiceField(BulkVerb.choices, source="verb")
    owner = serializers.CharField(source="owner.username")
    status = serializers.SerializerMethodField()
    counts = serializers.SerializerMethodField()
    filter = serializers.DictField(help_text="As it was asked for.")

    @extend_schema_field({"type": "string", "enum": ["running", "finished", "stopped"]})
    def get_status(self, action: BulkAction) -> str:
        if action.finished_at is None:
            return "running"
        return "stopped" if action.stopped_by else "finished"

    @extend_schema_field(CountsSerializer)
    def get_counts(self, action: BulkAction) -> dict[str, int]:
        return counts(action=action)

    class Meta:
        model = BulkAction
        fields = [
            "id", "action", "status", "total", "counts", "owner", "by", "note", "filter",
            "created_at", "finished_at", "stopped_by",
        ]  # fmt: skip
        read_only_fields = fields


class BulkItemSerializer(serializers.ModelSerializer[BulkItem]):
    """What became of one run."""

    run = serializers.CharField(source="run_public_id")
    outcome = serializers.ChoiceField(BulkOutcome.choices)

    class Meta:
        model = BulkItem
        fields = ["number", "run", "outcome", "code", "message", "made", "done_at"]
        read_only_fields = fields


class BulkItemQuerySerializer(QuerySerializer):
    """Which runs of a bulk action."""

    outcome = serializers.ChoiceField(BulkOutcome.choices, required=False)
    after = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000, default=100)


class BulkItemPageSerializer(serializers.Serializer[Any]):
    """A stretch of a bulk action's runs."""

    items = BulkItemSerializer(many=True)
    next_after = serializers.IntegerField(
        allow_null=True, help_text="Send it as ?after= to go on; null: that was all."
    )
