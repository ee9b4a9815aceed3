"""How requests look from outside."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentops.accounts.access import Actor
from approvals import editing, eligibility, questions, quorum
from approvals.models import Kind, OnExpiry, Record, Request, Revision, Risk, State, Vote
from approvals.models import Verdict as Said
from runs.serializers import BodySerializer, QuerySerializer

NAMED: dict[str, Any] = {"read_only": True, "allow_null": True}


class RequestQuerySerializer(QuerySerializer):
    """Which requests."""

    pages = True
    kind = serializers.ChoiceField(Kind.choices, required=False)
    state = serializers.ChoiceField(State.choices, required=False)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    agent = serializers.CharField(required=False, max_length=200)
    tool = serializers.CharField(required=False, max_length=200)
    run = serializers.CharField(required=False, max_length=24)


class RequestSerializer(serializers.ModelSerializer[Request]):
    """Something a person has to decide, in short."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(Kind.choices)
    state = serializers.ChoiceField(State.choices)
    risk = serializers.ChoiceField(Risk.choices)
    on_expiry = serializers.ChoiceField(OnExpiry.choices)
    run = serializers.CharField(source="run_public_id")
    step = serializers.CharField(source="key")
    tool = serializers.SerializerMethodField(help_text="Null for what is no action.")
    owner = serializers.CharField(source="owner.username", **NAMED)
    team = serializers.CharField(source="team.name", **NAMED)
    asks = serializers.SerializerMethodField(help_text="Who has to agree, in words.")
    decided_by = serializers.CharField(source="decided_by.username", **NAMED)

    @extend_schema_field({"type": ["string", "null"]})
    def get_tool(self, request: Request) -> str | None:
        return request.name if request.kind == Kind.APPROVAL else None

    def get_asks(self, request: Request) -> str:
        if request.kind == Kind.APPROVAL or request.factors:
            return quorum.words(request.factors)
        return ""

    class Meta:
        model = Request
        fields = [
            "id", "kind", "state", "risk", "title", "run", "step", "round", "agent", "tool",
            "owner", "team", "asks", "decide_by", "on_expiry", "created_at", "decided_at",
            "decided_by", "comment",
        ]  # fmt: skip
        read_only_fields = fields


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """The exact action. ``envelope`` is what the digest is of, as text."""

    revision = serializers.IntegerField(source="number")
    digest = serializers.SerializerMethodField(help_text="SHA-256 of the envelope, in hex.")
    envelope = serializers.SerializerMethodField(help_text="Canonical JSON (RFC 8785), in UTF-8.")
    arguments = serializers.SerializerMethodField()
    made_by = serializers.CharField(source="made_by.username", **NAMED)

    def get_digest(self, revision: Revision) -> str:
        return bytes(revision.digest).hex()

    def get_envelope(self, revision: Revision) -> str:
        return bytes(revision.envelope).decode()

    def get_arguments(self, revision: Revision) -> dict[str, Any]:
        return cast("dict[str, Any]", editing.read(revision)["arguments"])

    class Meta:
        model = Revision
        fields = ["revision", "digest", "envelope", "arguments", "made_by", "made_at"]
        read_only_fields = fields


class VoteSerializer(serializers.ModelSerializer[Vote]):
    """What somebody said."""

    by = serializers.CharField(source="voter.username")
    instead_of = serializers.CharField(source="deputy.person.username", **NAMED)
    revision = serializers.IntegerField(source="revision.number")
    verdict = serializers.ChoiceField(Said.choices)
    counts = serializers.SerializerMethodField(help_text="Whether it fills a place.")

    def get_counts(self, vote: Vote) -> bool:
        return vote.factor is not None

    class Meta:
        model = Vote
        fields = ["by", "instead_of", "revision", "verdict", "counts", "comment", "at"]
        read_only_fields = fields


class RecordSerializer(serializers.ModelSerializer[Record]):
    """One line of evidence."""

    digest = serializers.SerializerMethodField()
    detail = serializers.DictField()

    @extend_schema_field({"type": ["string", "null"]})
    def get_digest(self, record: Record) -> str | None:
        return None if record.digest is None else bytes(record.digest).hex()

    class Meta:
        model = Record
        fields = ["event", "by", "at", "digest", "detail"]
        read_only_fields = fields


class WholeRequestSerializer(RequestSerializer):
    """Something a person has to decide, with all that bears on it."""

    action = serializers.SerializerMethodField(help_text="What is asked about now.")
    reason = serializers.CharField(help_text="Words of a model. Never believe them.")
    preview = serializers.DictField(allow_null=True)
    form = serializers.DictField(source="schema", allow_null=True)
    answer = serializers.DictField(allow_null=True)
    rule = serializers.DictField()
    factors = serializers.ListField(child=serializers.DictField())
    missing = serializers.SerializerMethodField(help_text="How many each factor still wants.")
    votes = serializers.SerializerMethodField()
    records = serializers.SerializerMethodField()
    why_not = serializers.SerializerMethodField(
        help_text="Why you may not decide or answer this; null: you may."
    )

    @extend_schema_field({"oneOf": [{"$ref": "#/components/schemas/Revision"}, {"type": "null"}]})
    def get_action(self, request: Request) -> dict[str, Any] | None:
        newest = request.revisions.select_related("made_by").order_by("-number").first()
        return None if newest is None else RevisionSerializer(newest).data

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_missing(self, request: Request) -> list[int]:
        if request.kind != Kind.APPROVAL or request.state != State.PENDING:
            return []
        newest = request.revisions.order_by("-number").first()
        placed = Vote.objects.filter(revision=newest, factor__isnull=False)
        seats = dict(placed.values_list("voter_id", "factor"))
        return quorum.missing({pk: at or 0 for pk, at in seats.items()}, request.factors)

    @extend_schema_field(VoteSerializer(many=True))
    def get_votes(self, request: Request) -> Any:
        rows = request.votes.select_related("voter", "deputy__person", "revision").order_by("pk")
        return VoteSerializer(rows, many=True).data

    @extend_schema_field(RecordSerializer(many=True))
    def get_records(self, request: Request) -> Any:
        return RecordSerializer(request.records.order_by("pk"), many=True).data

    @extend_schema_field({"type": ["string", "null"]})
    def get_why_not(self, request: Request) -> str | None:
        viewer: Actor = self.context["viewer"]
        if request.kind == Kind.QUESTION:
            return questions.may_answer(viewer, request)
        return eligibility.may_decide(viewer, request)

    class Meta(RequestSerializer.Meta):
        fields = [
            *RequestSerializer.Meta.fields, "action", "reason", "preview", "form", "answer", "rule",
            "factors", "missing", "votes", "ready_at", "execute_by", "execute_seconds",
            "undo_seconds", "for_good", "consumed_at", "acknowledged_at", "records", "why_not",
        ]  # fmt: skip
        read_only_fields = fields


class CountSerializer(serializers.Serializer[Any]):
    """What waits for people."""

    pending = serializers.IntegerField()
    approvals = serializers.IntegerField()
    questions = serializers.IntegerField()
    attention = serializers.IntegerField()
    high_risk = serializers.IntegerField()
    next_deadline = serializers.DateTimeField(allow_null=True)


# -- what is said to a request ---------------------------------------------------------------------

_COMMENT: dict[str, Any] = {"required": False, "allow_blank": True, "max_length": 2000}
_HEX = r"^[0-9a-fA-F]{64}$"


class ShownSerializer(BodySerializer):
    """The revision somebody read."""

    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    digest = serializers.RegexField(_HEX, help_text="Of the envelope you read, in hex.")


class DecideRequestSerializer(ShownSerializer):
    """A word on an action, and which revision it is about."""

    verdict = serializers.ChoiceField(Said.choices)
    comment = serializers.CharField(**_COMMENT)
    arguments = serializers.DictField(
        required=False, help_text="Approve with these instead; makes a new revision."
    )
    for_good = serializers.BooleanField(
        required=False, help_text="Reject, and do not ask this again in this run."
    )
    stop_run = serializers.BooleanField(required=False, help_text="Reject, and end the run.")


class ItemSerializer(ShownSerializer):
    """One of several."""

    id = serializers.CharField(max_length=24)


class BulkDecideSerializer(BodySerializer):
    """The same word on several actions of one tool."""

    items = serializers.ListField(child=ItemSerializer(), min_length=1, max_length=50)
    verdict = serializers.ChoiceField(Said.choices)
    comment = serializers.CharField(**_COMMENT)


class OutcomeSerializer(serializers.Serializer[Any]):
    """What became of one."""

    id = serializers.CharField(source="public_id")
    state = serializers.CharField()
    code = serializers.CharField(help_text="Empty where the word counts.")
    message = serializers.CharField()


class OutcomesSerializer(serializers.Serializer[Any]):
    """What became of each."""

    items = OutcomeSerializer(many=True)


class CommentSerializer(BodySerializer):
    """A word for the record, or none."""

    comment = serializers.CharField(**_COMMENT)


class TextSerializer(BodySerializer):
    """What is asked back, or replied."""

    text = serializers.CharField(max_length=2000)


class AnswerSerializer(BodySerializer):
    """The fields of the form."""

    answer = serializers.DictField()
    comment = serializers.CharField(**_COMMENT)
