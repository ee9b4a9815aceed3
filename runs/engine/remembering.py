"""What a run remembers and recalls: its namespaces, in the thread and transaction of its step."""

from __future__ import annotations

import asyncio

from django.db import connection

from agentops.execution.notebook import no_such
from agentops.execution.records import Claim
from agentops.sdk.errors import Misuse
from agentops.sdk.memory import MemoryScope, Note, Remembered
from runs.engine import memories
from runs.engine.meaning import Meaning
from runs.engine.memories import Namespace, Writer
from runs.models.memory import MemoryKind

_WHOSE = "SELECT owner_id, team_id FROM run WHERE id = %s"


class RunMemory:
    """The memory of one run, as :class:`agentops.sdk.memory.Store` promises."""

    def __init__(self, claim: Claim, meaning: Meaning | None = None) -> None:
        self._claim, self._meaning = claim, meaning

    def get(self, scope: str | None, key: str) -> Remembered | None:
        """The entry, unless its time is over."""
        row = memories.get(self._space(scope), key)
        return None if row is None else memories.remembered(row)

    def put(self, scope: str | None, note: Note, step: str) -> int:
        """Write an entry; its revision."""
        writer = Writer(self._claim.agent, self._claim.public_id, step)
        return memories.put(self._space(scope), note, writer).revision

    def delete(self, scope: str | None, key: str) -> bool:
        """Delete an entry; whether there was one."""
        return memories.delete(self._space(scope), key)

    def search(self, scope: str | None, query: str, limit: int) -> list[Remembered]:
        """The entries that have most to do with ``query``, best first."""
        rows = self._space(scope).rows
        found = memories.search(rows, query, limit)
        if self._meaning is not None:
            found = self._meaning.ranked(rows, found, query, limit)
        return [memories.remembered(row) for row in found]

    def _space(self, scope: str | None) -> Namespace:
        owner, team = self._whose()
        usual = MemoryScope.AGENT if owner is None else MemoryScope.PERSON
        wanted = usual if scope is None else MemoryScope(scope)
        if wanted is MemoryScope.AGENT:
            return Namespace(MemoryKind.AGENT, agent=self._claim.agent)
        if wanted is MemoryScope.PERSON and owner is not None:
            return Namespace(MemoryKind.PERSON, owner=owner)
        if wanted is MemoryScope.TEAM and team is not None:
            return Namespace(MemoryKind.TEAM, team=team)
        raise no_such(wanted)

    def _whose(self) -> tuple[int | None, int | None]:
        if asyncio._get_running_loop() is not None:
            raise Misuse("ctx.memory waits for the database: use it in a plain def tool.")
        with connection.cursor() as cursor:
            cursor.execute(_WHOSE, [self._claim.id])
            row = cursor.fetchone()
        return (None, None) if row is None else (row[0], row[1])
