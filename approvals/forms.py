"""Fields for the arguments of an action and for the answer of a question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from runs.forms import Field, InputForm, Schema, from_schema

_LONG = 80


def argument_form(arguments: Mapping[str, object]) -> InputForm:
    """A field for each argument, filled with what it is; what it is it stays."""
    return InputForm(tuple(_field(name, value) for name, value in arguments.items()))


def _field(name: str, value: object) -> Field:
    kind, shown = _kind(value)
    return Field(name=name, label=name, kind=kind, value=shown, whole=isinstance(value, int))


def _kind(value: object) -> tuple[str, str]:
    match value:
        case bool():
            return "check", "on" if value else ""
        case int() | float():
            return "number", json.dumps(value)
        case str():
            return ("lines" if len(value) > _LONG or "\n" in value else "text"), value
    return "json", json.dumps(value, ensure_ascii=False, indent=2)


def question_form(schema: Schema) -> InputForm:
    """The fields of a question, called as its form calls them; first those that are needed.

    The database keeps no order of names, but that of a list; so those stand as it has them.
    """
    form = from_schema(schema)
    fields, needed = schema.get("properties"), schema.get("required")
    known = fields if isinstance(fields, dict) else {}
    first = [str(name) for name in needed] if isinstance(needed, list) else []
    places = {name: place for place, name in enumerate(first)}
    rows = sorted(form.fields, key=lambda it: places.get(it.name, len(places)))
    return replace(form, fields=tuple(_titled(it, known.get(it.name)) for it in rows))


def _titled(item: Field, said: object) -> Field:
    schema = said if isinstance(said, dict) else {}
    hint = _HINTS.get(str(schema.get("format")), "")
    help_text = " ".join(part for part in (str(schema.get("description", "")), hint) if part)
    return replace(item, label=str(schema.get("title") or item.label), help=help_text)


_HINTS = {
    "date": "A day, as 2026-11-23.",
    "date-time": "A moment with its zone, as 2026-11-23T14:00:00+01:00.",
    "email": "An e-mail address.",
    "uri": "A whole address, with https://.",
}
