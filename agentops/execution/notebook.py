"""The memory of runs without a database, by the rules of the real one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agentops.sdk import codec
from agentops.sdk.memory import MemoryScope, NoSuchMemory, Note, Remembered

_WORD = re.compile(r"\w+")
Place = tuple[str, str, str]


def no_such(scope: str) -> NoSuchMemory:
    """Why a run has no memory of this scope."""
    whose = "nobody" if scope == MemoryScope.PERSON else "no team"
    cure = "Start it for a person" if scope == MemoryScope.PERSON else "Start it for a team"
    return NoSuchMemory(
        f"This run belongs to {whose}, so it has no {scope} memory. {cure}, or use another scope."
    )


@dataclass
class Notebook:
    """What runs of a test remember. Hand it to several runs, and look into it afterwards.

    ``person`` and ``team`` are those the runs belong to; empty: to none.
    """

    person: str = "somebody"
    team: str = ""
    entries: dict[Place, Remembered] = field(default_factory=dict)

    def opened(self, run: str, agent: str, now: Callable[[], datetime]) -> OpenNotebook:
        """The store of one run."""
        return OpenNotebook(self, run, agent, now)

    def values(self, scope: str = MemoryScope.PERSON) -> dict[str, object]:
        """The values by key, of whoever's memory of this scope."""
        return {place[2]: e.value for place, e in self.entries.items() if place[0] == scope}


class OpenNotebook:
    """The notebook as one run has it."""

    def __init__(self, book: Notebook, run: str, agent: str, now: Callable[[], datetime]) -> None:
        self._book, self._run, self._agent, self._now = book, run, agent, now

    def get(self, scope: str | None, key: str) -> Remembered | None:
        """The entry, unless its time is over."""
        found = self._book.entries.get((*self._space(scope), key))
        return None if found is None or self._is_over(found) else found

    def put(self, scope: str | None, note: Note, step: str) -> int:
        """Write an entry; its revision."""
        space = self._space(scope)
        before = self.get(scope, note.key)
        now = self._now()
        entry = Remembered(
            key=note.key,
            value=codec.decode(*note.value),
            text=note.text,
            scope=space[0],
            revision=1 if before is None else before.revision + 1,
            run=self._run,
            step=step,
            written_by=self._agent,
            updated_at=now,
            expires_at=None if note.ttl is None else now + timedelta(seconds=note.ttl),
        )
        self._book.entries[(*space, note.key)] = entry
        return entry.revision

    def delete(self, scope: str | None, key: str) -> bool:
        """Delete an entry; whether there was one."""
        known = self.get(scope, key) is not None
        self._book.entries.pop((*self._space(scope), key), None)
        return known

    def search(self, scope: str | None, query: str, limit: int) -> list[Remembered]:
        """Those with most of the words first; without any, those that hold the text as it is.

        An empty query finds the newest.
        """
        space, words = self._space(scope), set(_WORD.findall(query.lower()))
        alive = [
            entry
            for place, entry in self._book.entries.items()
            if place[:2] == space and not self._is_over(entry)
        ]
        if not query.strip():
            return sorted(alive, key=lambda e: e.updated_at, reverse=True)[:limit]
        hits = {id(e): len(words & _words(e)) for e in alive}
        found = [e for e in alive if hits[id(e)]] or [e for e in alive if _holds(e, query)]
        found.sort(key=lambda e: (-hits[id(e)], -e.updated_at.timestamp()))
        return found[:limit]

    def _space(self, scope: str | None) -> tuple[str, str]:
        book = self._book
        names = {
            MemoryScope.AGENT: self._agent,
            MemoryScope.PERSON: book.person,
            MemoryScope.TEAM: book.team,
        }
        usual = MemoryScope.PERSON if book.person else MemoryScope.AGENT
        wanted = usual if scope is None else MemoryScope(scope)
        if not names[wanted]:
            raise no_such(wanted)
        return wanted, names[wanted]

    def _is_over(self, entry: Remembered) -> bool:
        return entry.expires_at is not None and entry.expires_at <= self._now()


def _words(entry: Remembered) -> set[str]:
    return set(_WORD.findall(f"{entry.key.replace('_', ' ')} {entry.text}".lower()))


def _holds(entry: Remembered, query: str) -> bool:
    wanted = query.strip().lower()
    return bool(wanted) and wanted in f"{entry.key} {entry.text}".lower()
