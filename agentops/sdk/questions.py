"""``ctx.ask``: what an agent may ask people, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import TypeAdapter

from agentops.sdk import forms
from agentops.sdk.errors import Misuse
from agentops.sdk.steps import Ask
from agentops.sdk.typing import Restorer, is_record, restore

ANSWER = "answer"
LONGEST_QUESTION = 4_000
NOTHING = object()
_KINDS: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def question(
    text: str,
    *,
    choices: Sequence[str] | Mapping[str, str] | None,
    form: object,
    default: object,
    timeout: float | None,
    id: str | None,
) -> Ask:
    """The step of asking. Raises Misuse for what people cannot be asked."""
    if not text.strip() or len(text) > LONGEST_QUESTION:
        raise Misuse(f"ctx.ask takes a question of 1 to {LONGEST_QUESTION:,} characters.")
    if timeout is not None and timeout <= 0:
        raise Misuse("ctx.ask(timeout=…) is in seconds and must be above 0.")
    if choices is not None and form is not str:
        raise Misuse("ctx.ask takes choices or a form, not both.")
    kind = _KINDS.get(form) if isinstance(form, type) else None
    if kind is not None:
        schema = _single(text, kind, choices, default)
        return Ask(text, schema, timeout, id, restore=_answer)
    if default is not NOTHING:
        raise Misuse("ctx.ask(default=…) goes with one answer. Give the fields of a form defaults.")
    return Ask(text, _titled(_schema(form), text), timeout, id, restore=_restorer(form))


def _single(
    text: str, kind: str, choices: Sequence[str] | Mapping[str, str] | None, default: object
) -> dict[str, object]:
    field: dict[str, object] = {"type": kind, "title": _cut(text)}
    if choices is not None:
        field["enum"] = list(choices)
        if isinstance(choices, Mapping):
            field["enumNames"] = list(choices.values())
    if default is not NOTHING:
        field["default"] = default
    made: dict[str, object] = {"type": "object", "properties": {ANSWER: field}}
    made["required"] = [ANSWER]
    return forms.check(_titled(made, text))


def _schema(form: object) -> dict[str, object]:
    if isinstance(form, Mapping):
        return forms.check(dict(form))
    if not is_record(form):
        raise Misuse(
            "ctx.ask(form=…) is str, int, float, bool, a pydantic model, a dataclass, a TypedDict "
            "or a JSON schema of an object with flat fields."
        )
    return forms.check(dict(TypeAdapter(cast("type[object]", form)).json_schema()))


def _restorer(form: object) -> Restorer | None:
    return None if isinstance(form, Mapping) else restore(form)


def _answer(given: object) -> object:
    return given.get(ANSWER) if isinstance(given, dict) else given


def _titled(schema: dict[str, object], text: str) -> dict[str, object]:
    """People read the question above the form."""
    return {**schema, "title": _cut(text), "description": text}


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
