"""What a server answered, as a step records it and a model reads it.

Text stays text. What is not text is named, never passed over: an agent that needs the bytes asks
for them with a tool of its own, where they do not fill every prompt after it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentops.sdk.errors import ToolError

LONGEST_TEXT = 256 * 1024
LONGEST_VALUE = 512 * 1024
_SHOWN = 1_000
GAP = "…"


def value_of(result: Any, secret: str) -> object:
    """The value of a tool's answer. Raises ToolError with what the server says went wrong."""
    dumped = _without(result.model_dump(mode="json", by_alias=True, exclude_none=True), secret)
    blocks = [_block(block) for block in dumped.get("content") or []]
    if dumped.get("isError"):
        text = "\n".join(_as_text(block) for block in blocks)
        raise ToolError(_cut(text, 4 * _SHOWN) or "The tool failed and does not say why.")
    structured = dumped.get("structuredContent")
    if structured is None:
        return _plain(blocks)
    if len(json.dumps(structured)) > LONGEST_VALUE:
        return {"left_out": f"structured content of more than {LONGEST_VALUE:,} characters"}
    told = [_fitted(block) for block in blocks if not _repeats(block, structured)]
    return {"structured": structured, "content": told} if told else structured


def _plain(blocks: Sequence[Mapping[str, object]]) -> object:
    if all(block["type"] == "text" for block in blocks):
        return _cut("\n".join(str(block["text"]) for block in blocks), LONGEST_TEXT)
    return {"content": [_fitted(block) for block in blocks]}


def _fitted(block: Mapping[str, object]) -> dict[str, object]:
    text = {"text": _cut(str(block["text"]), LONGEST_TEXT)} if "text" in block else {}
    return {**block, **text}


def _block(block: Mapping[str, Any]) -> dict[str, object]:
    kind = str(block.get("type"))
    if kind == "text":
        return {"type": "text", "text": str(block.get("text", ""))}
    if kind in {"image", "audio"}:
        return _reference(kind, block.get("mimeType"), str(block.get("data", "")))
    if kind == "resource_link":
        return {k: _short(v) for k, v in block.items() if k != "_meta"}
    if kind == "resource":
        return _resource(block.get("resource") or {})
    return {"type": kind, "left_out": "content of a kind that is not known"}


def _resource(resource: Mapping[str, Any]) -> dict[str, object]:
    uri = _short(resource.get("uri", ""))
    if "text" in resource:
        return {"type": "resource", "uri": uri, "text": str(resource["text"])}
    blob = str(resource.get("blob", ""))
    return _reference("resource", resource.get("mimeType"), blob) | {"uri": uri}


def _reference(kind: str, media_type: object, data: str) -> dict[str, object]:
    """Bytes by their size and digest; they are not kept."""
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        return {"type": kind, "left_out": "not valid base64"}
    return {
        "type": kind,
        "media_type": str(media_type or ""),
        "bytes": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "left_out": "the bytes are not kept",
    }


def _repeats(block: Mapping[str, object], structured: object) -> bool:
    """Whether a text only says the structured content again, as servers do for old clients."""
    if block["type"] != "text":
        return False
    try:
        said = json.loads(str(block["text"]))
    except ValueError:
        said = block["text"]
    inner = structured.get("result") if isinstance(structured, dict) else None
    return said in (structured, inner) or (isinstance(inner, list) and said in inner)


def _as_text(block: Mapping[str, object]) -> str:
    return str(block["text"]) if "text" in block else json.dumps(dict(block))


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[:longest]}{GAP} ({len(text):,} characters; the rest is left out)"


def _short(value: object) -> object:
    return _cut(value, _SHOWN) if isinstance(value, str) else value


def _without(value: Any, secret: str) -> Any:
    """``value`` with a gap wherever it holds the secret the server was given."""
    if not secret:
        return value
    if isinstance(value, str):
        return value.replace(secret, GAP)
    if isinstance(value, dict):
        return {k.replace(secret, GAP): _without(v, secret) for k, v in value.items()}
    return [_without(v, secret) for v in value] if isinstance(value, list) else value
