"""An operator says what becomes of a changed description; the runs that wait for it go on."""

from __future__ import annotations

from runs.engine.store.ending import Moved
from runs.engine.store.locking import lock
from runs.engine.store.parking import TOOL_CHANGED, requeue
from runs.engine.store.sql import Cursor
from runs.models import RunStatus

_WAITING = """
SELECT id FROM run
 WHERE status = 'waiting' AND waiting_for = 'operator' AND waiting_detail = %(detail)s
 ORDER BY id LIMIT 500
"""

# A run that suspended itself in the moment of the decision was not yet there to be woken.
_DECIDED = f"""
SELECT r.id, r.waiting_detail FROM run r
 WHERE r.status = 'waiting' AND r.waiting_for = 'operator'
   AND starts_with(r.waiting_detail, '{TOOL_CHANGED}')
   AND NOT EXISTS (SELECT 1 FROM tool_pin p WHERE p.offered_digest <> ''
                      AND r.waiting_detail = '{TOOL_CHANGED}' || p.server || '/' || p.tool)
 ORDER BY r.id LIMIT 500
"""


def wake_for_tool(cursor: Cursor, server: str, tool: str, *, by: str, why: str) -> Moved:
    """Let the runs go on that wait for a decision about this tool."""
    detail = f"{TOOL_CHANGED}{server}/{tool}"
    cursor.execute(_WAITING, {"detail": detail})
    ids = [row[0] for row in cursor.fetchall()]
    return _wake(cursor, dict.fromkeys(ids, detail), by=by, why=why)


def wake_decided(cursor: Cursor) -> Moved:
    """Let runs go on that wait for a decision that was made."""
    cursor.execute(_DECIDED, {})
    return _wake(cursor, dict(cursor.fetchall()), by="sweep", why="a decision about a tool")


def _wake(cursor: Cursor, waiting: dict[int, str], *, by: str, why: str) -> Moved:
    moved = Moved()
    for held in lock(cursor, waiting).values():
        # It may have gone on between the look and the lock.
        if held.status == RunStatus.WAITING and held.waiting_detail == waiting[held.id]:
            moved.hints += requeue(cursor, held, by=by, why=why)
            moved.queues.add(held.queue)
    return moved
