"""Bodies: JSON as the standard has it, no larger than allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser as DjangoJSONParser

from agentops.sdk.errors import PayloadTooLarge

# What a request may say besides its largest value.
_FRAME_BYTES = 64 * 1024
# Deeper than anybody writes by hand, and far from where recursion ends.
DEEPEST = 100


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
            value = json.loads(
                body.decode(),
                parse_constant=_refuse,
                parse_float=_number,
                object_pairs_hook=_object,
            )
            _refuse_half_letters(body, value)
        except RecursionError as error:
            raise ParseError(_TOO_DEEP) from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        if body.count(b"{") + body.count(b"[") > DEEPEST and _is_deep(value):
            raise ParseError(_TOO_DEEP)
        return value


_TOO_DEEP = f"The body is nested more than {DEEPEST} levels deep. Send it flatter, or as a text."


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is larger than any number we know")
    return number


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object. Of a field that is there twice, nobody knows which one was meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice[:80]!r} is there twice")
    return made


def _refuse_half_letters(body: bytes, value: object) -> None:
    """Half of a surrogate pair can be written in JSON, and is no text."""
    if b"\\ud" in body.lower():
        json.dumps(value, ensure_ascii=False).encode()


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    items: Iterable[object] = ()
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list):
        items = value
    return (item for item in items if isinstance(item, (dict, list)))
