"""Following one run: its journal as it is recorded, and its text as it is written."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runs import reading
from runs.live.hub import hub, subscribe
from runs.live.text import Change, Piece, Writing
from runs.models import Run
from runs.timeline import Line

# More than this many pieces that nobody takes are dropped; the whole text follows.
MOST_PIECES = 100
T = TypeVar("T")
Pieces = asyncio.Queue[bytes]


@dataclass(frozen=True, slots=True)
class News:
    """What came: text that is void or new, then lines. Neither: nothing for a while."""

    changes: tuple[Change, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def is_silence(self) -> bool:
        return not self.changes and not self.lines


async def follow(run: Run, after: int, *, pause_seconds: float) -> AsyncGenerator[News, None]:
    """The lines of ``run`` above ``after``, and its text, until it has ended.

    Lines are dense and in order. Empty news come whenever nothing did for ``pause_seconds``.
    """
    with heard(run) as pieces:
        async with contextlib.aclosing(merged(run, after, pieces, pause_seconds)) as coming:
            async for news in coming:
                yield news


@contextlib.contextmanager
def heard(run: Run) -> Iterator[Pieces]:
    """The messages of the run's channel from now on; one too many is dropped."""
    pieces: Pieces = asyncio.Queue(MOST_PIECES)
    with hub().channel.listen(run.public_id, functools.partial(_offer, pieces)):
        yield pieces


async def merged(
    run: Run, after: int, pieces: Pieces, pause_seconds: float
) -> AsyncGenerator[News, None]:
    """What :func:`follow` yields, with messages that were heard already."""
    reader = _Reader(run)
    async with ahead(subscribe(run, after)) as lines, ahead(_each(pieces)) as texts:
        while True:
            either: set[asyncio.Future[Any]] = {lines.next, texts.next}
            done, _ = await asyncio.wait(
                either, timeout=pause_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                yield News()
            if lines.next in done:
                batch = lines.take()
                if batch is None:
                    return
                yield News(tuple(reader.writing.settle(batch)), tuple(batch))
            elif texts.next in done:
                changes = await reader.take(texts.take() or b"")
                if changes:
                    yield News(changes)


class _Reader:
    """What is being written, with what was recorded of each step before its text was first seen."""

    def __init__(self, run: Run) -> None:
        self.writing = Writing()
        self._run = run
        self._known: set[str] = set()

    async def take(self, data: bytes) -> tuple[Change, ...]:
        """What a message of the run's channel changes."""
        piece = Piece.read(data)
        if piece is None:
            return ()
        if piece.step not in self._known:
            # Its outcome may be among the lines nobody here asked for.
            self._known.add(piece.step)
            self.writing.settle(await hub().read(_recorded, self._run, piece.step))
        return tuple(self.writing.take(piece))


def _recorded(run: Run, step: str) -> list[Line]:
    """The lines about a step, and the end of the run if it has ended."""
    return reading.lines_of_step(run, step) + reading.ending(run)


def _offer(pieces: Pieces, data: bytes) -> None:
    with contextlib.suppress(asyncio.QueueFull):
        pieces.put_nowait(data)


async def _each(pieces: Pieces) -> AsyncGenerator[bytes, None]:
    while True:
        yield await pieces.get()


class Ahead(Generic[T]):
    """The next thing of an iteration, waited for beside others without being lost."""

    def __init__(self, things: AsyncIterator[T]) -> None:
        self._things = things
        self.next: asyncio.Future[T | None] = self._ask()

    def _ask(self) -> asyncio.Future[T | None]:
        return asyncio.ensure_future(anext(self._things, None))

    def take(self) -> T | None:
        """What came; None when nothing does any more."""
        found = self.next.result()
        if found is not None:
            self.next = self._ask()
        return found

    async def close(self) -> None:
        self.next.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.next
        if isinstance(self._things, AsyncGenerator):
            await self._things.aclose()


@contextlib.asynccontextmanager
async def ahead(things: AsyncIterator[T]) -> AsyncIterator[Ahead[T]]:
    """An iteration that ends when the context does."""
    one = Ahead(things)
    try:
        yield one
    finally:
        await one.close()
