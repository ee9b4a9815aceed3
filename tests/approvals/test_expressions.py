"""Conditions: what the language means here, whichever library evaluates it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.expressions import Document, Expression, Unclear, Unusable

ARGUMENTS: dict[str, object] = {
    "amount": 250.0,
    "count": 3,
    "text": "250.00",
    "none": None,
    "to": ["ana@example.org", "bo@example.org"],
    "order": {"id": "4411", "lines": [{"price": 5, "pieces": 2}, {"price": 7, "pieces": 1}]},
    "yes": True,
}


def holds(text: str, /, **arguments: object) -> bool:
    given = arguments or ARGUMENTS
    return Expression(text).holds(Document(given, agent="desk", tool="refund", person="ana"))


# What another library behind the same module has to answer too.
CONFORMANCE = {
    # Numbers compare by value, whatever their kind.
    "arguments.amount > 200": True,
    "arguments.amount > 250.0": False,
    "arguments.count == 3.0": True,
    "arguments.count in [1, 3]": True,
    "-arguments.count < 0": True,
    "arguments.count * 2 - 1 == 5": True,
    "7 / 2 == 3 && 7 % 2 == 1": True,
    "1e3 == 1000.0 && 0x10 == 16": True,
    # Text does not become a number by itself, only when told to.
    "double(arguments.text) > 200.0": True,
    "arguments.text == 250": False,
    "int('12') == 12 && string(12) == '12'": True,
    # Text.
    "arguments.text.startsWith('25') && arguments.text.endsWith('00')": True,
    "arguments.text.contains('.')": True,
    "arguments.text.matches('^[0-9]+[.][0-9][0-9]$')": True,
    "'a' + 'b' == 'ab'": True,
    "size('abc') == 3 && 'abc'.size() == 3": True,
    r"'\u0041' == 'A' && r'\d' == '\\d'": True,
    # Lists and maps.
    "size(arguments.to) == 2": True,
    "'bo@example.org' in arguments.to": True,
    "'id' in arguments.order": True,
    "arguments.order['id'] == '4411' && arguments.order.id == '4411'": True,
    "arguments.to[0] == 'ana@example.org'": True,
    "{'a': [1, 2]} == {'a': [1, 2]}": True,
    # Loops.
    "arguments.to.all(a, a.endsWith('@example.org'))": True,
    "arguments.to.exists(a, a.startsWith('bo@'))": True,
    "arguments.to.exists_one(a, a.contains('@'))": False,
    "arguments.to.filter(a, a.startsWith('b')).size() == 1": True,
    "arguments.order.lines.exists(l, l.price * l.pieces > 9)": True,
    "arguments.order.all(k, k != 'secret')": True,
    "[].all(x, false) && ![].exists(x, true)": True,
    # Presence.
    "has(arguments.amount) && !has(arguments.other)": True,
    "has(arguments.none) && arguments.none == null": True,
    # What is decided already hides what would fail.
    "true || arguments.other > 1": True,
    "arguments.other > 1 || true": True,
    "false && arguments.other > 1": False,
    "arguments.yes ? true : arguments.other": True,
    # Times.
    "timestamp('2026-01-01T12:00:00Z') < timestamp('2026-01-02T00:00:00Z')": True,
    "duration('90m') > duration('1h')": True,
    "timestamp('2026-01-01T12:30:00Z').getHours() == 12": True,
    "timestamp('2026-01-01T12:30:00Z').getFullYear() == 2026": True,
    # Who.
    "agent == 'desk' && tool == 'refund' && person == 'ana' && team == ''": True,
    "type(arguments.amount) == double": True,
    "true // a remark": True,
}
UNCLEAR = {
    "arguments.other > 1": "no argument 'other'",
    "arguments.order.other == 1": "no argument 'other'",
    "arguments.to[7] == 'x'": "fewer entries",
    "arguments.text > 200": "different kinds",
    "arguments.none > 1": "different kinds",
    "'a' + 1 == 'a1'": "different kinds",
    "double('NaN') < 1.0": "different kinds",
    "double('abc') > 1.0": "failed",
    "int('99999999999999999999') > 1": "failed",
    "1 / 0 == 1": "failed",
    "timestamp('2026-01-01T12:00:00Z').getHours('Europe/Berlin') == 13": "failed",
    "9223372036854775807 + 1 > 0": "failed",
    "arguments.to": "neither true nor false",
    "1": "neither true nor false",
    "arguments.text": "neither true nor false",
    "arguments.text == 'x' ? true : 'no'": "neither true nor false",
    "arguments.other == 1 && true": "no argument",
    "arguments.to.all(a, a > 1)": "different kinds",
}
UNUSABLE = {
    "": "empty",
    "   ": "empty",
    "arguments.amount >": "line 1, character",
    "amount > 200": "“arguments.amount”",
    "arguments.amount > limit": "“limit”, which is not there",
    "spend(arguments.amount)": "no function spend()",
    "arguments.to.map(a, a) == []": "no .map()",
    "arguments.text.lowerAscii() == 'a'": "no .lowerAscii()",
    "arguments.to.all(a, a.all(b, b.all(c, c == 1)))": "2 deep",
    "arguments.text.matches(arguments.text)": "one quoted pattern",
    "arguments.text.matches('(a' + 'b')": "one quoted pattern",
    "arguments.text.matches('a{9}{9}{9}')": "counts nothing with {…}",
    "arguments.to.exists(agent, agent == 'x')": "Choose another name",
    "(" * 40 + "true" + ")" * 40: "brackets in each other",
    "(" * 900 + "true" + ")" * 900: "nested too deeply",
    "arguments.text == '" + "x" * 2048 + "'": "longer than 2 KB",
    "arguments.?text == 'x'": "line 1",
    "import os": "line 1",
    "__import__('os').system('true')": "no function",
    "a" + "[0]" * 2000: "longer than 2 KB",
}


@pytest.mark.parametrize(("text", "answer"), CONFORMANCE.items())
def test_a_condition_means_this(text: str, answer: bool) -> None:
    assert holds(text) is answer


@pytest.mark.parametrize(("text", "why"), UNCLEAR.items())
def test_no_clear_answer_is_no_answer(text: str, why: str) -> None:
    with pytest.raises(Unclear, match=why.replace("(", r"\(")):
        holds(text)


@pytest.mark.parametrize(("text", "why"), UNUSABLE.items())
def test_what_is_no_condition_is_refused_with_a_remedy(text: str, why: str) -> None:
    with pytest.raises(Unusable) as refused:
        Expression(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "none at all"),
        (float("inf"), "none at all"),
        (2**53, "too large"),
        ("x" * 70_000, "64 KB"),
        (["x" * 100] * 900, "64 KB"),
        ([0] * 1001, "longer than 1,000"),
        ({str(n): n for n in range(1001)}, "longer than 1,000"),
        ("\ud800", "half a character"),
        (object(), "no JSON"),
        (b"bytes", "no JSON"),
    ],
)
def test_arguments_that_no_condition_may_see_are_unclear(value: object, why: str) -> None:
    for text in ("arguments.value != 7", "size(arguments) == 1", "arguments['value'] != 7"):
        with pytest.raises(Unclear, match=why):
            holds(text, value=value)


def test_what_a_condition_does_not_look_at_is_no_fault() -> None:
    letter = {"to": None, "text": "x" * 200_000, "odd": float("nan")}
    assert holds("arguments.to == null && !has(arguments.cc)", **letter)
    assert not holds("arguments.to != null", **letter)
    for text in (
        "arguments.to == null && arguments.text != ''",
        "arguments['to'] == null",
        "arguments.exists(name, name == 'to')",
        "'to' in arguments",
        "arguments.all(name, arguments.to == null)",
    ):
        with pytest.raises(Unclear):
            holds(text, **letter)


def test_arguments_nested_too_deeply_are_unclear() -> None:
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(Unclear, match="nested"):
        holds("arguments.value != 7", value=value)


def test_a_loop_in_a_loop_is_for_short_lists() -> None:
    nested = "arguments.l.exists(a, arguments.l.exists(b, a > b))"
    assert holds(nested, l=list(range(60)))
    with pytest.raises(Unclear, match="loop in a loop"):
        holds(nested, l=[0] * 201)


def test_work_is_bounded_before_it_is_done() -> None:
    with pytest.raises(Unclear, match="so many loops"):
        holds("arguments.l.all(a, arguments.t != a)", l=["x"] * 900, t="x" * 50_000)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(Unusable):
        assert Expression(text).text == text


@settings(max_examples=150, deadline=None)
@given(value=_values, text=st.sampled_from([*CONFORMANCE, *UNCLEAR, "arguments.value > 1"]))
def test_any_arguments_give_yes_no_or_unclear(value: object, text: str) -> None:
    with contextlib.suppress(Unclear):
        assert holds(text, value=value, text=value, to=value) in {True, False}
