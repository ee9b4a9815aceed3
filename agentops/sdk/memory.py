"""What is remembered from one run to the next: entries, and what a store of them promises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from agentops.sdk import codec
from agentops.sdk.errors import Fatal, Misuse, PayloadError, PayloadTooLarge

LONGEST_KEY = 200
# What is searched; the value itself may be longer.
LONGEST_TEXT = 20_000
LONGEST_QUERY = 1_000
LARGEST_VALUE_BYTES = 256 * 1024
LONGEST_TTL = timedelta(days=36_500)
MOST_FOUND = 100


class MemoryScope(StrEnum):
    """Whose memory is meant."""

    AGENT = "agent"
    """The agent's own, whoever it works for."""
    PERSON = "person"
    """Of the person the run is for, shared by all agents that work for them."""
    TEAM = "team"
    """Of the team the run belongs to."""


class NoSuchMemory(Fatal):
    """The run belongs to nobody, or to no team, and so has no memory of theirs."""

    code = "no_such_memory"


@dataclass(frozen=True, slots=True)
class Remembered:
    """An entry as it was found, and where it comes from.

    ``run`` and ``step`` name what wrote it last, ``written_by`` the agent or person.
    """

    key: str
    value: object
    text: str
    scope: str
    revision: int
    run: str
    step: str
    written_by: str
    updated_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """An entry to be written. ``ttl`` is seconds from now; None: for good."""

    key: str
    value: codec.Encoded
    text: str
    ttl: float | None = None


class Store(Protocol):
    """The memory that a run has. Plain methods, for a thread that may wait.

    ``scope`` None means the person the run is for, or the agent when it is for nobody. All raise
    NoSuchMemory for a scope the run does not have.
    """

    def get(self, scope: str | None, key: str) -> Remembered | None: ...
    def put(self, scope: str | None, note: Note, step: str) -> int: ...
    def delete(self, scope: str | None, key: str) -> bool: ...
    def search(self, scope: str | None, query: str, limit: int) -> list[Remembered]: ...


class ToolMemory:
    """The memory of the run, for a plain ``def`` tool.

    In a ``transactional`` tool a write commits with the outcome. In any other it holds at once,
    and another attempt writes again.
    """

    def __init__(self, open: Callable[[], Store], step: str) -> None:
        self._open, self._step = open, step

    def get(self, key: str, *, scope: str | None = None) -> Remembered | None:
        """The entry called ``key``, or None."""
        return self._open().get(checked_scope(scope), checked_key(key))

    def put(
        self,
        key: str,
        value: object,
        *,
        ttl: float | timedelta | None = None,
        text: str | None = None,
        scope: str | None = None,
    ) -> int:
        """Write an entry; its revision."""
        return self.write(note(key, value, ttl, text), scope=scope)

    def write(self, entry: Note, *, scope: str | None = None) -> int:
        """Write an entry that was made with :func:`note`; its revision."""
        return self._open().put(checked_scope(scope), entry, self._step)

    def delete(self, key: str, *, scope: str | None = None) -> bool:
        """Delete an entry; whether there was one."""
        return self._open().delete(checked_scope(scope), checked_key(key))

    def search(self, query: str, *, limit: int = 10, scope: str | None = None) -> list[Remembered]:
        """The entries that have most to do with ``query``, best first."""
        return self._open().search(checked_scope(scope), *checked_query(query, limit))


def note(key: str, value: object, ttl: float | timedelta | None, text: str | None) -> Note:
    """An entry to be written, found by ``text`` or else by the words of the value.

    Raises Misuse for a key or a time that cannot be, PayloadError for a value that cannot be
    stored and PayloadTooLarge for one that is too large, naming the key.
    """
    checked = checked_key(key)
    try:
        encoded = codec.encode(value, limit=LARGEST_VALUE_BYTES)
    except PayloadTooLarge as error:
        raise PayloadTooLarge(f"Memory {checked!r}: {error}") from error
    except PayloadError as error:
        raise PayloadError(f"Memory {checked!r}: {error}") from error
    if text is not None and not isinstance(text, str):
        raise Misuse(f"Memory {checked!r}: text is a str, not {type(text).__name__}.")
    found_by = words_of(codec.decode(*encoded)) if text is None else text
    return Note(checked, encoded, printable(found_by[:LONGEST_TEXT]), checked_ttl(ttl))


def checked_scope(scope: str | None) -> str | None:
    """``scope``, if there is such a one. Raises Misuse."""
    if scope is None or scope in list(MemoryScope):
        return scope
    raise Misuse(f"Memory: scope is one of {', '.join(MemoryScope)}, not {scope!r}.")


def checked_key(key: object) -> str:
    """``key``, if an entry may be called so. Raises Misuse."""
    if not isinstance(key, str) or not key.strip():
        raise Misuse(f"Memory: a key is a text that is not empty, not {key!r}.")
    if len(key) > LONGEST_KEY:
        raise Misuse(f"Memory: the key has {len(key)} characters; at most {LONGEST_KEY} are.")
    if printable(key) != key:
        raise Misuse(f"Memory: the key {key!r} has characters that cannot be stored.")
    return key


def checked_query(query: object, limit: int) -> tuple[str, int]:
    """What to search for and how many at most. Raises Misuse."""
    if not isinstance(query, str):
        raise Misuse(f"Memory: a search is for a text, not for {type(query).__name__}.")
    if not 1 <= limit <= MOST_FOUND:
        raise Misuse(f"Memory: limit is between 1 and {MOST_FOUND}, not {limit}.")
    return printable(query[:LONGEST_QUERY]), limit


def checked_ttl(ttl: float | timedelta | None) -> float | None:
    """How long an entry is to last, in seconds. Raises Misuse."""
    if ttl is None:
        return None
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else float(ttl)
    if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_TTL.total_seconds()):
        raise Misuse(f"Memory: ttl is seconds or a timedelta above 0, not {ttl!r}.")
    return seconds


def words_of(value: object) -> str:
    """The texts in a decoded value, as something to search in."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return " ".join(f"{name} {words_of(part)}".rstrip() for name, part in value.items())
    if isinstance(value, list):
        return " ".join(filter(None, map(words_of, value)))
    return "" if value is None or isinstance(value, bool) else str(value)


def printable(text: str) -> str:
    """``text`` as a database column takes it: without NUL and lone surrogates."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()
