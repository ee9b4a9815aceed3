"""A provider without a model: it plays the part an agent's author wrote for it.

Its answers say ``scripted`` wherever the name of a model is shown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping

from agentops.sdk.messages import Reply, ToolUse, assistant
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer, as_reply

WORD_SECONDS = 0.02
MODEL = "scripted"
_NO_PART = (
    "This is a scripted answer: no provider of models has a key here, and this agent has no part "
    "written for it. Set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY for the workers."
)


async def play(
    script: Callable[[ModelRequest], Answer] | None,
    request: ModelRequest,
    sink: Callable[[str], None],
) -> Reply:
    """The answer of the part, word by word. Raises what the part says a provider would."""
    given = script(request) if script is not None else _without_part(request)
    if isinstance(given, Exception):
        raise given
    reply = as_reply(given)
    for word in re.findall(r"\s*\S+", reply.text):
        sink(word)
        await asyncio.sleep(WORD_SECONDS)
    return reply


def _without_part(request: ModelRequest) -> Answer:
    if request.answer is None:
        return assistant(_NO_PART)
    value = _least(request.answer.schema, request.answer.schema)
    return ToolUse("scripted", request.answer.name, value if isinstance(value, dict) else {})


def _least(schema: object, root: Mapping[str, object]) -> object:
    """The plainest value that fits a JSON schema as pydantic writes them."""
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        known = root.get("$defs")
        return _least(known.get(name) if isinstance(known, dict) else None, root)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _least(schema[key][0], root)
    return _plainest(schema, root)


def _plainest(schema: dict[str, object], root: Mapping[str, object]) -> object:
    kind = schema.get("type")
    if kind == "object":
        wanted, fields = schema.get("required"), schema.get("properties")
        names = wanted if isinstance(wanted, list) else []
        known = fields if isinstance(fields, dict) else {}
        return {name: _least(known.get(name), root) for name in names}
    if kind == "array":
        count = schema.get("minItems")
        return [_least(schema.get("items"), root)] * (count if isinstance(count, int) else 0)
    if kind in {"integer", "number"}:
        least = schema.get("minimum")
        return least if isinstance(least, (int, float)) else 0
    return {"string": "scripted", "boolean": False}.get(str(kind))
