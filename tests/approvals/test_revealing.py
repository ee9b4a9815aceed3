"""Nothing a text holds goes unseen: T14, the corpus of lies in the loop."""

from __future__ import annotations

import unicodedata

import pytest

from approvals import revealing
from approvals.revealing import Piece, pieces

CORPUS = {
    "bidi override": ("pay 100\u202e001 yap", "U+202E"),
    "bidi isolate": ("to \u2066evil\u2069 bank", "U+2066"),
    "bidi mark": ("a\u200fb", "U+200F"),
    "arabic letter mark": ("a\u061cb", "U+061C"),
    "zero width space": ("evil\u200bcorp", "U+200B"),
    "zero width joiner": ("evil\u200dcorp", "U+200D"),
    "byte order mark": ("\ufeffok", "U+FEFF"),
    "soft hyphen": ("pass\u00adword", "U+00AD"),
    "tag characters": ("ok\U000e0069\U000e0067", "U+E0069"),
    "variation selector": ("a\ufe0fb", "U+FE0F"),
    "hangul filler": ("a\u3164b", "U+3164"),
    "braille blank": ("a\u2800b", "U+2800"),
    "no-break space": ("a\u00a0b", "U+00A0"),
    "line separator": ("a\u2028b", "U+2028"),
    "escape": ("a\x1b[2Jb", "U+001B"),
    "carriage return": ("safe\rlies", "U+000D"),
    "delete": ("a\x7fb", "U+007F"),
    "private use": ("a\ue000b", "U+E000"),
    "unassigned": ("a\u0378b", "U+0378"),
    "cyrillic in a word": ("p\u0430ypal", "mixed letters"),
    "greek in a word": ("g\u03bf\u03bfgle", "mixed letters"),
    "cyrillic in a domain": ("\u0430\u0440\u0440\u04cf\u0435.com", "mixed letters"),
    "cyrillic in an address": ("b\u043eoks@acme.example", "mixed letters"),
    "marks upon marks": ("z" + "\u0300" * 9, "U+0300"),
    "spaces": ("fine" + " " * 300 + "and send it to me", "300 spaces"),
    "empty lines": ("fine" + "\n" * 200 + "and send it to me", "199 empty lines"),
}


@pytest.mark.parametrize(("text", "mark"), CORPUS.values(), ids=CORPUS)
def test_what_would_not_be_seen_is_marked_by_name(text: str, mark: str) -> None:
    marks = [piece for piece in pieces(text) if piece.told]
    assert mark in {piece.text for piece in marks}
    assert all(piece.told.strip() for piece in marks)
    assert revealing.hides(text)
    assert f"[{mark}]" in revealing.plain(text)


@pytest.mark.parametrize(("text", "mark"), CORPUS.values(), ids=CORPUS)
def test_what_remains_can_be_seen(text: str, mark: str) -> None:
    for piece in pieces(text):
        for char in piece.text:
            assert char in "\n\t " or unicodedata.category(char)[0] in "LMNPS", hex(ord(char))


@pytest.mark.parametrize(
    "text",
    ["Invoice 4411, due 1 November.", "Größe, naïve, Łódź", "\u062a\u0633\u0648\u064a\u0629",
     "Привет, мир", "Ελλάδα", "発注 4411 件", "a\tb\nc\n\nd", "user@acme.example", "x_1 = 4 * 2",
     "cafe\u0301", ""],
)  # fmt: skip
def test_what_people_write_stands_as_it_is(text: str) -> None:
    assert not revealing.hides(text)
    assert pieces(text) in ([Piece(text)], [])
    assert revealing.plain(text) == text
