"""What a standing permission could cover, computed from one action, from narrow to wide. Pure.

Never “everything”: each offer names the texts of the action or bounds its numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_LONGEST_TEXT = 200
_LONGEST_TITLE = 200
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that could be allowed. ``token`` names it and the very action it came from.

    ``when`` is a condition on the arguments; ``exact`` covers this very action alone.
    """

    token: str
    title: str
    when: str
    exact: bool
    # The arguments whose values can be added up, for a limit of their sum.
    sums: tuple[str, ...]


def offers(digest: bytes, tool: str, arguments: Mapping[str, object]) -> list[Offer]:
    """What could be allowed instead of asking about ``tool`` again, narrowest first."""
    sums = tuple(sorted(name for name, value in arguments.items() if number(value) is not None))
    made = []
    for title, when, exact in _found(tool, arguments):
        token = hashlib.sha256(digest + f"{exact}{when}".encode()).hexdigest()[:32]
        made.append(Offer(token, title[:_LONGEST_TITLE], when, exact, sums))
    return made


def number(value: object) -> Decimal | None:
    """What a value counts for in a sum; None for what is no number, or none that can be added."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _found(tool: str, arguments: Mapping[str, object]) -> Iterator[tuple[str, str, bool]]:
    yield f"{tool} with exactly these arguments", "", True
    amounts = {name: value for name, value in sorted(arguments.items()) if _is_amount(value)}
    keys = {name: value for name, value in sorted(arguments.items()) if name not in amounts}
    if not amounts or not all(map(_is_plain, keys.values())):
        return
    most = [_bound(name, value) for name, value in amounts.items()]
    words = ", ".join(f"{name} up to {value}" for name, value in amounts.items())
    if keys:
        same = [f"{_place(name)} == {_literal(value)}" for name, value in keys.items()]
        named = ", ".join(f"{name} {value}" for name, value in keys.items())
        yield f"{tool} with {named}, {words}", " && ".join([*same, *most]), False
    free = f"any {', '.join(keys)}, " if keys else ""
    yield f"{tool} with {free}{words}", " && ".join(most), False


def _is_amount(value: object) -> bool:
    """A number that is not whole names a size, where a whole one mostly names a thing."""
    if isinstance(value, str) and "." not in value:
        return False
    return not isinstance(value, int) and number(value) is not None


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, bool, int)) and len(str(value)) <= _LONGEST_TEXT


def _bound(name: str, value: object) -> str:
    """No more than now, and nothing negative; texts are read as the numbers they are."""
    said = f"double({_place(name)})"
    return f"{said} >= 0.0 && {said} <= {float(str(value))!r}"


def _place(name: str) -> str:
    return f"arguments.{name}" if _NAME.match(name) else f"arguments[{_literal(name)}]"


def _literal(value: object) -> str:
    if not isinstance(value, str):
        return "true" if value is True else "false" if value is False else str(value)
    plain = (c if c.isascii() and c.isprintable() and c not in '"\\' else None for c in value)
    return '"' + "".join(c or f"\\U{ord(o):08x}" for c, o in zip(plain, value, strict=True)) + '"'
