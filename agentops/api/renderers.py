"""Answers: always valid JSON, whatever a tool returned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer as DjangoJSONRenderer
from rest_framework.utils.encoders import JSONEncoder


class JSONRenderer(DjangoJSONRenderer):
    """JSON; numbers JSON does not have become strings, lone surrogates are escaped."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().render(data, accepted_media_type, renderer_context)
        except ValueError:
            return dumps(data).encode()


def dumps(data: object) -> str:
    """JSON in ASCII for data that may hold anything the journal can."""
    return json.dumps(_finite(data), cls=JSONEncoder, separators=(",", ":"))


def _finite(data: object) -> object:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
