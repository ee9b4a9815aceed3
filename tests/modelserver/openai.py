"""Answers in the words of OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.modelserver.answers import Answer, Call, cut
from tests.modelserver.asked import Asked

DONE = b"data: [DONE]\n\n"
_FINISH = {"filtered": "content_filter"}


def whole(asked: Asked, answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [_call(name, call) for name, call in answer.numbered()]
    choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
    body = _envelope(asked, "chat.completion") | {"choices": [choice]}
    if answer.tokens is not None:
        body["usage"] = _usage(answer.tokens)
    return body


def events(asked: Asked, answer: Answer) -> list[bytes]:
    """The events of an answer that is streamed."""
    made = [_chunk(asked, delta) for delta in _deltas(answer)]
    made.append(_chunk(asked, {}, _finish(answer)))
    wants = (asked.body.get("stream_options") or {}).get("include_usage")
    if wants and answer.tokens is not None:
        usage = {"choices": [], "usage": _usage(answer.tokens)}
        made.append(event(_envelope(asked, "chat.completion.chunk") | usage))
    return [*made, DONE]


def event(value: object) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in answer.split:
        yield {"content": piece}
    for index, (name, call) in enumerate(answer.numbered()):
        begun = _call(name, call) | {"index": index}
        yield {"tool_calls": [begun | {"function": {"name": call.name, "arguments": ""}}]}
        for piece in cut(call.text, 3):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _chunk(asked: Asked, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return event(_envelope(asked, "chat.completion.chunk") | {"choices": [choice]})


def _envelope(asked: Asked, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{asked.n}",
        "object": kind,
        "created": int(asked.at),
        "model": asked.model,
    }


def _call(id: str, call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.text}
    return {"id": id, "type": "function", "function": function}


def _finish(answer: Answer) -> str:
    if answer.calls and answer.finish == "stop":
        return "tool_calls"
    return _FINISH.get(answer.finish, answer.finish)


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    read, written = tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def error(message: str, kind: str | None, code: str | None) -> dict[str, Any]:
    """What OpenAI says when it does not answer."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
