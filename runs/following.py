"""Following a run's journal as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from runs import queries
from runs.models import Journal, Run

POLL_SECONDS = 0.5
_AT_ONCE = 200


async def subscribe(run: Run, after: int = 0) -> AsyncGenerator[list[Journal], None]:
    """The lines of a run's journal after event ``after``, as they come, for ever.

    Between looks it holds no database connection.
    """
    while True:
        rows = await sync_to_async(_read)(run, after)
        if rows:
            after = rows[-1].seq
            yield rows
        if len(rows) < _AT_ONCE:
            await asyncio.sleep(POLL_SECONDS)


def _read(run: Run, after: int) -> list[Journal]:
    try:
        return queries.events(run=run, after=after, limit=_AT_ONCE)
    finally:
        close_old_connections()
