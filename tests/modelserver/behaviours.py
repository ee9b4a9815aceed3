"""What to answer when only the request says: for servers in a process of their own.

The name of the model asked for chooses, ``loop-4`` if it is nothing known:

- ``plain``: a sentence.
- ``loop-N``: calls the first tool that is offered, N times in turn, then answers.
- ``tour``: calls every tool that is offered, one after the other, then answers.
- ``fan-N``: calls it N times at once, then answers.
- ``fault-NAME`` or ``fault-NAME:SECONDS``: a fault of ``faults``.

A request can carry a fault in the header ``x-fault`` as well. Where an answer has to come through
a tool, the last answer does, with values that fit its schema.
"""

from __future__ import annotations

from typing import Any

from tests.modelserver.answers import Answer, Call
from tests.modelserver.asked import Asked
from tests.modelserver.faults import Fault

ANSWER = "answer"
DEFAULT_TURNS = 4


def behave(asked: Asked) -> Answer | Fault:
    """The answer to a request, decided by nothing else."""
    if "x-fault" in asked.headers:
        return Fault.read(asked.headers["x-fault"])
    kind, _, detail = asked.model.partition("-")
    if kind == "fault":
        return Fault.read(detail)
    tools = [name for name in asked.tools if name != ANSWER]
    turn = turns(asked)
    if kind == "plain" or not tools:
        return _last(asked)
    if kind == "tour":
        return _use(asked, tools[turn], turn, 1) if turn < len(tools) else _last(asked)
    times = int(detail) if kind in {"loop", "fan"} and detail.isdigit() else DEFAULT_TURNS
    if kind == "fan":
        return _last(asked) if turn else _use(asked, tools[0], turn, times)
    return _use(asked, tools[0], turn, 1) if turn < times else _last(asked)


def turns(asked: Asked) -> int:
    """How often the model asked for tools since the user spoke last."""
    count = 0
    for message in reversed(asked.messages):
        if message.get("role") == "assistant":
            count += _asks_for_tools(message)
        elif _is_spoken(message):
            break
    return count


def _asks_for_tools(message: dict[str, Any]) -> bool:
    blocks = message.get("content")
    used = isinstance(blocks, list) and any(b.get("type") == "tool_use" for b in blocks)
    return used or bool(message.get("tool_calls"))


def _is_spoken(message: dict[str, Any]) -> bool:
    blocks = message.get("content")
    told = isinstance(blocks, list) and any(b.get("type") == "tool_result" for b in blocks)
    return message.get("role") == "user" and not told


def _use(asked: Asked, tool: str, turn: int, times: int) -> Answer:
    arguments = fitting(asked.tools[tool], turn)
    calls = [Call(tool, arguments, f"call_{turn + 1}_{n}") for n in range(1, times + 1)]
    return Answer(calls=tuple(calls))


def _last(asked: Asked) -> Answer:
    if ANSWER in asked.tools:
        return Answer(calls=(Call(ANSWER, fitting(asked.tools[ANSWER], 0), "call_answer"),))
    return Answer(f"Done after {turns(asked)} turns.")


def fitting(schema: dict[str, Any], turn: int) -> dict[str, object]:
    """Values for everything a schema requires."""
    return {
        name: _value(schema["properties"][name], schema, turn)
        for name in schema.get("required", ())
    }


def _value(of: dict[str, Any], root: dict[str, Any], turn: int) -> object:
    if "$ref" in of:
        of = root["$defs"][of["$ref"].rsplit("/", 1)[-1]]
    if "enum" in of:
        return of["enum"][0]
    if "anyOf" in of:
        return _value(of["anyOf"][0], root, turn)
    if of.get("type") == "object":
        return fitting(of | {"$defs": root.get("$defs", {})}, turn)
    plain: dict[str, object] = {"integer": turn, "number": turn, "boolean": True, "array": []}
    return plain.get(str(of.get("type")), f"value {turn}")
