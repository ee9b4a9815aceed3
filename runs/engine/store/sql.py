"""What the statements of the store share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Cursor(Protocol):
    """A cursor of psycopg, or Django's wrapper around one. Its transaction is the caller's."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, query: str, params: Mapping[str, Any], /) -> object: ...
    def fetchone(self) -> tuple[Any, ...] | None: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...


# Note [Deciding under a lock]
# A statement that had to wait for a row lock re-reads the locked row, but its sub-queries keep
# the snapshot from before the wait. So either a statement decides from columns of the row it
# locks (signal), or the rows are locked by a statement of their own and the next one decides.

LIVE = "('queued', 'running', 'waiting')"


def wake(condition: str = "run.waiting_for <> 'operator'") -> str:
    """Assignments that send a waiting run back to the queue when something reaches it.

    One that waits for an operator stays: only resume, settle and cancel move it.
    """
    wakes = f"run.status = 'waiting' AND ({condition})"
    return f"""
    status = CASE WHEN {wakes} THEN 'queued' ELSE run.status END,
    waiting_for = CASE WHEN {wakes} THEN '' ELSE run.waiting_for END,
    waiting_detail = CASE WHEN {wakes} THEN '' ELSE run.waiting_detail END,
    ready_at = CASE WHEN {wakes} THEN clock_timestamp() ELSE run.ready_at END,
    status_at = CASE WHEN {wakes} THEN clock_timestamp() ELSE run.status_at END
"""


# The intent of an effect that nothing answers: it may or may not have happened. Waits have intents
# too, of other kinds; they promise nothing.
OPEN_INTENT = """
    i.phase = 0 AND i.kind = 'step.intended'
    AND NOT EXISTS (SELECT 1 FROM journal o
                     WHERE o.run_id = i.run_id AND o.key = i.key AND o.phase = 1)
    AND NOT EXISTS (SELECT 1 FROM journal v
                     WHERE v.run_id = i.run_id AND v.key = i.key AND v.phase IN (3, 5)
                       AND v.n = i.n)
"""

NEXT_SEQ = "(SELECT coalesce(max(j.seq), 0) + 1 FROM journal j WHERE j.run_id = {run})"
