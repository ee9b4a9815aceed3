"""How values become bytes in the journal.

JSON, because people and other programs must be able to read a journal; deflated when that pays.
Everything Python's own decoder reads back is allowed, also NUL, lone surrogates and NaN, which
tools produce and ``jsonb`` refuses. A value with parts that JSON has no word for has a second line,
which notes what they were: :func:`decode` leaves it aside, :func:`revive` follows it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import marshal
import zlib
from typing import NamedTuple

from pydantic_core import PydanticSerializationError, to_jsonable_python

from agentops.sdk import kinds
from agentops.sdk.errors import PayloadError, PayloadTooLarge

JSON, DEFLATED, BLOB, NOTED, NOTED_DEFLATED = range(5)
COMPRESS_FROM_BYTES = 1024
MAX_BYTES = 8 * 1024 * 1024
_SAMPLE_BYTES = 4096
# Deflating 100 KB costs 3 ms; a saving of less than a third is not worth that.
WORTH_IT = 0.66
_PLAIN = (str, int, float, bool, type(None))


class Encoded(NamedTuple):
    """Bytes with the codec that made them: 0 JSON, 1 JSON deflated with zlib; 3 and 4 are these
    with a second line of notes."""

    codec: int
    data: bytes


NULL = Encoded(JSON, b"null")


def encode(value: object, *, limit: int | None = None, noted: bool = True) -> Encoded:
    """The stored form of ``value``.

    Dataclasses, pydantic models, dates, decimals, UUIDs, enums, sets and bytes are written in a
    plain form with a note of what they were; without it where ``noted`` is false, for values whose
    reader knows their type. Raises PayloadError that names the part which cannot be stored,
    PayloadTooLarge for more than ``limit`` bytes (default :data:`MAX_BYTES`) before compression.
    """
    if value is None:
        return NULL
    raw, notes = _written(value) if noted else (_dumps(value), b"")
    allowed = MAX_BYTES if limit is None else limit
    if len(raw) > allowed:
        raise PayloadTooLarge(
            f"The value has {len(raw):,} bytes; at most {allowed:,} are stored. "
            "Write it to a file or an object store and return its address."
        )
    if not notes:
        return _pack(raw)
    packed = _pack(raw + b"\n" + notes)
    return Encoded(packed.codec + NOTED, packed.data)


def decode(codec: int, data: bytes) -> object:
    """The value that :func:`encode` stored, in its plain form."""
    return json.loads(_unpacked(codec, data).partition(b"\n")[0])


def revive(codec: int, data: bytes) -> object:
    """The value that :func:`encode` was given. Imports the modules of its classes."""
    value, _, notes = _unpacked(codec, data).partition(b"\n")
    return kinds.revived(json.loads(value), json.loads(notes)) if notes else json.loads(value)


def _unpacked(codec: int, data: bytes) -> bytes:
    if codec in {JSON, NOTED}:
        return data
    if codec in {DEFLATED, NOTED_DEFLATED}:
        return zlib.decompress(data)
    raise PayloadError(f"Codec {codec} is not known to this release; update the worker.")


def canonical(value: object) -> bytes:
    """Bytes that are equal for equal values, for digests."""
    return json.dumps(json.loads(_dumps(value)), sort_keys=True, separators=(",", ":")).encode()


def digest(value: object) -> bytes:
    """SHA-256 of the canonical form of ``value``."""
    return hashlib.sha256(canonical(value)).digest()


def enclose(fields: dict[str, object], name: str, stored: Encoded) -> Encoded:
    """``fields`` with a stored value as one more of them, which keeps its notes."""
    value, _, notes = _unpacked(*stored).partition(b"\n")
    raw = _dumps({**fields, name: json.loads(value)})
    if not notes:
        return _pack(raw)
    moved = [[[name, *place], kind] for place, kind in json.loads(notes)]
    packed = _pack(raw + b"\n" + _dumps(moved))
    return Encoded(packed.codec + NOTED, packed.data)


def as_recorded(value: object, encoded: Encoded) -> object:
    """What a replay would see in place of ``value``, so that live and replay never differ."""
    return value if type(value) in _PLAIN else revive(*encoded)


def _refuse(value: object) -> object:
    raise TypeError(type(value).__name__)


_encode_plain = json.JSONEncoder(separators=(",", ":"), default=_refuse).encode
# Version 2 of the format does without a table of what occurs twice.
_MARSHAL_VERSION = 2


def _written(value: object) -> tuple[bytes, bytes]:
    """``value`` in JSON, and its notes. Plain data is the fast way, and most of what there is."""
    try:
        # Raises for members of enums that are texts or numbers as well, which JSON lets pass.
        marshal.dumps(value, _MARSHAL_VERSION)  # type: ignore[arg-type]  # raises for others
        return _encode_plain(value).encode(), b""
    except (TypeError, ValueError, RecursionError):
        made, notes = kinds.plain(value)
    try:
        return _encode_plain(made).encode(), _encode_plain(notes).encode() if notes else b""
    except RecursionError:
        raise PayloadError(
            "The value is nested too deep. Return plain data of less depth."
        ) from None


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
        return kinds.in_order(value)
    if isinstance(value, bytes):
        return to_jsonable_python(value, bytes_mode="base64")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return kinds.by_pydantic(value)


def _pack(raw: bytes) -> Encoded:
    if len(raw) < COMPRESS_FROM_BYTES:
        return Encoded(JSON, raw)
    sample = raw[:_SAMPLE_BYTES]
    small = zlib.compress(sample, 1)
    if len(small) > len(sample) * WORTH_IT:
        return Encoded(JSON, raw)
    return Encoded(DEFLATED, small if len(sample) == len(raw) else zlib.compress(raw, 1))
