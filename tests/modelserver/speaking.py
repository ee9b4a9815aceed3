"""An answer in the protocol of whoever asked, streamed if they wanted that."""

from __future__ import annotations

from collections.abc import Sequence

from tests.modelserver import anthropic, openai
from tests.modelserver.answers import Answer
from tests.modelserver.asked import Asked
from tests.modelserver.plan import Plan, stream, told


def speak(asked: Asked, answer: Answer) -> Plan:
    """What goes over the wire for a good answer."""
    if asked.streams:
        return stream(events(asked, answer))
    protocol = anthropic if asked.protocol == "anthropic" else openai
    return [told(protocol.whole(asked, answer), headers=[("request-id", f"req_{asked.n}")])]


def events(asked: Asked, answer: Answer) -> Sequence[bytes]:
    """The events of its stream."""
    if asked.protocol == "anthropic":
        return anthropic.events(asked, answer)
    return openai.events(asked, answer)


def key_of(asked: Asked) -> str:
    """The key that came with a request."""
    return asked.headers.get("x-api-key") or asked.headers.get("authorization", "")[7:]


def prompt_of(asked: Asked) -> str:
    """What the user said last in a request."""
    for message in reversed(asked.messages):
        content = message.get("content")
        if message.get("role") != "user" or not content:
            continue
        if isinstance(content, str):
            return content
        for block in content:
            if block.get("type") == "text":
                return str(block["text"])
    return ""
