"""What a provider says of a request it refused, without what it was sent.

Providers quote: a part of the prompt, the arguments of a tool, now and then the key. Their words
end up in journals, logs and mails, where none of it belongs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from agentops.sdk.messages import Message

LONGEST = 500
# A run of so many letters in common is a quotation; shorter ones are the words of a language.
QUOTED = 12
QUOTED_OF_KEY = 6
SHORTEST = 4
GAP = "…"


def discreet(text: str, *, key: str, said: Sequence[Message]) -> str:
    """``text`` with a gap wherever it quotes the key or the messages; not longer than ``LONGEST``.

    A message of less than ``SHORTEST`` letters is no secret: every sentence contains it.
    """
    shown = text[: 4 * LONGEST]
    for secret, least in _secrets(key, said):
        shown = _without(shown, secret, least)
    return shown[:LONGEST]


def _secrets(key: str, said: Sequence[Message]) -> Iterator[tuple[str, int]]:
    if key:
        yield key, min(QUOTED_OF_KEY, len(key))
    for words in _words(said):
        for form in {words, json.dumps(words)[1:-1], json.dumps(words, ensure_ascii=False)[1:-1]}:
            if len(form) >= SHORTEST:
                yield form, min(QUOTED, len(form))


def _words(said: Iterable[Message]) -> Iterator[str]:
    for message in said:
        yield message.text.strip()
        for use in message.uses:
            given = use.arguments
            yield from leaves(given)


def leaves(value: object) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value.strip()


def _without(text: str, secret: str, least: int) -> str:
    """``text`` with a gap for every run of at least ``least`` letters that ``secret`` has too."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at + least
        if end > len(text) or text[at:end] not in secret:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in secret:
            end += 1
        kept.append(GAP)
        at = end
    return "".join(kept)
