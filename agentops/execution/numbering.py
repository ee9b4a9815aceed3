"""The numbers of a run's journal rows, given by its owner, dense and in the order of commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from agentops.execution.port import Child, Fenced, Port, Unstorable
from agentops.execution.records import Claim, Entry

# How long the end of an execution waits for a transaction that is about to commit.
COMMIT_SECONDS = 3.0


class Numbering:
    """Numbers rows and hands them to the journal.

    # Note [Numbers and transactional tools]
    A transactional tool writes its own outcome row, in its own transaction, which may roll back.
    While it holds a number no other row of the run may take the next one, or a rollback would
    leave a gap. So rows asked for in the meantime wait in ``_queued``.
    """

    def __init__(self, claim: Claim, port: Port) -> None:
        self._claim, self._port = claim, port
        self._seq = claim.seq
        self._held = False
        self._turn = asyncio.Lock()
        self._queued: list[Callable[[], None]] = []
        self._outstanding = 0
        self._closed = False

    @property
    def next(self) -> int:
        return self._seq + 1

    @property
    def busy(self) -> bool:
        """Whether rows are on their way."""
        return self._outstanding > 0 or self._held or bool(self._queued)

    def append(self, entries: Sequence[Entry]) -> asyncio.Future[None]:
        """Record rows in this order."""
        return self._send(entries, lambda: self._port.append(self._claim, entries))

    def spawn(self, entry: Entry, child: Child, public_id: str) -> asyncio.Future[None]:
        """Record a row together with the run it starts."""
        return self._send([entry], lambda: self._port.spawn(self._claim, entry, child, public_id))

    async def last(self) -> int:
        """The number of the row that is written with the end of this execution.

        Nothing is numbered after it: rows that come later belong to nobody. A transactional tool
        that is about to commit is waited for, a while.
        """
        if not self._closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self._turn.acquire()
        self._closed = True
        return self._seq + 1

    async def hold(self) -> int:
        """Reserve the next number until :meth:`release`; one at a time, in the order of asking."""
        await self._turn.acquire()
        if self._closed:
            self._turn.release()
            raise Fenced
        self._held = True
        return self._seq + 1

    def release(self, *, used: bool) -> None:
        """Give the reserved number back, or away."""
        self._held = False
        self._turn.release()
        self._seq += 1 if used else 0
        queued, self._queued = self._queued, []
        for send in queued:
            send()

    @property
    def held(self) -> bool:
        return self._held

    def _send(
        self, entries: Sequence[Entry], write: Callable[[], asyncio.Future[None]]
    ) -> asyncio.Future[None]:
        outer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            outer.set_exception(Fenced())
            outer.exception()  # whoever does not wait for it need not be told
            return outer
        if not self._held:
            return self._number(entries, write)
        self._queued.append(lambda: _follow(self._number(entries, write), outer))
        return outer

    def _number(
        self, entries: Sequence[Entry], write: Callable[[], asyncio.Future[None]]
    ) -> asyncio.Future[None]:
        before = self._seq
        for entry in entries:
            self._seq += 1
            entry.seq = self._seq
            entry.epoch = self._claim.epoch
        self._outstanding += 1
        future = write()
        future.add_done_callback(lambda done: self._landed(done, before))
        return future

    def _landed(self, done: asyncio.Future[None], before: int) -> None:
        self._outstanding -= 1
        if not done.cancelled() and isinstance(done.exception(), Unstorable):
            self._seq = min(self._seq, before)  # these numbers were not used, nor any later one


def _follow(inner: asyncio.Future[None], outer: asyncio.Future[None]) -> None:
    def copy(done: asyncio.Future[None]) -> None:
        error = done.exception()
        if outer.cancelled():
            return
        if error is None:
            outer.set_result(None)
        else:
            outer.set_exception(error)

    inner.add_done_callback(copy)
