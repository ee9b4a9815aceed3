"""Tools that write to the same database: effect and outcome commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from django.db import (
    DatabaseError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)

from agentops.execution.faults import fault
from agentops.execution.port import Fenced, Numbers
from agentops.execution.records import Claim, Entry
from agentops.execution.threads import Threads
from runs.engine import batches

_FENCE = "SELECT 1 FROM run WHERE id = %s AND epoch = %s AND status = 'running' FOR SHARE"
_RECORD = """
INSERT INTO journal (run_id, key, phase, n, seq, epoch, kind, name, fingerprint, codec, data,
                     input_codec, input, meta, started_at, at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class Transactions:
    """Runs transactional tools in threads, each in a transaction of Django's default database."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def run(
        self,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        """Do ``work`` and write its entry, both or neither.

        Raises what the tool raises (nothing was kept), or Fenced when the run was lost or nobody
        can tell whether the commit came through: then the journal, read again, knows.
        """
        job = _Job(asyncio.get_running_loop(), claim, numbers, work, record, timeout)
        try:
            await self._threads.run(job.body, timeout=timeout + 1.0, give_up=job.give_up)
        except BaseException as error:
            job.give_up()
            if job.number is not None:
                numbers.release(used=False)
                if job.committing and not isinstance(error, DatabaseError):
                    raise Fenced from error
                if isinstance(error, OperationalError):
                    raise Fenced from error
            raise
        numbers.release(used=True)


class _Job:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        self._loop, self._claim, self._numbers = loop, claim, numbers
        self._work, self._record, self._timeout = work, record, timeout
        self.number: int | None = None
        self.committing = False
        self._over = False

    def give_up(self) -> None:
        self._over = True

    def body(self) -> None:
        close_old_connections()
        try:
            with transaction.atomic():
                self._inside()
        finally:
            connection.close()

    def _inside(self) -> None:
        with connection.cursor() as cursor:
            # A process that is frozen in here must not keep the run's row locked for ever.
            limit = int(self._timeout * 1000)
            cursor.execute(f"SET LOCAL statement_timeout = {limit}")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {limit + 1000}")
            value = self._work()
            fault("transaction.before_record")
            entry = self._record(value)
            cursor.execute(_FENCE, [self._claim.id, self._claim.epoch])
            if self._over or cursor.fetchone() is None:
                raise Fenced
            self._take_number()
            entry.seq, entry.epoch = self.number or 0, self._claim.epoch
            self.committing = True
            cursor.execute(_RECORD, _values(self._claim, entry))
            fault("transaction.before_commit", entry.name)

    def _take_number(self) -> None:
        asyncio.run_coroutine_threadsafe(self._hold(), self._loop).result()

    async def _hold(self) -> None:
        """On the loop, like :meth:`give_up`: a number nobody waits for any more goes back."""
        number = await self._numbers.hold()
        if self._over:
            self._numbers.release(used=False)
            raise Fenced
        self.number = number


def _values(claim: Claim, entry: Entry) -> list[int | str | bytes | datetime | None]:
    value, given = entry.value, entry.input
    return [
        claim.id,
        entry.key,
        int(entry.phase),
        entry.n,
        entry.seq,
        entry.epoch,
        entry.kind,
        entry.name,
        entry.fingerprint,
        value.codec if value else None,
        value.data if value else None,
        given.codec if given else None,
        given.data if given else None,
        batches.meta_json(entry.meta),
        entry.started_at,
        entry.at,
    ]
