"""How policies, their versions and what came of a draft are written as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from approvals import policies
from approvals.models import Effect, PolicyProposal, PolicyVersion
from approvals.replaying import MOST_CALLS, USUAL_DAYS
from runs.serializers import BodySerializer, QuerySerializer

TEAM = "Whose rules: the name of a team; left out or null: everybody's."


class PolicyVersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    """A version of the rules of a layer."""

    team = serializers.CharField(source="team.name", allow_null=True, default=None)
    made_by = serializers.CharField(source="made_by.username", allow_null=True, default=None)
    rules = serializers.ListField(child=serializers.JSONField())

    class Meta:
        model = PolicyVersion
        fields = ["id", "team", "number", "rules", "unmatched", "note", "made_by", "made_at"]
        read_only_fields = fields


class PolicyVersionDetailSerializer(PolicyVersionSerializer):
    """The same, with what it changed."""

    changes = serializers.SerializerMethodField()

    def get_changes(self, version: PolicyVersion) -> list[str]:
        """Line by line: + is new, - is gone, ~ is changed."""
        return policies.difference(version)

    class Meta(PolicyVersionSerializer.Meta):
        fields = [*PolicyVersionSerializer.Meta.fields, "changes"]
        read_only_fields = fields


class PolicyProposalSerializer(serializers.ModelSerializer[PolicyProposal]):
    """A version that lets agents do more and waits for another administrator."""

    team = serializers.CharField(source="team.name", allow_null=True, default=None)
    made_by = serializers.CharField(source="made_by.username")
    rules = serializers.ListField(child=serializers.JSONField())
    widens = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = PolicyProposal
        fields = [
            "id", "team", "based_on", "rules", "unmatched", "note", "widens", "made_by", "made_at",
        ]  # fmt: skip
        read_only_fields = fields


class PolicyLayerSerializer(serializers.Serializer[Any]):
    """What holds for everybody, or for a team on top of that."""

    team = serializers.CharField(allow_null=True)
    version = PolicyVersionSerializer(allow_null=True)
    unmatched = serializers.ChoiceField(
        Effect.choices,
        help_text="What holds where no rule speaks of a call that changes something.",
    )
    proposal = PolicyProposalSerializer(allow_null=True)


class PolicyLayersSerializer(serializers.Serializer[Any]):
    """All layers the caller knows of, everybody's first."""

    items = PolicyLayerSerializer(many=True)


class PolicySavedSerializer(serializers.Serializer[Any]):
    """What came of a change: a version that holds, or a proposal that waits."""

    version = PolicyVersionSerializer(allow_null=True)
    proposal = PolicyProposalSerializer(allow_null=True)


class LayerQuerySerializer(QuerySerializer):
    """Which layer a list is about."""

    pages = True
    team = serializers.CharField(required=False, max_length=150, help_text=TEAM)


class PolicyDraftSerializer(BodySerializer):
    """Rules somebody wants. docs/reference/policies.md tells every word of them."""

    team = serializers.CharField(required=False, allow_null=True, help_text=TEAM)
    rules = serializers.ListField(child=serializers.JSONField())
    unmatched = serializers.ChoiceField(Effect.choices, default=Effect.ASK)


class PolicyChangeSerializer(PolicyDraftSerializer):
    """Rules that shall hold, why, and which version the author saw as the newest."""

    note = serializers.CharField(max_length=200, help_text="Why.")
    based_on = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="0: none yet.")


class PolicyTrialSerializer(PolicyDraftSerializer):
    """Rules to be tried on past calls."""

    days = serializers.IntegerField(min_value=1, max_value=366, default=USUAL_DAYS)


class PolicyRevertSerializer(BodySerializer):
    """Why an earlier version shall hold again."""

    note = serializers.CharField(max_length=200, help_text="Why.")
    based_on = serializers.IntegerField(min_value=0, max_value=2**31 - 1)


class SimulatedCountSerializer(serializers.Serializer[Any]):
    """So many calls are decided one way now and would have been decided the other."""

    now = serializers.ChoiceField(Effect.choices)
    then = serializers.ChoiceField(Effect.choices)
    calls = serializers.IntegerField()


class SimulatedCallSerializer(serializers.Serializer[Any]):
    """A call of the past that the draft decides otherwise."""

    run = serializers.CharField(source="call.run")
    step = serializers.CharField(source="call.key")
    at = serializers.DateTimeField(source="call.at")
    agent = serializers.CharField(source="call.facts.agent")
    tool = serializers.CharField(source="call.facts.tool")
    now = serializers.ChoiceField(Effect.choices, source="before")
    then = serializers.ChoiceField(Effect.choices, source="after")
    rule = serializers.CharField(help_text="The rule of the draft; empty: none speaks of it.")
    fault = serializers.CharField(help_text="Why its condition gave no clear answer; else empty.")


class SimulationSerializer(serializers.Serializer[Any]):
    """What a draft would have said of past calls. Nothing is stored and nothing runs."""

    since = serializers.DateTimeField()
    calls = serializers.IntegerField(help_text=f"Looked at, {MOST_CALLS:,} at most.")
    is_cut = serializers.BooleanField(help_text="There are older ones that were not looked at.")
    unread = serializers.IntegerField(help_text="Calls whose arguments are not readable any more.")
    unclear = serializers.IntegerField(help_text="Calls a condition gave no clear answer for.")
    differs = serializers.IntegerField()
    lines = SimulatedCountSerializer(many=True)
    watched = serializers.DictField(
        child=serializers.IntegerField(), help_text="Calls that rules which only watch spoke of."
    )
    changed = SimulatedCallSerializer(
        many=True, help_text="The newest that would have been otherwise."
    )
    changes = serializers.ListField(child=serializers.CharField())
    widens = serializers.ListField(
        child=serializers.CharField(), help_text="What it lets agents do that they may not do now."
    )
