"""The routes every installation begins with: made from the keys its workers find."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentops.providers.endpoints import Endpoint, Protocol
from agentops.providers.routing import Candidate, Route

SCRIPTED = Endpoint("scripted", Protocol.SCRIPTED)
KEYS: Mapping[Protocol, str] = MappingProxyType(
    {
        Protocol.ANTHROPIC: "ANTHROPIC_API_KEY",
        Protocol.OPENAI: "OPENAI_API_KEY",
        Protocol.GOOGLE: "GEMINI_API_KEY",
    }
)
_MODELS: Mapping[str, Mapping[Protocol, str]] = MappingProxyType(
    {
        "fast": {
            Protocol.ANTHROPIC: "claude-haiku-5-5",
            Protocol.OPENAI: "gpt-6-luna",
            Protocol.GOOGLE: "gemini-3.5-flash-lite",
        },
        "smart": {
            Protocol.ANTHROPIC: "claude-sonnet-5-5",
            Protocol.OPENAI: "gpt-6.1-terra",
            Protocol.GOOGLE: "gemini-4-argon",
        },
    }
)
NAMES = tuple(_MODELS)


def endpoints(environment: Mapping[str, str]) -> dict[str, Endpoint]:
    """The providers whose usual variable holds a key, and the scripted one."""
    found = {SCRIPTED.name: SCRIPTED}
    for protocol, variable in KEYS.items():
        if environment.get(variable):
            found[protocol.value] = Endpoint(protocol.value, protocol, key=environment[variable])
    return found


def route(name: str, known: Mapping[str, Endpoint]) -> Route | None:
    """The route ``name`` over the providers there are keys for; without any, the scripted one."""
    models = _MODELS.get(name)
    if models is None:
        return None
    real = [
        Candidate(endpoint=protocol.value, model=model)
        for protocol, model in models.items()
        if protocol.value in known
    ]
    return Route(name, 0, tuple(real) or (Candidate(endpoint=SCRIPTED.name, model="scripted"),))
