"""What is said to a model and by it, in a form that no provider owns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model wants a tool called. ``arguments`` is its text where that is no JSON object."""

    id: str
    name: str
    arguments: dict[str, object] | str


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    An assistant's message has ``text``, the ``uses`` of tools it asks for, or both. A tool's has
    the result as ``text``, the ``use_id`` it answers, its ``name``, and whether it ``failed``.
    ``native`` is what the provider wants to be handed back unchanged with its own message, such
    as the signatures of its thoughts; others ignore it.
    """

    role: Role
    text: str = ""
    uses: tuple[ToolUse, ...] = ()
    use_id: str = ""
    name: str = ""
    failed: bool = False
    native: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. The totals include their parts: ``input_tokens`` what was read from
    and written to a cache, ``output_tokens`` what was spent on thinking. ``measured`` is false
    when the provider did not say."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    measured: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """What there is to count, by name."""
        return {name: count for name, count in asdict(self).items() if count and name != "measured"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered. ``finish`` says why it stopped: stop, length, tools or filtered."""

    message: Message
    finish: str = "stop"
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    request_id: str = ""

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def facts(self) -> dict[str, object]:
        """Who answered and what it took, without what was said."""
        return {"model": self.model, "finish": self.finish, "usage": self.usage.counts}


def system(text: str) -> Message:
    """What the model is to be, for all of a conversation."""
    return Message(Role.SYSTEM, text)


def user(text: str) -> Message:
    """What a person, or the agent for them, says."""
    return Message(Role.USER, text)


def assistant(text: str, *uses: ToolUse) -> Message:
    """What a model said."""
    return Message(Role.ASSISTANT, text, uses)


def result(use: ToolUse, text: str, *, failed: bool = False) -> Message:
    """What came of a tool that the model asked for."""
    return Message(Role.TOOL, text, use_id=use.id, name=use.name, failed=failed)
