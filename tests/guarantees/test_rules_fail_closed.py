"""T18: whatever the arguments are, a rule is quick and never lets through what it cannot judge."""

from __future__ import annotations

import time

import pytest

from approvals import rules
from approvals.rules import Facts, Policy

MOST_SECONDS = 0.05
NESTED = "arguments.l.all(a, arguments.l.all(b, a + b >= 0))"
LISTS = "arguments.l.all(a, arguments.l.filter(b, b != a).size() > 0)"
TEXTS = "arguments.l.all(a, arguments.l.all(b, arguments.t.contains('yz') || true))"
GROWING = "arguments.l.all(a, [a + arguments.t + arguments.t].all(b, size(b + b) > 0))"
PATTERNS = r"arguments.l.all(a, arguments.t.matches('(\\w+\\s+)+\\w+z$') || true)"

HOSTILE: dict[str, tuple[str, dict[str, object]]] = {
    "nested loops": (NESTED, {"l": list(range(300))}),
    "nested loops at the limit": (NESTED, {"l": list(range(200))}),
    "copies of lists": (LISTS, {"l": list(range(200))}),
    "texts in loops": (TEXTS, {"l": list(range(200)), "t": "x" * 60_000}),
    "texts that grow": (GROWING, {"l": ["x" * 300] * 150, "t": "x" * 10_000}),
    "patterns in loops": (PATTERNS, {"l": list(range(1000)), "t": "ab " * 10_000}),
    "10 MB of text": ("arguments.t == ''", {"t": "x" * 10_000_000}),
    "10 MB of numbers": ("size(arguments.l) < 5", {"l": [0] * 5_000_000}),
    "10 MB in small parts": ("has(arguments.l)", {"l": [["x" * 1000] * 100] * 100}),
    "not a number": ("arguments.amount <= 200.0", {"amount": float("nan")}),
    "less than everything": ("arguments.amount <= 200.0", {"amount": float("-inf")}),
    "text that is not a number": ("double(arguments.amount) <= 200.0", {"amount": "NaN"}),
    "text for a number": ("arguments.amount <= 200", {"amount": "150"}),
    "a list for a number": ("arguments.amount <= 200", {"amount": [150]}),
    "nothing": ("arguments.amount <= 200", {}),
    "null": ("arguments.amount <= 200", {"amount": None}),
    "a number no other program reads": ("arguments.amount > 1", {"amount": 2**60}),
    "half a character": ("arguments.t != ''", {"t": "\udfff"}),
}


def _judged(text: str, arguments: dict[str, object], effect: str) -> tuple[rules.Ruling, float]:
    policy = Policy(rules.parse([{"id": "a", "effect": effect, "when": text}]), unmatched="allow")
    facts = Facts("desk", "refund", "once", arguments)
    took = []
    for _ in range(3):
        began = time.thread_time()
        ruling = rules.decide([policy], facts)
        took.append(time.thread_time() - began)
    return ruling, min(took)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_call_is_judged_quickly_and_never_allowed(case: str) -> None:
    """T18. A rule that allows, over arguments made to break it, in a policy that is open."""
    text, arguments = HOSTILE[case]
    ruling, seconds = _judged(text, arguments, "allow")
    # Within the limits the condition is answered, and then allows rightly.
    assert ruling.effect == "ask" or not ruling.fault
    assert seconds < MOST_SECONDS
    if case not in {"nested loops at the limit", "copies of lists", "texts that grow"}:
        assert (ruling.effect, bool(ruling.fault)) == ("ask", True)
    assert _judged(text, arguments, "deny")[0].effect == "deny"
