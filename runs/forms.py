"""A form from an agent's input schema: fields for what is simple, JSON for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Schema = Mapping[str, object]


class Unreadable(ValueError):
    """What was typed is no value of the field's type."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a form. ``kind`` is text, lines, number, check, choice or json."""

    name: str
    label: str
    kind: str
    help: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    value: str = ""
    wrong: str = ""
    whole: bool = False
    nullable: bool = False
    choice_values: tuple[object, ...] = field(default=(), repr=False)

    def read(self, typed: str) -> object:
        """The value of what was typed. Raises Unreadable."""
        if self.kind == "check":
            return typed == "on"
        if self.kind == "choice":
            return dict(zip(self.choices, self.choice_values, strict=True)).get(typed, typed)
        if self.kind in {"text", "lines"}:
            return typed
        try:
            value: object = json.loads(typed)
        except ValueError as error:
            what = "a number" if self.kind == "number" else f"JSON ({error})"
            raise Unreadable(f"This is not {what}.") from error
        return value

    @property
    def id(self) -> str:
        return f"input-{self.name}"


@dataclass(frozen=True, slots=True)
class InputForm:
    """The fields for an agent's input."""

    fields: tuple[Field, ...]
    problem: str = ""

    def read(self, posted: Mapping[str, str]) -> tuple[dict[str, object] | None, InputForm]:
        """The input, or nothing and the form with what is wrong at each field."""
        value: dict[str, object] = {}
        shown = []
        for item in self.fields:
            typed, wrong = posted.get(item.name, ""), ""
            try:
                if typed.strip() or item.kind == "check":
                    value[item.name] = item.read(typed)
                elif item.required:
                    wrong = "This is needed."
            except Unreadable as error:
                wrong = str(error)
            shown.append(replace(item, value=typed, wrong=wrong))
        form = replace(self, fields=tuple(shown))
        return (None if any(item.wrong for item in shown) else value), form

    def refused(self, path: str, message: str) -> InputForm:
        """The form with what the agent's own check found, at its field if there is one."""
        name = path.strip("/").partition("/")[0]
        if name not in {item.name for item in self.fields}:
            return replace(self, problem=message)
        rest = path.strip("/").partition("/")[2]
        where = f"{rest}: " if rest else ""
        fields = tuple(
            replace(item, wrong=where + message) if item.name == name else item
            for item in self.fields
        )
        return replace(self, fields=fields)

    def filled(self, given: object) -> InputForm:
        """The form with the values of an earlier input."""
        if not isinstance(given, dict):
            return self
        fields = tuple(
            replace(item, value=_shown(item, given[item.name])) if item.name in given else item
            for item in self.fields
        )
        return replace(self, fields=fields)


def from_schema(schema: Schema) -> InputForm:
    """The form for an object schema."""
    properties = schema.get("properties")
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, dict) else {}
    if not isinstance(properties, dict):
        return InputForm(())
    return InputForm(
        tuple(_field(name, part, name in needed, known) for name, part in properties.items())
    )


def _field(name: str, part: object, required: bool, known: Schema) -> Field:  # noqa: FBT001
    schema, nullable = _plain(part if isinstance(part, dict) else {}, known)
    kind, choices = _kind(schema)
    made = Field(
        name=name,
        label=name.replace("_", " ").capitalize(),
        kind=kind,
        help=str(schema.get("description", "")),
        required=required and kind != "check",
        choices=tuple(map(str, choices)),
        whole=schema.get("type") == "integer",
        nullable=nullable,
        choice_values=choices,
    )
    return replace(made, value=_shown(made, schema.get("default")))


def _plain(part: Schema, known: Schema) -> tuple[Schema, bool]:
    """A schema with a reference followed and "or null" taken off."""
    options = part.get("anyOf")
    nullable = False
    if isinstance(options, list):
        others = [option for option in options if option != {"type": "null"}]
        nullable = len(others) < len(options)
        if len(others) == 1 and isinstance(others[0], dict):
            part = {**others[0], **{k: v for k, v in part.items() if k != "anyOf"}}
    reference = part.get("$ref")
    target = known.get(str(reference).rpartition("/")[2]) if reference else None
    if isinstance(target, dict):
        part = {**target, **{k: v for k, v in part.items() if k != "$ref"}}
    return part, nullable


def _kind(schema: Schema) -> tuple[str, tuple[object, ...]]:
    choices = schema.get("enum")
    if isinstance(choices, list):
        return "choice", tuple(choices)
    match schema.get("type"):
        case "string":
            long = schema.get("maxLength")
            return ("lines" if isinstance(long, int) and long > 200 else "text"), ()
        case "integer" | "number":
            return "number", ()
        case "boolean":
            return "check", ()
    return "json", ()


def _shown(item: Field, value: object) -> str:
    if value is None:
        return ""
    if item.kind == "check":
        return "on" if value else ""
    if item.kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    return str(value)
