"""How values become bytes in the journal.

JSON, because people and other programs must be able to read a journal; deflated when that pays.
Everything Python's own decoder reads back is allowed, also NUL, lone surrogates and NaN, which
tools produce and ``jsonb`` refuses.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from typing import NamedTuple

from pydantic_core import PydanticSerializationError, to_jsonable_python

from agentops.sdk.errors import PayloadError, PayloadTooLarge

JSON, DEFLATED, BLOB = 0, 1, 2
COMPRESS_FROM_BYTES = 1024
MAX_BYTES = 8 * 1024 * 1024
_SAMPLE_BYTES = 4096
# Deflating 100 KB costs 3 ms; a saving of less than a third is not worth that.
WORTH_IT = 0.66
_PLAIN = (str, int, float, bool, type(None))


class Encoded(NamedTuple):
    """Bytes with the codec that made them: 0 JSON, 1 JSON deflated with zlib."""

    codec: int
    data: bytes


NULL = Encoded(JSON, b"null")


def encode(value: object, *, limit: int | None = None) -> Encoded:
    """The stored form of ``value``.

    Dataclasses, pydantic models, dates, decimals, UUIDs, enums, sets and bytes are written in the
    form pydantic gives them. Raises PayloadError for what has no JSON form, PayloadTooLarge for
    more than ``limit`` bytes (default :data:`MAX_BYTES`) before compression.
    """
    if value is None:
        return NULL
    raw = _dumps(value)
    allowed = MAX_BYTES if limit is None else limit
    if len(raw) > allowed:
        raise PayloadTooLarge(
            f"The value has {len(raw):,} bytes; at most {allowed:,} are stored. "
            "Write it to a file or an object store and return its address."
        )
    return _pack(raw)


def decode(codec: int, data: bytes) -> object:
    """The value that :func:`encode` stored."""
    if codec == DEFLATED:
        data = zlib.decompress(data)
    elif codec != JSON:
        raise PayloadError(f"Codec {codec} is not known to this release; update the worker.")
    return json.loads(data)


def canonical(value: object) -> bytes:
    """Bytes that are equal for equal values, for digests."""
    return json.dumps(json.loads(_dumps(value)), sort_keys=True, separators=(",", ":")).encode()


def digest(value: object) -> bytes:
    """SHA-256 of the canonical form of ``value``."""
    return hashlib.sha256(canonical(value)).digest()


def as_recorded(value: object, encoded: Encoded) -> object:
    """What a replay would see in place of ``value``, so that live and replay never differ."""
    return value if type(value) in _PLAIN else decode(*encoded)


def _dumps(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), default=_jsonable).encode()
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise PayloadError(
            f"A value of type {type(value).__name__} has no JSON form ({error}). Return plain "
            "data, a dataclass or a pydantic model."
        ) from error


def _jsonable(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, bytes):
        return to_jsonable_python(value, bytes_mode="base64")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="constants")


def _pack(raw: bytes) -> Encoded:
    if len(raw) < COMPRESS_FROM_BYTES:
        return Encoded(JSON, raw)
    sample = raw[:_SAMPLE_BYTES]
    if len(zlib.compress(sample, 1)) > len(sample) * WORTH_IT:
        return Encoded(JSON, raw)
    return Encoded(DEFLATED, zlib.compress(raw, 1))
