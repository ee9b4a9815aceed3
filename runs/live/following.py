"""Following one run: its journal as it is recorded, and its text as it is written."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runs.live.hub import hub, subscribe
from runs.live.text import Change, Done, Piece, Writing
from runs.models import Run
from runs.timeline import Line

# More than this many pieces that nobody takes are dropped; the whole text follows.
MOST_PIECES = 100
T = TypeVar("T")


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
    pieces: asyncio.Queue[bytes] = asyncio.Queue(MOST_PIECES)
    writing = Writing()
    with hub().channel.listen(run.public_id, functools.partial(offer, pieces)):
        async with coming(subscribe(run, after)) as lines, coming(_each(pieces)) as texts:
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
                    yield News(_resets(writing.settle(batch)), tuple(batch))
                elif texts.next in done:
                    changes = taken(writing, texts.take() or b"")
                    if changes:
                        yield News(changes)


def offer(pieces: asyncio.Queue[bytes], data: bytes) -> None:
    """Queue a piece; one too many is dropped."""
    with contextlib.suppress(asyncio.QueueFull):
        pieces.put_nowait(data)


def taken(writing: Writing, data: bytes) -> tuple[Change, ...]:
    """What a message of the run's channel changes."""
    piece = Piece.read(data)
    return () if piece is None else tuple(writing.take(piece))


def _resets(changes: list[Change]) -> tuple[Change, ...]:
    """What the lines themselves do not say: an outcome speaks for itself."""
    return tuple(change for change in changes if not isinstance(change, Done))


async def _each(pieces: asyncio.Queue[bytes]) -> AsyncGenerator[bytes, None]:
    while True:
        yield await pieces.get()


class Coming(Generic[T]):
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
async def coming(things: AsyncIterator[T]) -> AsyncIterator[Coming[T]]:
    """An iteration that ends when the context does."""
    ahead = Coming(things)
    try:
        yield ahead
    finally:
        await ahead.close()
