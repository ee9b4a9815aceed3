"""Many browser tabs on one run, as a process of its own: ``python -m benchmarks.ours.tabs``.

Speaks the console's socket as ``live.js`` does, and notes when which events arrived. Prints one
line once all are connected and watch. Told the number of the last event, it says what it saw
once that has come to every tab, or has not for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

# Opening a socket costs the server milliseconds: so many at once do.
AT_ONCE = 16
OPEN_SECONDS = 60
# What comes later than this has not come at all.
LATE_SECONDS = 20.0
# A row of the journal, as the html in a message holds it.
ROW = re.compile(r'<tr[^>]* id=\\"e(\d+)\\"')


@dataclass
class Tab:
    """One socket. ``came`` holds (first event, last event, when) of every message about the run."""

    seen: int
    keeps: bool = False
    came: list[tuple[int, int, float]] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)
    told: int = 0
    gaps: int = 0

    def take(self, text: str) -> None:
        """Note what a message brings; what does not follow on what is there is a gap."""
        at = time.time()
        if text.startswith('[{"do":"gap"'):
            self.gaps += 1
        if not text.startswith('[{"do":"news"'):
            return
        self.told = hash((self.told, text))
        if self.keeps:
            self.rows |= {int(number) for number in ROW.findall(text)}
        head = json.loads(text[1 : text.index("}") + 1])
        if head["after"] > self.seen:
            self.gaps += 1
        elif head["seq"] > self.seen:
            self.came.append((self.seen + 1, head["seq"], at))
            self.seen = head["seq"]


def found(tabs: Sequence[Tab]) -> list[dict[str, object]]:
    """What the tabs saw. ``alike``: the same messages, to the letter, as the first."""
    first = tabs[0]
    return [
        {"came": tab.came, "gaps": tab.gaps, "rows": len(tab.rows), "alike": tab.told == first.told}
        for tab in tabs
    ]


async def _opened(asked: argparse.Namespace, tab: Tab, turn: asyncio.Semaphore) -> ClientConnection:
    headers = {"Cookie": asked.cookie}
    async with turn:
        socket = await connect(
            asked.url, origin=asked.origin, additional_headers=headers, open_timeout=OPEN_SECONDS,
            max_size=None,
        )  # fmt: skip
        await socket.recv()
        watch = {"do": "watch", "topic": asked.topic, "query": asked.query, "after": tab.seen}
        await socket.send(json.dumps(watch))
        # The answer to this comes when the server has done what was asked before.
        await socket.send('{"do":"alive"}')
        while '{"do":"alive"' not in (text := str(await socket.recv())):
            tab.take(text)
        return socket


async def _listen(socket: ClientConnection, tab: Tab) -> None:
    async for text in socket:
        tab.take(str(text))


async def _came(tabs: Sequence[Tab], last: int) -> None:
    """Wait until every tab has seen event ``last``; one that never will is not waited for."""
    border = time.monotonic() + LATE_SECONDS
    while time.monotonic() < border and any(tab.seen < last for tab in tabs):
        await asyncio.sleep(0.05)


async def _measured(asked: argparse.Namespace) -> None:
    tabs = [Tab(asked.after, keeps=number == 0) for number in range(asked.tabs)]
    turn = asyncio.Semaphore(AT_ONCE)
    sockets = await asyncio.gather(*(_opened(asked, tab, turn) for tab in tabs))
    listening = [
        asyncio.create_task(_listen(socket, tab)) for socket, tab in zip(sockets, tabs, strict=True)
    ]
    print("ready", flush=True)
    last = int(await asyncio.to_thread(sys.stdin.readline) or 0)
    await _came(tabs, last)
    for task in listening:
        task.cancel()
    Path(asked.found).write_text(json.dumps(found(tabs)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "origin", "cookie", "topic", "query", "found"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--after", type=int, required=True)
    parser.add_argument("--tabs", type=int, required=True)
    asyncio.run(_measured(parser.parse_args()))


if __name__ == "__main__":
    main()
