"""Conditions on the arguments of a call, in the Common Expression Language.

The one place that knows which library evaluates them. What it lacks is added here: a bound on the
work, a check of every name before the first call, and no answer but yes and no. Whatever else
happens is Unclear, which a rule turns into its stricter outcome.

# Note [Nothing is allowed by accident]
A condition is refused when it is saved if it can be seen to be wrong, and unclear when it is asked
if it turns out to be: a missing argument, a comparison of text with a number, a number that is
none, arguments that are too large, as far as it looks at them. A caller that gets no answer must
not take it for one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

import cel

from approvals import scanning

LONGEST_TEXT: Final = 2048
LARGEST_ARGUMENTS: Final = 64 * 1024
LONGEST_LIST, LONGEST_NESTED = 1000, 200
DEEPEST: Final = 32
# Beyond it a number in JSON is another one for other readers.
LARGEST_NUMBER: Final = 2**53 - 1
MOST_MICROSECONDS: Final = 50_000
NAMES: Final = ("arguments", "agent", "version", "tool", "effect", "person", "team")
_PLAIN_TYPES: Final = frozenset({"bool", "int", "uint", "double", "string", "list", "map"})


class Unusable(ValueError):
    """The text is no condition; the message says why and what to write."""


class Unclear(ValueError):
    """The condition gave no answer for these arguments; the message says why."""


class Document:
    """What a condition is asked about: the arguments of a call, and who makes it.

    Measured once, whatever number of conditions is asked. ``names`` are those of :data:`NAMES`
    besides ``arguments``, all text.
    """

    def __init__(self, arguments: Mapping[str, object], **names: str) -> None:
        self._arguments = arguments
        self._names = {**dict.fromkeys(NAMES[1:], ""), **names}
        self._parts: dict[frozenset[str], Document] = {}
        self.size = self.longest = 0
        self.fault = ""
        try:
            self._measure()
        except Unclear as error:
            self.fault = str(error)

    def of(self, named: frozenset[str]) -> Document:
        """Only these of the arguments: what nobody looks at is neither work nor a fault."""
        if self._arguments.keys() <= named:
            return self
        if named not in self._parts:
            part = {name: value for name, value in self._arguments.items() if name in named}
            self._parts[named] = Document(part, **self._names)
        return self._parts[named]

    @cached_property
    def context(self) -> cel.Context:
        """As the library takes it."""
        return cel.Context({**self._names, "arguments": dict(self._arguments)})

    def _measure(self) -> None:
        for value, depth in _walk(self._arguments):
            self.size += _bytes_of(value)
            if depth > DEEPEST:
                raise Unclear(f"The arguments are nested more than {DEEPEST} deep.")
            if self.size > LARGEST_ARGUMENTS:
                raise Unclear("The arguments are larger than 64 KB; no condition is asked of them.")
            if isinstance(value, (Mapping, list, tuple)):
                self.longest = max(self.longest, len(value))
            if self.longest > LONGEST_LIST:
                raise Unclear(f"A list among the arguments is longer than {LONGEST_LIST:,}.")


class Expression:
    """A condition, checked and ready to be asked. Raises Unusable for a text that is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        if not text.strip():
            raise Unusable("It is empty. Leave it out for a rule that holds for all arguments.")
        if len(text.encode("utf-8", "replace")) > LONGEST_TEXT:
            raise Unusable("It is longer than 2 KB. Split the rule.")
        self._program = _compiled(text)
        try:
            self._profile = scanning.profile(text)
        except scanning.TooMuch as error:
            raise Unusable(str(error)) from None
        self._check_names()

    def holds(self, document: Document) -> bool:
        """Whether it is true of these arguments. Raises Unclear where it is neither."""
        if self._profile.by_name:
            document = document.of(frozenset(self._profile.named))
        if document.fault:
            raise Unclear(document.fault)
        self._check_work(document)
        try:
            answer = self._program.execute(document.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        # The library panics with an exception that is no Exception.
        except BaseException as error:  # noqa: BLE001 - every failure is the same: no answer
            raise Unclear(_why(error)) from None
        if answer is True or answer is False:
            return answer
        raise Unclear("It is neither true nor false but a value. Compare it with something.")

    def _check_work(self, document: Document) -> None:
        if self._profile.nests and document.longest > LONGEST_NESTED:
            raise Unclear(
                f"A list among the arguments has more than {LONGEST_NESTED} entries, which is too "
                "much for a loop in a loop."
            )
        if self._profile.microseconds(document.longest, document.size) > MOST_MICROSECONDS:
            raise Unclear("These arguments are too large for so many loops.")

    def _check_names(self) -> None:
        known = self._profile.bound.union(NAMES, _PLAIN_TYPES)
        unknown = [name for name in self._program.variables() if name not in known]
        if unknown:
            raise Unusable(
                f"It speaks of “{unknown[0]}”, which is not there. There are: {', '.join(NAMES)}; "
                f"what is given to the tool is “arguments.{unknown[0]}”, text stands in quotes."
            )
        taken = self._profile.bound.intersection(NAMES)
        if taken:
            raise Unusable(f"A loop calls its part “{taken.pop()}”. Choose another name for it.")


def _compiled(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the library panics with no Exception
        raise Unusable(f"It cannot be read: {_first_fault(str(error))}") from None


def _first_fault(message: str) -> str:
    """Place and reason, out of a message that repeats the whole text."""
    _, found, rest = message.partition("<input>:")
    place, _, reason = rest.partition(": ")
    if not found or not reason or "Recursion limit" in reason:
        return "it is nested too deeply or not written to its end."
    line, _, column = place.partition(":")
    said = reason.splitlines()[0].removeprefix("Syntax error: ").partition(" expecting ")[0]
    return f"line {line}, character {column}: {said.replace('<EOF>', 'the end')}."


def _why(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"There is no argument {error}. Ask has(…) of it before."
    if isinstance(error, IndexError):
        return "A list has fewer entries than it asks for. Ask size(…) before."
    if isinstance(error, TypeError):
        return "It compares or joins values of different kinds. Use double(…), int(…) or string(…)."
    return f"It failed: {str(error).split(' Check ')[0].splitlines()[0]}"


def _walk(value: object) -> Iterator[tuple[object, int]]:
    """Every part of a value and how deep it lies, the outermost first."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        if isinstance(part, Mapping):
            waiting.extend((inner, depth + 1) for pair in part.items() for inner in pair)
        elif isinstance(part, (list, tuple)):
            waiting.extend((inner, depth + 1) for inner in part)


def _bytes_of(value: object) -> int:
    """About how many bytes of JSON it is by itself. Raises Unclear for what JSON has no word for.

    Text that is far too long is not looked at; its length is answer enough.
    """
    if value is None or isinstance(value, (bool, Mapping, list, tuple)):
        return 4 if not isinstance(value, (list, tuple, Mapping)) else 2
    if isinstance(value, str):
        return len(value) if len(value) > LARGEST_ARGUMENTS else _text_bytes(value)
    if isinstance(value, int):
        return _number(abs(value) <= LARGEST_NUMBER)
    if isinstance(value, float):
        return _number(math.isfinite(value))
    raise Unclear(f"The arguments hold a {type(value).__name__}, which is no JSON.")


def _number(is_sound: bool) -> int:  # noqa: FBT001 - private, read beside its name
    if is_sound:
        return 9
    raise Unclear("A number among the arguments is too large or none at all.")


def _text_bytes(text: str) -> int:
    try:
        return len(json.dumps(text, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise Unclear("A text among the arguments holds half a character.") from None
