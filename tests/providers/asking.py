"""How these tests ask: an endpoint at the test's server, a request, what came of it."""

from __future__ import annotations

from agentops.providers import adapter
from agentops.providers.endpoints import Endpoint, Protocol
from agentops.sdk.messages import Message, Reply, user
from agentops.sdk.models import ModelRequest, ToolSpec
from tests.modelserver import ModelServer

KEY = "sk-live-4f9a8b7c6d5e"
PROMPT = "Translate the diary of Ada, born in 1815, who lives at 12 St James's Square"
MODELS = {Protocol.OPENAI: "gpt-4o", Protocol.ANTHROPIC: "claude-haiku-4-5"}
# Never reached: for a machine that is busy with something else.
PATIENCE = 60.0

LOOK = ToolSpec(
    "look",
    "See what is there.",
    {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    },
)


def endpoint(server: ModelServer | str, protocol: Protocol, key: str = KEY) -> Endpoint:
    """The endpoint a server is, or where none is."""
    if isinstance(server, ModelServer):
        address = server.openai if protocol is Protocol.OPENAI else server.anthropic
    else:
        address = f"{server}/v1" if protocol is Protocol.OPENAI else server
    return Endpoint("test", protocol, address, key)


async def ask(
    server: ModelServer | str,
    protocol: Protocol,
    *said: Message,
    tools: tuple[ToolSpec, ...] = (LOOK,),
    answer: ToolSpec | None = None,
    max_tokens: int | None = None,
    timeout: float = PATIENCE,
    key: str = KEY,
    pieces: list[str] | None = None,
) -> Reply:
    """Ask once. ``pieces`` takes the text as it comes."""
    request = ModelRequest("fast", said or (user(PROMPT),), tools, answer, max_tokens)
    sink = (pieces if pieces is not None else []).append
    at = endpoint(server, protocol, key)
    return await adapter.ask(at, MODELS[protocol], request, timeout=timeout, sink=sink)
