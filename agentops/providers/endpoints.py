"""Where a model is served: the address, the protocol, the key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """What an endpoint speaks."""

    OPENAI = "openai"
    """The chat completions of OpenAI, which Ollama, vLLM and many others speak as well."""
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    SCRIPTED = "scripted"
    """No model at all: believable answers, for trying things without a provider."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as a worker uses it. ``key`` is never shown, logged or recorded."""

    name: str
    protocol: Protocol
    base_url: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.protocol.value!r}, {self.base_url!r})"
