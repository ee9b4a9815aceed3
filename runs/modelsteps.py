"""What a request to a model was and what came of it, for people: read from its rows and values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runs.reading import StepValues
from runs.timeline import Line, Step

LONGEST_TEXT = 8_000
_TOKENS = {
    "input_tokens": "in",
    "output_tokens": "out",
    "cache_read_tokens": "read from a cache",
    "cache_write_tokens": "written to a cache",
    "reasoning_tokens": "spent on thinking",
}
_SAYS = {"system": "Instructions", "user": "Asked", "assistant": "Model", "tool": "Tool result"}


@dataclass(frozen=True, slots=True)
class Use:
    """A tool the model wants called."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """A message. ``cut`` characters of its text are left out here."""

    who: str
    text: str
    cut: int = 0
    uses: list[Use] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """An attempt: whom it asked, and the error it met."""

    n: int
    target: str
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A request to a model as its rows tell of it."""

    route: str
    version: int | None
    endpoint: str
    requested: str
    served: str
    scripted: bool
    finish: str
    tokens: list[tuple[str, int]]
    measured: bool
    rejected: list[tuple[str, str]]
    attempts: dict[int, Asked]
    tools: list[str]
    structured: bool
    added: list[Said]
    reply: Said | None
    # The earlier turns it was told, or those its answer replaces, in words.
    history: str = ""

    @property
    def served_another(self) -> bool:
        """Whether the provider answered with a model of another name."""
        return bool(self.served and self.requested) and self.served != self.requested


def read(step: Step, lines: Iterable[Line], values: StepValues) -> ModelStep | None:
    """The request of a model step; None for steps of other kinds."""
    if step.type != "model":
        return None
    rows = list(lines)
    last = next((line.meta for line in reversed(rows) if "target" in line.meta), {})
    given, usage = _fields(values.given), _fields(last.get("usage"))
    return ModelStep(
        route=_text(last, "route") or step.name,
        version=_whole(last.get("route_version")),
        endpoint=_text(last, "endpoint"),
        requested=_text(last, "requested"),
        served=_text(last, "model"),
        scripted=step.scripted,
        finish=_text(last, "finish"),
        tokens=[(words, n) for name, words in _TOKENS.items() if (n := _whole(usage.get(name)))],
        measured=bool(usage),
        rejected=[(_plain(t), str(why)) for t, why in _fields(last.get("rejected")).items()],
        attempts={asked.n: asked for asked in map(_asked, rows) if asked},
        tools=[str(name) for name in _list(given.get("tools"))],
        structured="output" in given,
        added=[_said(_fields(message)) for message in _list(given.get("messages"))],
        reply=_reply(values.returned),
        history=_history(_fields(last.get("history"))),
    )


def _history(told: Mapping[str, object]) -> str:
    where = _text(told, "conversation")
    turns, replaced = _list(told.get("turns")), _list(told.get("summarised"))
    if replaced:
        return f"its answer replaces {_turns(replaced)} of {where} in requests from now on"
    parts = [f"a summary of {_turns([1, told['summary']])}"] if "summary" in told else []
    parts += [_turns(turns)] if turns else []
    return f"{', then '.join(parts)} of {where}" if parts else ""


def _turns(ends: list[object]) -> str:
    first, last = ends[0], ends[-1]
    return f"turn {first}" if first == last else f"turns {first} to {last}"


def _asked(line: Line) -> Asked | None:
    target = line.text("target")
    if not target:
        return None
    n = int(line.number("attempt") or line.n or 1)
    code, message = line.error or ("", "")
    return Asked(n, _plain(target), code, message)


def _reply(value: object) -> Said | None:
    message = _fields(value).get("message")
    return _said(message) if isinstance(message, dict) else None


def _said(message: Mapping[str, object]) -> Said:
    text = _text(message, "text")
    who = _SAYS.get(_text(message, "role"), "Message")
    if _text(message, "name"):
        who = f"{who} of {_text(message, 'name')}"
    uses = [_use(_fields(use)) for use in _list(message.get("uses"))]
    cut = max(0, len(text) - LONGEST_TEXT)
    return Said(who, text[:LONGEST_TEXT], cut, uses, bool(message.get("failed")))


def _use(use: Mapping[str, object]) -> Use:
    given = use.get("arguments")
    if isinstance(given, dict):
        told = "\n".join(f"{name}: {_flat(value)}" for name, value in given.items())
    else:
        told = str(given or "")
    return Use(_text(use, "name"), told[:LONGEST_TEXT])


def _flat(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _plain(target: str) -> str:
    return target.removeprefix("model:")


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _fields(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
