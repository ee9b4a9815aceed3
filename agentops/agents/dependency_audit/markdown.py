"""Small pieces of Markdown in which foreign words stay words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]<|~#&]|^[-+>])")
_MARKS = re.compile(r"\\([\\`*_\[\]<|~#&+>-])|^#+ |\*\*|`", re.MULTILINE)
_TICKS = re.compile(r"`+")


def plain(text: str) -> str:
    """``text`` on one line, with nothing in it that Markdown would take for markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def unmarked(markdown: str) -> str:
    """Markdown of ours without its marks, for readers that show it as it is."""
    return _MARKS.sub(lambda mark: mark[1] or "", markdown)


def code(text: str) -> str:
    """``text`` on one line as code; safe in tables."""
    line = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in _TICKS.findall(line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Cells are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence: all of a few, the first of many with the number of the others."""
    shown = [code(name) for name in names[:most]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
