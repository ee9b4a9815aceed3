"""Bodies: JSON as the standard has it, no larger than allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser as DjangoJSONParser

from agentops.sdk.errors import PayloadTooLarge

# What a request may say besides its largest value.
_FRAME_BYTES = 64 * 1024


class JSONParser(DjangoJSONParser):
    """Reads a JSON body. Raises PayloadTooLarge before it has read more than is allowed."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        allowed = settings.AGENTOPS_MAX_PAYLOAD_BYTES + _FRAME_BYTES
        body = stream.read(allowed + 1)
        if len(body) > allowed:
            raise PayloadTooLarge(f"The body is larger than the {allowed:,} bytes allowed.")
        try:
            return json.loads(body.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {error}") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
