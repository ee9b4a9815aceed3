"""Who has a run in hand, and that nobody else moves it; see Note [Taking over]."""

from __future__ import annotations

from agentops.sdk.errors import AgentopsError
from runs.engine.store.sql import Cursor

# Who a run is paused by that somebody took over, after their name.
TAKING = ", taking over"

_HOLDER = """
SELECT u.username, t.until FROM take_over t JOIN accounts_user u ON u.id = t.person_id
 WHERE t.run_id = %(run)s AND t.until > clock_timestamp()
"""


class TakenOver(AgentopsError):
    """Somebody took this run over. Only they move it until they hand it back."""

    code = "taken_over"


_LET_GO = "DELETE FROM take_over WHERE run_id = %(run)s"


def let_go(cursor: Cursor, run_id: int) -> None:
    """End a lease, if there is one."""
    cursor.execute(_LET_GO, {"run": run_id})


def refuse_others(cursor: Cursor, run_id: int, by: str) -> bool:
    """Return unless somebody else took the run over; whether ``by`` did. Raises TakenOver."""
    cursor.execute(_HOLDER, {"run": run_id})
    row = cursor.fetchone()
    if row is None:
        return False
    if row[0] != by:
        raise TakenOver(
            f"{row[0]} took this run over, until {row[1].isoformat(timespec='minutes')} at the "
            "latest. Only they move it until they hand it back."
        )
    return True
