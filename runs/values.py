"""Stored values read back, whole or as the beginning of a line."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from agentops.sdk.codec import BLOB, DEFLATED, NOTED_DEFLATED, decode
from runs.models import Blob

PREVIEW_BYTES = 240
# So much of a stored value holds its first PREVIEW_BYTES, compressed or not.
HEAD_BYTES = 512

Stored = tuple[int | None, bytes | memoryview | None]


def load(codec: int | None, data: bytes | memoryview | None) -> object:
    """The value of a stored pair; None if there is none."""
    if codec is None or data is None:
        return None
    if codec == BLOB:
        blob = Blob.objects.get(digest=bytes(data))
        return decode(blob.codec, bytes(blob.data))
    return decode(codec, bytes(data))


def load_all(pairs: Iterable[Stored]) -> list[object]:
    """The values of many pairs, with one query for those that are blobs."""
    pairs = list(pairs)
    digests = {bytes(data) for codec, data in pairs if codec == BLOB and data is not None}
    blobs = {bytes(b.digest): b for b in Blob.objects.filter(digest__in=digests)} if digests else {}
    return [
        decode(blobs[bytes(data)].codec, bytes(blobs[bytes(data)].data))
        if codec == BLOB and data is not None
        else load(codec, data)
        for codec, data in pairs
    ]


def preview(codec: int | None, head: bytes | memoryview | None) -> str:
    """The beginning of a stored value in JSON, from its first HEAD_BYTES. Blobs have none."""
    if codec is None or head is None or codec == BLOB:
        return ""
    raw = bytes(head)
    if codec in {DEFLATED, NOTED_DEFLATED}:
        raw = zlib.decompressobj().decompress(raw, PREVIEW_BYTES)
    raw = raw.partition(b"\n")[0]
    text = raw[:PREVIEW_BYTES].decode(errors="ignore")
    return text if len(raw) < PREVIEW_BYTES else text + "…"
