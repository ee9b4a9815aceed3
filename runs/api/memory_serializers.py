"""How memory looks from outside, and what may be written to it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agentops.sdk.memory import LONGEST_KEY, LONGEST_QUERY, LONGEST_TEXT, MOST_FOUND
from runs import memories
from runs.models import Memory, MemoryKind
from runs.serializers import AnyValue, BodySerializer


class StoredValue(AnyValue):
    """The value of an entry."""

    def to_representation(self, row: Any) -> Any:
        return memories.value_of(row)


class MemorySerializer(serializers.ModelSerializer[Memory]):
    """An entry of memory, and where it comes from."""

    id = serializers.CharField(source="public_id")
    scope = serializers.ChoiceField(MemoryKind.choices, source="kind")
    agent = serializers.SerializerMethodField()
    person = serializers.CharField(source="owner.username", allow_null=True)
    team = serializers.CharField(source="team.name", allow_null=True)
    value = StoredValue(source="*")
    text = serializers.CharField(help_text="What search finds it by.")
    revision = serializers.IntegerField(help_text="Raised by one with every write.")
    run = serializers.SerializerMethodField(help_text="The run that wrote it last, if one did.")
    step = serializers.SerializerMethodField(help_text="The step of that run.")
    written_by = serializers.CharField(help_text="The agent or the person.")

    class Meta:
        model = Memory
        fields = [
            "id", "scope", "agent", "person", "team", "key", "value", "text", "revision", "run",
            "step", "written_by", "expires_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"]})
    def get_agent(self, row: Memory) -> str | None:
        return row.agent or None

    @extend_schema_field({"type": ["string", "null"]})
    def get_run(self, row: Memory) -> str | None:
        return row.run or None

    @extend_schema_field({"type": ["string", "null"]})
    def get_step(self, row: Memory) -> str | None:
        return row.step or None


class FoundSerializer(serializers.Serializer[Any]):
    """What a search found."""

    items = MemorySerializer(many=True)


class MemoryQuerySerializer(serializers.Serializer[Any]):
    """Whose memory."""

    scope = serializers.ChoiceField(MemoryKind.choices, required=False)
    agent = serializers.CharField(required=False, max_length=200)
    person = serializers.CharField(required=False, max_length=150, help_text="A person's name.")
    team = serializers.CharField(required=False, max_length=80, help_text="A team's name.")


class MemorySearchSerializer(MemoryQuerySerializer):
    """What to search for, and in whose memory."""

    q = serializers.CharField(
        max_length=LONGEST_QUERY, help_text="Words; entries with all of them come first."
    )
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MOST_FOUND, default=20)


class _EntrySerializer(BodySerializer):
    value = AnyValue()
    text = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        default=None,
        max_length=LONGEST_TEXT,
        help_text="What search finds it by; without it, the words of the value.",
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Without it, it stays for good."
    )

    def validate_expires_at(self, at: Any) -> Any:
        """Refuse a time that is over: nobody would ever see the entry."""
        if at is not None and at <= timezone.now():
            raise serializers.ValidationError("This time is over. Send one that is to come.")
        return at


class NewMemorySerializer(_EntrySerializer):
    """A new entry."""

    scope = serializers.ChoiceField(
        MemoryKind.choices,
        required=False,
        default=MemoryKind.PERSON.value,
        help_text="person: your own.",
    )
    agent = serializers.CharField(
        required=False, default="", max_length=200, help_text="For the scope agent: which."
    )
    team = serializers.CharField(
        required=False, default="", max_length=80, help_text="For the scope team: which."
    )
    key = serializers.CharField(max_length=LONGEST_KEY)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        """Refuse a scope without the name it needs, and a name that no scope takes."""
        for name in ("agent", "team"):
            wanted, given = said["scope"] == name, bool(said[name])
            if wanted != given:
                told = f"Say which {name}." if wanted else f"Only the scope {name} takes one."
                raise serializers.ValidationError({name: [told]})
        return said


class MemoryWriteSerializer(_EntrySerializer):
    """What an entry is to be from now on, as a whole."""

    revision = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The one you read; or send it as If-Match.",
    )


class EraseSerializer(BodySerializer):
    """Whose memory to erase."""

    person = serializers.CharField(max_length=150, help_text="A person's name.")


class ErasedSerializer(serializers.Serializer[Any]):
    """What was erased, and what else of that person is kept."""

    entries = serializers.IntegerField(help_text="Entries that were deleted.")
    runs = serializers.IntegerField(help_text="Runs that are kept, until their retention ends.")
    conversations = serializers.IntegerField(help_text="Conversations that are kept likewise.")
