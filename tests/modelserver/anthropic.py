"""Answers in the words of Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.modelserver.answers import Answer, Call, cut
from tests.modelserver.asked import Asked

_STOP = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"}


def whole(asked: Asked, answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append(_thought(answer.thinking, answer.signature))
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    blocks += [
        {"type": "tool_use", "id": name, "name": call.name, "input": call.arguments}
        for name, call in answer.numbered()
    ]
    read, written = answer.tokens or (0, 0)
    usage = {"input_tokens": read, "output_tokens": written}
    return _message(asked) | {
        "content": blocks,
        "stop_reason": _stop(answer),
        "usage": usage,
    }


def events(asked: Asked, answer: Answer) -> list[bytes]:
    """The events of an answer that is streamed."""
    read, written = answer.tokens or (0, 0)
    opening = _message(asked) | {"usage": {"input_tokens": read, "output_tokens": 0}}
    made = [event("message_start", message=opening), event("ping")]
    for index, block in enumerate(_blocks(answer)):
        beginning, *deltas = block
        made.append(event("content_block_start", index=index, content_block=beginning))
        made += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        made.append(event("content_block_stop", index=index))
    ending = {"stop_reason": _stop(answer), "stop_sequence": None}
    made.append(event("message_delta", delta=ending, usage={"output_tokens": written}))
    return [*made, event("message_stop")]


def event(kind: str, **facts: object) -> bytes:
    """One event of a stream."""
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        json.dumps({"type": kind} | facts).encode(),
    )


def _blocks(answer: Answer) -> Iterator[list[dict[str, Any]]]:
    if answer.thinking:
        thought = [{"type": "thinking_delta", "thinking": p} for p in cut(answer.thinking, 2)]
        signed = {"type": "signature_delta", "signature": answer.signature}
        yield [_thought("", ""), *thought, signed]
    if answer.text:
        words = [{"type": "text_delta", "text": piece} for piece in answer.split]
        yield [{"type": "text", "text": ""}, *words]
    for name, call in answer.numbered():
        yield [_use(name, call), *_arguments(call)]


def _use(id: str, call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": call.name, "input": {}}


def _arguments(call: Call) -> Iterator[dict[str, Any]]:
    for piece in cut(call.text, 3):
        yield {"type": "input_json_delta", "partial_json": piece}


def _thought(text: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _message(asked: Asked) -> dict[str, Any]:
    return {
        "id": f"msg_{asked.n}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _stop(answer: Answer) -> str:
    if answer.calls and answer.finish == "stop":
        return "tool_use"
    return _STOP.get(answer.finish, answer.finish)


def error(message: str, kind: str) -> dict[str, Any]:
    """What Anthropic says when it does not answer."""
    return {"type": "error", "error": {"type": kind, "message": message}}
