"""The numbers of a run's journal rows, given by its owner, dense and in the order of commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agentops.execution.port import Child, Port
from agentops.execution.records import Claim, Entry


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

    def take(self) -> int:
        """The next number, for the row that is written with the end of this execution."""
        self._seq += 1
        return self._seq

    async def hold(self) -> int:
        """Reserve the next number until :meth:`release`; one at a time, in the order of asking."""
        await self._turn.acquire()
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
        if not self._held:
            return self._number(entries, write)
        outer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued.append(lambda: _follow(self._number(entries, write), outer))
        return outer

    def _number(
        self, entries: Sequence[Entry], write: Callable[[], asyncio.Future[None]]
    ) -> asyncio.Future[None]:
        for entry in entries:
            self._seq += 1
            entry.seq = self._seq
            entry.epoch = self._claim.epoch
        self._outstanding += 1
        future = write()
        future.add_done_callback(self._landed)
        return future

    def _landed(self, _: asyncio.Future[None]) -> None:
        self._outstanding -= 1


def _follow(inner: asyncio.Future[None], outer: asyncio.Future[None]) -> None:
    def copy(done: asyncio.Future[None]) -> None:
        if outer.cancelled():
            return
        error = done.exception()
        if error is None:
            outer.set_result(None)
        else:
            outer.set_exception(error)

    inner.add_done_callback(copy)
