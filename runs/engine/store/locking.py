"""Locks on run rows, always taken in one order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentops.sdk.errors import AgentopsError
from runs.engine.store.sql import Cursor
from runs.models import RunStatus, WaitingFor


class RunIsGone(AgentopsError):
    """This run is no longer there: it was old enough to be forgotten."""

    code = "not_found"


@dataclass(frozen=True)
class Held:
    """A run row this transaction has locked, as it stands."""

    id: int
    public_id: str
    queue: str
    status: str
    waiting_for: str
    waiting_detail: str
    epoch: int
    parent_id: int | None
    pause_by: str

    @property
    def is_final(self) -> bool:
        return RunStatus(self.status).is_final

    @property
    def is_parked(self) -> bool:
        """Whether it waits for an operator."""
        return self.waiting_for == WaitingFor.OPERATOR


_LOCK = """
SELECT id, public_id, queue, status, waiting_for, waiting_detail, epoch, parent_id, pause_by
  FROM run WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""


def lock(cursor: Cursor, ids: Iterable[int]) -> dict[int, Held]:
    """Lock the runs with these ids, lowest first, so that two transactions never deadlock.

    Runs that do not exist are left out.
    """
    cursor.execute(_LOCK, {"ids": sorted(set(ids))})
    return {row[0]: Held(*row) for row in cursor.fetchall()}


def lock_one(cursor: Cursor, run_id: int) -> Held:
    """Lock one run. Raises RunIsGone."""
    return lock_with(cursor, run_id, ())[run_id]


def lock_with(cursor: Cursor, run_id: int, others: Iterable[int]) -> dict[int, Held]:
    """Lock a run and those of the others that exist. Raises RunIsGone."""
    held = lock(cursor, {run_id, *others})
    if run_id not in held:
        raise RunIsGone
    return held
