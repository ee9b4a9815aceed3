"""Colours can be told apart: computed from the sheet itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).resolve().parents[2] / "static/console/console.css").read_text()
PAIRS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
}
FAMILIES = ["grey", "blue", "purple", "amber", "terracotta", "crimson", "green", "stone", "olive"]
TEXTS = (
    [
        (text, ground)
        for text in ("text", "muted", "faint", "accent")
        for ground in ("canvas", "surface")
    ]
    + [(f"{family}-text", f"{family}-ground") for family in FAMILIES]
    + [(f"on-{kind}", kind) for kind in ("primary", "approve", "danger")]
    + [
        (text, ground)
        for text in ("text", "muted", "accent")
        for ground in ("sunken", "grey-ground", "blue-ground")
    ]
    + [("faint", "sunken")]
)
# Texts in these are faint; on a coloured ground they are drawn as muted.
COLOURED = [
    ".list tbody tr:focus-within",
    '.list tbody tr:has([name="id"]:checked)',
    '.timeline tr[aria-selected="true"]',
    ".journal tr:target",
]
# Shapes without any text in them.
DIMMED = {".minimap .window", ".spark path", "::placeholder"}
RULES = dict(re.findall(r"^([^@\n{}]+) \{([^{}]*)\}", CSS, re.MULTILINE))
SHAPES = [(f"{family}-bar", "surface") for family in FAMILIES] + [
    ("border-strong", "surface"), ("border-strong", "canvas"), ("accent", "canvas"),
]  # fmt: skip


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), TEXTS)
def test_text_can_be_read(front: str, back: str, theme: int) -> None:
    assert ratio(PAIRS[front][theme], PAIRS[back][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), SHAPES)
def test_bars_and_fields_can_be_seen(front: str, back: str, theme: int) -> None:
    assert ratio(PAIRS[front][theme], PAIRS[back][theme]) >= 3


def test_every_token_is_a_pair_for_both_themes() -> None:
    tokens = CSS[CSS.index("/* ---- tokens ---- */") : CSS.index("/* ---- ground ---- */")]
    alone = [line for line in tokens.splitlines() if "#" in line and "light-dark(" not in line]
    assert alone == []


def test_text_is_never_dimmed() -> None:
    """A colour that can be read cannot any more when it shines through, as keys once did."""
    assert {name for name, rule in RULES.items() if "opacity:" in rule} <= DIMMED


def test_a_key_is_written_in_the_colour_of_what_it_stands_in() -> None:
    assert not re.search(r"(^|[; ])(color|background|opacity|filter):", RULES["kbd"])


@pytest.mark.parametrize("row", COLOURED)
def test_faint_text_becomes_muted_on_a_coloured_row(row: str) -> None:
    assert "--faint: var(--muted)" in RULES[row]
