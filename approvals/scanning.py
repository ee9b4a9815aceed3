"""How much work an expression can be, seen before it runs.

The library that evaluates expressions has no budget and cannot be interrupted. So the text is read
once, token by token, and what it does at each depth of its loops is counted; with the size of the
arguments that gives an upper bound of the time, in microseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Loops over the parts of a list or of the keys of a map. There is no ``map``: a rule says yes or
# no, and without it no value grows from loop to loop.
LOOPS = frozenset({"all", "exists", "exists_one", "filter"})
METHODS = frozenset(
    {
        "contains", "startsWith", "endsWith", "matches", "size", "getFullYear", "getMonth",
        "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
        "getSeconds", "getMilliseconds",
    }
)  # fmt: skip
FUNCTIONS = frozenset(
    {"has", "size", "int", "uint", "double", "string", "bytes", "type", "timestamp", "duration"}
)
DEEPEST_LOOP = 2
DEEPEST_BRACKET = 24
_TOKEN = re.compile(
    r"""
    (?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<note>//[^\n]*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<sign>&&|\|\||[=!<>]=|[^\s])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
# Operators that look at all of what stands beside them.
_TOUCHING = frozenset({"==", "!=", "<", ">", "<=", ">=", "+", "in"})
# Microseconds, measured with room to spare: a mark, a byte looked at, a pattern compiled, and a
# step of ``filter``, which copies what it has so far.
_TOKEN_COSTS, _BYTE_COSTS, _PATTERN_COSTS, _COPY_COSTS = 0.06, 0.008, 500.0, 0.1


class TooMuch(ValueError):
    """The expression is more than a rule may be; the message says how to write it."""


@dataclass(slots=True)
class Level:
    """What is done at one depth of loops."""

    tokens: int = 0
    touches: int = 0
    grows: int = 0
    patterns: int = 0
    filters: int = 0
    whole: bool = False
    """Whether all the arguments are at hand here, and not only the parts the loops go over."""

    def microseconds(self, times: int, seen: int, turns: int) -> float:
        """How long it takes ``times`` over, looking at ``seen`` bytes, in loops of ``turns``."""
        once = self.tokens * _TOKEN_COSTS + self.patterns * _PATTERN_COSTS
        copies = self.filters * turns * turns * _COPY_COSTS
        return times * (once + copies) + seen * self.touches * _BYTE_COSTS


@dataclass(slots=True)
class Profile:
    """What an expression does. ``bound`` are the names its loops give."""

    levels: tuple[Level, ...] = field(
        default_factory=lambda: tuple(Level() for _ in range(DEEPEST_LOOP + 1))
    )
    bound: set[str] = field(default_factory=set)
    commas: int = 0
    # The arguments it speaks of by name, and whether it looks at them in no other way.
    named: set[str] = field(default_factory=set)
    by_name: bool = True

    @property
    def nests(self) -> bool:
        """Whether a loop stands in another."""
        return self.levels[DEEPEST_LOOP].tokens > 0

    def microseconds(self, longest: int, size: int) -> float:
        """At most so long over arguments of ``size`` bytes whose longest list is ``longest``."""
        times, turns, growth, total = 1, 1, 1, 0.0
        for depth, level in enumerate(self.levels):
            # The parts a loop goes over are together no more than the whole.
            seen = times if level.whole or not depth else times // turns
            growth *= 1 + level.grows
            turns = max(longest, self.commas + 1) * growth
            total += level.microseconds(times, seen * size * growth, turns)
            times *= turns
        return total


@dataclass(slots=True)
class _Bracket:
    closes: str
    is_loop: bool = False
    is_literal: bool = False


def profile(text: str) -> Profile:
    """Read an expression. Raises TooMuch with what to write instead."""
    reader = _Reader(text)
    for at in range(len(reader.tokens)):
        reader.read(at)
    return reader.profile


class _Reader:
    def __init__(self, text: str) -> None:
        found = [match for match in _TOKEN.finditer(text) if match.lastgroup != "note"]
        self.tokens = [match.group() for match in found]
        self.kinds = [match.lastgroup for match in found]
        self.profile = Profile()
        self._open: list[_Bracket] = []
        self._depth = 0

    def read(self, at: int) -> None:
        mark, kind = self.tokens[at], self.kinds[at]
        level = self.profile.levels[self._depth]
        level.tokens += 1
        level.touches += mark in _TOUCHING
        if mark == "+" and kind == "sign":
            level.grows += 1
        if kind == "word":
            self._word(at, level)
        elif kind == "sign" and mark in "([{":
            self._opens(at, level)
        elif kind == "sign" and mark in ")]}":
            self._closes(mark)
        self.profile.commas += mark == "," and kind == "sign"

    def _word(self, at: int, level: Level) -> None:
        is_part = self._at(at - 1) == "."
        if not is_part and self._open and self._open[-1].is_literal:
            level.grows += 1
        if self.tokens[at] == "arguments" and not is_part:
            level.touches, level.whole = level.touches + 1, True
            self._arguments(at)

    def _arguments(self, at: int) -> None:
        """``arguments.name`` speaks of one; anything else may be about any of them."""
        name, after = self._at(at + 2), self._at(at + 3)
        is_word = at + 2 < len(self.kinds) and self.kinds[at + 2] == "word"
        if self._at(at + 1) == "." and is_word and after != "(":
            self.profile.named.add(name)
        else:
            self.profile.by_name = False

    def _opens(self, at: int, level: Level) -> None:
        mark, before = self.tokens[at], self._at(at - 1)
        called = at > 0 and self.kinds[at - 1] == "word" and mark == "("
        is_value = at > 0 and (self.kinds[at - 1] in {"word", "text"} or before in {")", "]", "}"})
        bracket = _Bracket(
            closes={"(": ")", "[": "]", "{": "}"}[mark],
            is_literal=mark == "{" or (mark == "[" and not is_value),
        )
        if called and before != "in":
            self._call(at, before, bracket, level)
        self._open.append(bracket)
        if len(self._open) > DEEPEST_BRACKET:
            raise TooMuch(f"It has more than {DEEPEST_BRACKET} brackets in each other. Split it.")

    def _call(self, at: int, name: str, bracket: _Bracket, level: Level) -> None:
        if self._at(at - 2) == ".":
            self._method(at, name, bracket, level)
        elif name not in FUNCTIONS:
            raise TooMuch(f"There is no function {name}(). There are: {_listed(FUNCTIONS)}.")
        level.touches += 1

    def _method(self, at: int, name: str, bracket: _Bracket, level: Level) -> None:
        if name in LOOPS:
            self._loop(at, name, level)
            bracket.is_loop = True
        elif name not in METHODS:
            raise TooMuch(f"There is no .{name}(). There are: {_listed(METHODS | LOOPS)}.")
        elif name == "matches":
            self._pattern(at, level)

    def _loop(self, at: int, name: str, level: Level) -> None:
        if self._depth == DEEPEST_LOOP:
            raise TooMuch(f"Loops stand at most {DEEPEST_LOOP} deep in each other. Split the rule.")
        self._depth += 1
        level.filters += name == "filter"
        self.profile.bound.add(self._at(at + 1))

    def _pattern(self, at: int, level: Level) -> None:
        pattern = self._at(at + 1)
        is_text = at + 1 < len(self.kinds) and self.kinds[at + 1] == "text"
        if not is_text or self._at(at + 2) != ")":
            raise TooMuch("matches() takes one quoted pattern, which no argument can be part of.")
        if "{" in pattern:
            raise TooMuch("A pattern counts nothing with {…}. Write it out, or use * and +.")
        level.patterns += 1

    def _closes(self, mark: str) -> None:
        # What does not fit is the parser's to refuse.
        if self._open and self._open[-1].closes == mark and self._open.pop().is_loop:
            self._depth -= 1

    def _at(self, at: int) -> str:
        return self.tokens[at] if 0 <= at < len(self.tokens) else ""


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
