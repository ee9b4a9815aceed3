"""How agents look from outside."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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
