"""PostgreSQL's binary formats, as far as the writer needs them.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", and the send/recv functions of the
types: arrays are a header (dimensions, has-null flag, element type, length, lower bound) followed
by length-prefixed elements; timestamps are microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

INT2, INT4, INT8, TEXT, BYTEA, TIMESTAMPTZ = 21, 23, 20, 25, 17, 1184
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEADER = struct.Struct("!iiIii")
_EMPTY = struct.pack("!iiI", 0, 0, 0)
_INT2, _INT4, _INT8, _FLOAT8 = (struct.Struct(f) for f in ("!h", "!i", "!q", "!d"))
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)

Value = bytes | None


def int2(value: int) -> bytes:
    return _INT2.pack(value)


def int4(value: int) -> bytes:
    return _INT4.pack(value)


def int8(value: int) -> bytes:
    return _INT8.pack(value)


def text(value: str) -> bytes:
    """Text as PostgreSQL takes it: NUL and lone surrogates are replaced."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


def timestamp(value: datetime) -> bytes:
    return _INT8.pack((value - EPOCH) // _MICROSECOND)


def float8(value: float) -> bytes:
    return _FLOAT8.pack(value)


def optional(encode: Callable[..., bytes], value: object) -> Value:
    """``value`` encoded, or NULL."""
    return None if value is None else encode(value)


def _array(kind: int, elements: Sequence[Value]) -> bytes:
    if not elements:
        return _EMPTY[:8] + struct.pack("!I", kind)
    has_null = any(e is None for e in elements)
    parts = [_HEADER.pack(1, has_null, kind, len(elements), 1)]
    for element in elements:
        if element is None:
            parts.append(_NULL)
        else:
            parts.append(_LENGTH.pack(len(element)))
            parts.append(element)
    return b"".join(parts)


def int2s(values: Sequence[int | None]) -> bytes:
    return _array(INT2, [None if v is None else _INT2.pack(v) for v in values])


def int4s(values: Sequence[int]) -> bytes:
    return _array(INT4, [_INT4.pack(v) for v in values])


def int8s(values: Sequence[int]) -> bytes:
    return _array(INT8, [_INT8.pack(v) for v in values])


def texts(values: Sequence[str | None]) -> bytes:
    return _array(TEXT, [None if v is None else text(v) for v in values])


def byteas(values: Sequence[Value]) -> bytes:
    return _array(BYTEA, values)


def timestamps(values: Sequence[datetime | None]) -> bytes:
    return _array(TIMESTAMPTZ, [None if v is None else timestamp(v) for v in values])


def read_int(value: Value) -> int:
    """An integer of any width. NULL reads as 0."""
    return int.from_bytes(value or b"", signed=True)


def read_text(value: Value) -> str:
    return (value or b"").decode()


def read_bool(value: Value) -> bool:
    return value == b"\x01"


def read_float(value: Value) -> float | None:
    return None if value is None else float(_FLOAT8.unpack(value)[0])


def read_timestamp(value: Value) -> datetime:
    return EPOCH + timedelta(microseconds=read_int(value))
