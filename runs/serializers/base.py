"""What serializers of this API share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


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


class QuerySerializer(serializers.Serializer[Any]):
    """What an address says after its question mark. A name nobody knows is refused here too.

    Else a mistyped filter would let everything through. ``pages``: it is a list with cursors.
    """

    pages = False

    def to_internal_value(self, data: Any) -> Any:
        known = [*self.fields, *(("cursor", "limit") if self.pages else ())]
        unknown = sorted(set(data) - set(known))
        if unknown:
            said = f"There is no such parameter; known are {', '.join(known)}."
            raise serializers.ValidationError({name: [said] for name in unknown})
        return super().to_internal_value(data)


class PageQuerySerializer(QuerySerializer):
    """The address of a list without filters."""

    pages = True


class Number(serializers.FloatField):
    """A number, and a finite one."""

    def to_internal_value(self, data: Any) -> float:
        value: float = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


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
