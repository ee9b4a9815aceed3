"""Comparing texts by their words, for the part that is played without a model."""

from __future__ import annotations

import re

_COMMON_WORDS = """
about after again also been before between could does doing each ever from have into
just like made make many more most much must only other over same should some such
than that their them then there these they thing this those very what when where which
while whose will with without would your already happened happen says text
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def stems(text: str) -> set[str]:
    """The beginnings of its longer words, which is how “repeated” meets “repeating”."""
    words = re.findall(r"[^\W\d_]{4,}", text.lower())
    return {word[:5] for word in words if word not in _COMMON}


def likeness(question: str, text: str) -> int:
    """How many words of the question the text shares."""
    return len(stems(question) & stems(text))
