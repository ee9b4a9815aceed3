"""What JSON of a provider cannot carry is sent as what it can."""

from __future__ import annotations

import pytest

from agentops.providers.endpoints import Protocol
from agentops.sdk.messages import ToolUse, assistant, result, user
from tests.modelserver import Answer, ModelServer
from tests.providers.asking import ask

USE = ToolUse("one", "look", {"at": ["\ud800"]})
pytestmark = pytest.mark.usefixtures("connections")


@pytest.mark.parametrize("protocol", [Protocol.OPENAI, Protocol.ANTHROPIC])
async def test_nul_and_lone_surrogates_of_a_history_are_no_error(
    protocol: Protocol,
) -> None:
    said = (user("a \ud800 b \0"), assistant("c \udfff", USE), result(USE, "\udc00"))
    async with ModelServer([Answer("hello")]) as server:
        reply = await ask(server, protocol, *said)
    assert reply.text
