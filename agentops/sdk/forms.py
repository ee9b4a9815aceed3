"""Forms for questions to people: a flat subset of JSON Schema, and answers that fit it.

An object whose fields are text, numbers, yes or no, or one of a list, as MCP's elicitation has
them. What a form may not ask for is a secret: those are given on pages of their own, where no agent
reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final, cast
from urllib.parse import urlsplit

from agentops.sdk.errors import AgentopsError, Misuse

MOST_FIELDS: Final = 20
MOST_CHOICES: Final = 200
LONGEST_TEXT: Final = 4000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}\Z")
_SECRET = re.compile(
    r"passwor[dt]|passphrase|secret|token|api[ _-]?key|private[ _-]?key|credential"
    r"|\bpin\b|\bcvv\b|\bcvc\b|card[ _-]?number|\bssn\b|\botp\b|one[ _-]?time[ _-]?code",
    re.IGNORECASE,
)
_COMMON = frozenset({"type", "title", "description", "default"})
_WORDS: Mapping[str, frozenset[str]] = {
    "string": _COMMON | {"minLength", "maxLength", "format", "enum", "enumNames"},
    "number": _COMMON | {"minimum", "maximum"},
    "integer": _COMMON | {"minimum", "maximum"},
    "boolean": _COMMON,
}
_FORMATS: Final = ("email", "uri", "date", "date-time")


class InvalidAnswer(AgentopsError):
    """The answer does not fit the form. ``path`` points at the field, as a JSON pointer."""

    code = "invalid_answer"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def check(schema: object) -> dict[str, object]:
    """The form, if people can be asked with it. Raises Misuse that names the field and the cure."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Misuse('A form is {"type": "object", "properties": {…}, "required": […]}.')
    fields = schema.get("properties")
    if not isinstance(fields, dict) or not 1 <= len(fields) <= MOST_FIELDS:
        raise Misuse(f"properties: a form has 1 to {MOST_FIELDS} fields.")
    unknown = sorted(set(schema) - {"type", "properties", "required", "title", "description"})
    if unknown:
        raise Misuse(f"{unknown[0]}: a form has no such word. Take it out.")
    for name, field in fields.items():
        _check_field(str(name), field)
    required = schema.get("required", [])
    if not isinstance(required, list) or set(map(str, required)) - set(fields):
        raise Misuse("required: a list of names of fields that are there.")
    return schema


def choices(title: str, options: Mapping[str, str]) -> dict[str, object]:
    """A form with one field, ``choice``: one of the options, by their names."""
    field: dict[str, object] = {"type": "string", "title": title, "enum": list(options)}
    field["enumNames"] = list(options.values())
    return {"type": "object", "properties": {"choice": field}, "required": ["choice"]}


def read(schema: Mapping[str, object], answer: object) -> dict[str, object]:
    """The answer with what the form has for fields left out. Raises InvalidAnswer."""
    if not isinstance(answer, Mapping):
        raise InvalidAnswer("/", "An answer is an object with the fields of the form.")
    fields = _fields(schema)
    for name in answer:
        if name not in fields:
            raise InvalidAnswer(f"/{name}", "The form has no such field.")
    required = cast("list[str]", schema.get("required", []))
    read: dict[str, object] = {}
    for name, field in fields.items():
        if answer.get(name) is not None:
            read[name] = _value(f"/{name}", field, answer[name])
        elif "default" in field:
            read[name] = field["default"]
        elif name in required:
            raise InvalidAnswer(f"/{name}", "This is needed.")
    return read


def unasked(schema: Mapping[str, object]) -> dict[str, object] | None:
    """What counts as the answer where nobody gives one; None where the form does not say."""
    if not any("default" in field for field in _fields(schema).values()):
        return None
    try:
        return read(schema, {})
    except InvalidAnswer:
        return None


def _fields(schema: Mapping[str, object]) -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", schema.get("properties", {}))


def _check_field(name: str, field: object) -> None:
    if not _NAME.match(name):
        raise Misuse(f"{name[:60]}: a field is called by letters, digits and _, up to 60.")
    kind = str(field.get("type")) if isinstance(field, dict) else ""
    if not isinstance(field, dict) or kind not in _WORDS:
        raise Misuse(f"{name}: type is one of {', '.join(_WORDS)}.")
    asked = f"{name} {field.get('title', '')} {field.get('format', '')}"
    if _SECRET.search(asked):
        raise Misuse(
            f"{name}: people are not asked for secrets in a form. Use a credential of the tool."
        )
    unknown = sorted(set(field) - _WORDS[kind])
    if unknown:
        raise Misuse(f"{name}: {unknown[0]} is nothing that a {kind} has. Take it out.")
    if "format" in field and field["format"] not in _FORMATS:
        raise Misuse(f"{name}: format is one of {', '.join(_FORMATS)}.")
    _check_choices(name, field)
    for word in ("minimum", "maximum", "minLength", "maxLength"):
        if not isinstance(field.get(word, 0), (int, float)):
            raise Misuse(f"{name}: {word} is a number.")
    if "default" in field:
        try:
            _value(f"/{name}", field, field["default"])
        except InvalidAnswer as error:
            raise Misuse(f"{name}: default does not fit the field. {error.reason}") from None


def _check_choices(name: str, field: Mapping[str, object]) -> None:
    options = field.get("enum")
    if options is None:
        return
    texts = isinstance(options, list) and all(isinstance(option, str) for option in options)
    if not texts or not 1 <= len(cast("list[str]", options)) <= MOST_CHOICES:
        raise Misuse(f"{name}: enum is a list of 1 to {MOST_CHOICES} texts.")
    names = field.get("enumNames", options)
    if not isinstance(names, list) or len(names) != len(cast("list[str]", options)):
        raise Misuse(f"{name}: enumNames has one text for each of enum.")


def _value(path: str, field: Mapping[str, object], value: object) -> object:
    return _READERS[cast("str", field["type"])](path, field, value)


def _text(path: str, field: Mapping[str, object], value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidAnswer(path, "Write a text.")
    options = field.get("enum")
    if isinstance(options, list) and value not in options:
        raise InvalidAnswer(path, f"Choose one of: {', '.join(options)}."[:400])
    least = cast("int", field.get("minLength", 0))
    most = cast("int", field.get("maxLength", LONGEST_TEXT))
    if not least <= len(value) <= most:
        raise InvalidAnswer(path, f"Write {least} to {most} characters.")
    form = str(field.get("format", ""))
    if form and value and not _FITS[form](value):
        raise InvalidAnswer(path, f"Write {_EXAMPLES[form]}.")
    return value


def _number(path: str, field: Mapping[str, object], value: object) -> int | float:
    whole = field["type"] == "integer"
    said = "Write a whole number." if whole else "Write a number."
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidAnswer(path, said)
    if whole and value != int(value):
        raise InvalidAnswer(path, said)
    least, most = field.get("minimum"), field.get("maximum")
    if isinstance(least, (int, float)) and value < least:
        raise InvalidAnswer(path, f"Write {least} or more.")
    if isinstance(most, (int, float)) and value > most:
        raise InvalidAnswer(path, f"Write {most} or less.")
    return int(value) if whole else value


# Stands in a table of checks, which are all called alike.
def _yes_or_no(path: str, field: Mapping[str, object], value: object) -> bool:  # noqa: ARG001
    if not isinstance(value, bool):
        raise InvalidAnswer(path, "Say true or false.")
    return value


_READERS: Mapping[str, Callable[[str, Mapping[str, object], object], object]] = {
    "string": _text, "number": _number, "integer": _number, "boolean": _yes_or_no,
}  # fmt: skip
_EXAMPLES = {
    "email": "an address like ana@example.com",
    "uri": "an address like https://example.com/page",
    "date": "a day like 2026-11-23",
    "date-time": "a time like 2026-11-23T14:00:00Z",
}


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


_FITS: Mapping[str, Callable[[str], bool]] = {
    "email": lambda text: re.fullmatch(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+", text) is not None,
    "uri": _is_address,
    "date": _is_day,
    "date-time": _is_time,
}
