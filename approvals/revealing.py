"""Makes visible what a text would hide: who decides must see what the machine will read.

# Note [Lies in the loop]
A text can show one thing and be another: characters without a glyph, marks that turn the order of
what follows round, letters of one script that look like those of another, spaces that push the
end out of sight. Each is drawn as a mark with its number and name instead of what it would do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Drawn as nothing, though they count as letters, spaces or marks.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_KEPT = frozenset(" \n\t")
_HIDING = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"})
_VARIATIONS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
# So many marks on one letter climb over the lines above and below.
_MOST_MARKS = 3
_WIDE = 16
_LOOKALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
# An address is one word: its parts may each be of one script.
_TOKEN = re.compile(rf"([\w.-]+@[\w.-]+|\w+(?:\.\w+)+|\w+|[ \t]{{{_WIDE},}}|\n{{4,}})")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text: as it is, or (``told``) what stands there that would not be seen."""

    text: str
    told: str = ""


def pieces(text: str) -> list[Piece]:
    """A text as parts that can be shown, in order; nothing of it is left out."""
    found: list[Piece] = []
    for piece in _pieces(text):
        if found and not piece.told and not found[-1].told:
            found[-1] = Piece(found[-1].text + piece.text)
        else:
            found.append(piece)
    return found


def hides(text: str) -> bool:
    """Whether something in it would not be seen as it is."""
    return any(piece.told for piece in _pieces(text))


def plain(text: str) -> str:
    """The same for places that take text alone: what would be hidden stands in brackets."""
    return "".join(f"[{piece.text}]" if piece.told else piece.text for piece in pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    for part in _TOKEN.split(text.replace("\r\n", "\n")):
        if len(part) >= _WIDE and not part.strip(" \t"):
            yield Piece(f"{len(part)} spaces", "blank space that would push text out of sight")
        elif len(part) > 3 and not part.strip("\n"):
            yield Piece("\n")
            yield Piece(f"{len(part) - 1} empty lines", "would push text out of sight")
            yield Piece("\n")
        else:
            yield from _word(part)


def _word(part: str) -> Iterator[Piece]:
    scripts = sorted({script for char in part if (script := _script(char))})
    yield from _characters(part)
    if len(scripts) > 1:
        named = " and ".join(script.capitalize() for script in scripts)
        yield Piece("mixed letters", f"{named} letters in one word look alike")


def _characters(part: str) -> Iterator[Piece]:
    marks = 0
    for char in part:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if _is_hidden(char) or marks > _MOST_MARKS:
            yield Piece(f"U+{ord(char):04X}", unicodedata.name(char, "no name").lower())
        else:
            yield Piece(char)


def _is_hidden(char: str) -> bool:
    if char in _KEPT:
        return False
    if char.isascii():
        return not char.isprintable()
    varies = any(ord(char) in span for span in _VARIATIONS)
    return varies or char in _BLANK_LETTERS or unicodedata.category(char) in _HIDING


def _script(char: str) -> str:
    """The script of a letter, of those whose letters are taken for one another."""
    if not char.isalpha():
        return ""
    script = unicodedata.name(char, "").partition(" ")[0]
    return script if script in _LOOKALIKE else ""
