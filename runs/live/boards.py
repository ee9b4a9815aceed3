"""What is being written, on the screens of all who watch: runs, and conversations turn by turn.

One board per run or conversation and process; it works while somebody watches. Frames say where
each text begins, so that a screen that missed some waits for the whole, which comes again and
again. What the record says replaces the text, by the frames of the hub or because a region reads
itself again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
import weakref
from typing import Protocol

import structlog

from agentops.accounts.access import Owned
from runs import dialogue, reading, talks
from runs.live.audience import RIGHT_LOST, Frame, Subscriber, encode
from runs.live.following import follow, heard, merged
from runs.live.hub import hub
from runs.live.pages import draw
from runs.live.text import Change, Delta, Done
from runs.models import Conversation, Run

log = structlog.get_logger(__name__)

WHOLE_SECONDS = 2.0
# How long a change of a conversation nobody told of may stay unnoticed.
LOOK_SECONDS = 3.0
STALE_SECONDS = 1.0
# What of a conversation's page changes: its head, its turns, the line of those who wait, and what
# a message would do.
REGIONS = ("talk-head", "turns", "line", "what-happens")


class Texts:
    """The texts on a screen, as frames.

    ``behind`` names the region that shows what is recorded once it has read itself again; until
    then a text that is recorded stays.
    """

    def __init__(self, topic: str, behind: str = "") -> None:
        self._topic, self._behind = topic, behind
        self._texts: dict[str, tuple[int, str]] = {}
        self._whole_at: dict[str, float] = {}

    def frames(self, changes: tuple[Change, ...]) -> list[Frame]:
        """What a screen is told about changes."""
        return [self._frame(change) for change in changes]

    def whole(self) -> list[Frame]:
        """All texts and no others, for a screen that may show what it missed the end of."""
        return [self._unwrite(), *(self._whole(step) for step in self._texts)]

    def _unwrite(self, behind: str = "") -> Frame:
        """No other texts are shown than those that are being written."""
        keep = [dom_id(step) for step in self._texts]
        return {"do": "unwrite", "topic": self._topic, "keep": keep, "behind": behind}

    def _frame(self, change: Change) -> Frame:
        step = change.step
        if not isinstance(change, Delta):
            self._texts.pop(step, None)
            return self._unwrite(self._behind if isinstance(change, Done) else "")
        before = self._texts.get(step, (change.attempt, ""))[1][: change.at]
        self._texts[step] = change.attempt, before + change.text
        due = time.monotonic() - self._whole_at.get(step, 0.0) >= WHOLE_SECONDS
        if not before or due:
            return self._whole(step)
        return self._piece(step, units(before), change.text)

    def _whole(self, step: str) -> Frame:
        attempt, text = self._texts[step]
        self._whole_at[step] = time.monotonic()
        name = step.rpartition("/")[2].partition("#")[0]
        html = draw("runs/_writing.html", id=dom_id(step), name=name, attempt=attempt)
        return {**self._piece(step, 0, text), "into": "writing", "html": html}

    def _piece(self, step: str, at: int, text: str) -> Frame:
        return {"do": "write", "topic": self._topic, "id": dom_id(step), "at": at, "text": text}


class Board(Protocol):
    """Something that screens watch for as long as it is at work."""

    sockets: set[Subscriber]
    texts: Texts

    async def work(self) -> None: ...


class RunBoard:
    """The texts of one run."""

    def __init__(self, run: Run) -> None:
        self.sockets: set[Subscriber] = set()
        self.texts = Texts(f"run:{run.public_id}")
        self._run = run

    async def work(self) -> None:
        """Show texts while there are any; nobody reads the journal before the first."""
        stirred = asyncio.Event()
        listening = hub().channel.listen(self._run.public_id, lambda _: stirred.set())
        with listening, heard(self._run) as pieces:
            while True:
                await stirred.wait()
                stirred.clear()
                seq = await hub().read(reading.last_seq, self._run.pk)
                news = merged(self._run, seq, pieces, LOOK_SECONDS)
                async with contextlib.aclosing(news) as coming:
                    async for each in coming:
                        send(self, self._run, self.texts.frames(each.changes))


class TalkBoard:
    """The texts of whichever run of a conversation is live, and when its page is out of date."""

    def __init__(self, conversation: Conversation) -> None:
        self.sockets: set[Subscriber] = set()
        self.texts = Texts(f"conversation:{conversation.public_id}", "turns")
        self._conversation = conversation
        self._stirred = asyncio.Event()
        self._stale_at = 0.0
        self._owed: asyncio.TimerHandle | None = None

    async def work(self) -> None:
        """Tell of each change until nobody watches."""
        stood: int | None = None
        with hub().channel.listen(self._conversation.public_id, self._heard):
            while True:
                self._stirred.clear()
                stands, run = await hub().read(_standing, self._conversation)
                if stood not in (None, stands):
                    self._tell()
                stood = stands
                if run is None:
                    await self._wait()
                else:
                    await self._follow(run)

    def _heard(self, _: bytes) -> None:
        self._stirred.set()
        self._tell()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._stirred.wait()

    async def _follow(self, run: Run) -> None:
        seq = await hub().read(reading.last_seq, run.pk)
        async with contextlib.aclosing(follow(run, seq, pause_seconds=LOOK_SECONDS)) as coming:
            async for news in coming:
                if news.lines:
                    self._tell()
                send(self, self._conversation, self.texts.frames(news.changes))
                if news.is_silence and await hub().read(_is_over, run):
                    # It ended between the look that found it live and the first line awaited.
                    return

    def _tell(self) -> None:
        """Have the page read itself again, once a second at most; the last change is never lost."""
        if self._owed is not None:
            return
        wait = max(0.0, self._stale_at + STALE_SECONDS - time.monotonic())
        self._owed = asyncio.get_running_loop().call_later(wait, self._say_stale)

    def _say_stale(self) -> None:
        self._owed, self._stale_at = None, time.monotonic()
        send(self, self._conversation, [stale(self._conversation)])


def stale(conversation: Conversation) -> Frame:
    """The frame that has the page of a conversation read itself again."""
    topic = f"conversation:{conversation.public_id}"
    return {"do": "stale", "topic": topic, "ids": list(REGIONS)}


def _standing(conversation: Conversation) -> tuple[int, Run | None]:
    """What a page shows of a conversation as a number, and the run that is live."""
    return talks.version(conversation), dialogue.live_run(conversation)


def _is_over(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, finished_at__isnull=False).exists()


def send(board: Board, target: Owned, frames: list[Frame]) -> None:
    """Send frames to all who watch and may still see it; who may not is told so."""
    if not frames:
        return
    text, topic = encode(frames), str(frames[0]["topic"])
    for who in list(board.sockets):
        if who.sees(target):
            who.offer(topic, text)
        else:
            board.sockets.discard(who)
            who.mention(encode([{"do": "bye", "topic": topic, "code": RIGHT_LOST}]))


def dom_id(step: str) -> str:
    """The id of a step's text on a page; keys hold what ids should not."""
    return "writing-" + hashlib.sha256(step.encode()).hexdigest()[:12]


def units(text: str) -> int:
    """The length of a text as a browser counts it."""
    return len(text.encode("utf-16-le", "replace")) // 2


class Boards:
    """The boards of one event loop."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, who: Subscriber, target: Run | Conversation) -> None:
        """Show ``who`` what is being written there."""
        key = target.public_id
        board = self._boards.get(key)
        if board is None:
            board = RunBoard(target) if isinstance(target, Run) else TalkBoard(target)
            self._boards[key] = board
            self._tasks[key] = asyncio.create_task(_keep_working(board), name=f"board {key}")
        if who not in board.sockets:
            board.sockets.add(who)
            frames = board.texts.whole()
            who.offer(str(frames[0]["topic"]), encode(frames))

    async def leave(self, who: Subscriber, public_id: str) -> None:
        """Show ``who`` no more of it."""
        board = self._boards.get(public_id)
        if board is None:
            return
        board.sockets.discard(who)
        if not board.sockets:
            del self._boards[public_id]
            task = self._tasks.pop(public_id)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _keep_working(board: Board) -> None:
    while True:
        try:
            await board.work()
        except Exception:  # a board outlives whatever one look runs into
            log.exception("live.board_failed")
            await asyncio.sleep(LOOK_SECONDS)


_boards: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Boards] = weakref.WeakKeyDictionary()


def boards() -> Boards:
    """The boards of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _boards:
        _boards[loop] = Boards()
    return _boards[loop]
