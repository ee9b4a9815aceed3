"""Whether a worker still has the run it asks for."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from agentops.execution.port import Fenced
from agentops.execution.records import Claim

_FENCE = """
SELECT owner_id, team_id, clock_timestamp() FROM run
 WHERE id = %s AND epoch = %s AND status = 'running' FOR SHARE
"""


def held(claim: Claim) -> tuple[int | None, int | None, datetime]:
    """Owner and team of the run, and the time. Raises Fenced where another worker has it.

    Until the end of the caller's transaction no other takes it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FENCE, [claim.id, claim.epoch])
        row = cursor.fetchone()
    if row is None:
        raise Fenced
    return row[0], row[1], row[2]
