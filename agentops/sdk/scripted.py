"""A model whose answers are written down, for tests and for trying things without a provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentops.sdk.errors import Misuse
from agentops.sdk.messages import Message, Reply, ToolUse, assistant
from agentops.sdk.models import ModelRequest

Answer = Reply | Message | str | ToolUse | Sequence[ToolUse] | Exception
"""What a model in a test says: a text, tools it wants called, or the error it fails with."""


@dataclass
class ScriptedModel:
    """A model that says what the test wrote down, in order, or what a function makes of a request.

    ``requests`` are those it got. One request too many raises Misuse in the agent.
    """

    answers: Sequence[Answer] | Callable[[ModelRequest], Answer]
    requests: list[ModelRequest] = field(default_factory=list)

    def answer(self, request: ModelRequest) -> Reply:
        """The next answer."""
        self.requests.append(request)
        if callable(self.answers):
            given = self.answers(request)
        elif len(self.requests) <= len(self.answers):
            given = self.answers[len(self.requests) - 1]
        else:
            raise Misuse(f"The script has {len(self.answers)} answers; the agent wants another.")
        if isinstance(given, Exception):
            raise given
        return as_reply(given)


def as_reply(given: Answer) -> Reply:
    """The reply that an answer, not an error, stands for."""
    if isinstance(given, Reply):
        return given
    if isinstance(given, str):
        given = assistant(given)
    elif isinstance(given, ToolUse):
        given = assistant("", given)
    elif not isinstance(given, Message):
        given = assistant("", *given)  # type: ignore[misc]  # an error was raised before
    return Reply(given, "tools" if given.uses else "stop", "scripted")
