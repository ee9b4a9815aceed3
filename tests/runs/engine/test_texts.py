"""Text on its way from a worker to whoever watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from agentops.execution.records import Claim
from runs.api import events
from runs.engine import texts
from runs.engine.host import Host
from runs.live.hub import hub
from runs.models import Journal, Run
from tests.runs.engine.conftest import ended, start


@pytest.fixture(autouse=True)
async def _hub_ends() -> AsyncGenerator[None, None]:
    yield
    await hub().close()
    # What the tests did in the thread for synchronous code.
    await sync_to_async(_let_go)()


def _let_go() -> None:
    connection.close()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "WHOLE_SECONDS", 0.3)
    monkeypatch.setattr(texts, "GATHER_SECONDS", 0.02)


Block = tuple[str, str | None, Any]


async def followed(run: Run) -> list[Block]:
    """The events of a run's stream: type, id, data."""
    blocks: list[Block] = []
    pieces = events.stream(run, 0)
    async with contextlib.aclosing(pieces), asyncio.timeout(20):
        async for piece in pieces:
            for block in piece.decode().split("\n\n")[:-1]:
                told = dict(line.split(": ", 1) for line in block.split("\n"))
                blocks.append((told["event"], told.get("id"), json.loads(told["data"])))
    return blocks


def written(blocks: list[Block]) -> list[str]:
    """What a reader has seen of the text at each moment something took its place."""
    seen, text = [], ""
    for kind, _, data in blocks:
        if kind == "content.delta":
            assert data["at"] == len(text)
            text += data["text"]
        elif kind in {"content.reset", "step.completed"} and text:
            seen.append(text)
            text = ""
    return seen


async def test_text_comes_before_its_outcome_and_has_no_number(host: Host) -> None:
    run = await sync_to_async(start)("tells", text="Good morning, everybody")
    blocks = await followed(run)
    kinds = [kind for kind, _, _ in blocks]
    assert kinds.index("content.delta") < kinds.index("step.completed")
    assert {number for kind, number, _ in blocks if kind == "content.delta"} == {None}
    (seen,) = written(blocks)
    assert "Good morning, everybody".startswith(seen)
    assert len(seen) > 5
    data = next(data for kind, _, data in blocks if kind == "content.delta")
    assert (data["run"], data["step"], data["attempt"]) == (run.public_id, "tells#1", 1)


async def test_a_second_attempt_begins_anew(host: Host) -> None:
    run = await sync_to_async(start)("tells", text="Once more, please", fails=True)
    blocks = await followed(run)
    first, second = written(blocks)
    reset = next(data for kind, _, data in blocks if kind == "content.reset")
    assert reset["attempt"] == 1
    assert "Once more, please".startswith(first)
    assert "Once more, please".startswith(second)
    kinds = [kind for kind, _, _ in blocks]
    assert kinds.index("content.reset") <= kinds.index("step.retrying")


async def test_nothing_of_the_text_is_stored(host: Host) -> None:
    run = await sync_to_async(start)("tells", text="nobody keeps this")
    await sync_to_async(ended)(run)
    rows = [row async for row in Journal.objects.filter(run=run)]
    assert not [row for row in rows if b"nobody keeps" in bytes(row.data or b"")]
    assert host.texts._texts == {}


async def test_a_worker_without_redis_loses_text_and_nothing_else(
    make_host: Callable[..., Host],
) -> None:
    host = await sync_to_async(make_host)(redis_url="redis://127.0.0.1:1/0")
    run = await sync_to_async(start)("tells", text="unheard")
    await sync_to_async(ended)(run)
    assert run.status == "succeeded"
    assert host.texts._told


async def test_a_long_text_ends_where_nobody_reads_on(host: Host) -> None:
    sent: list[str] = []
    claim = Claim(1, "run_x", 1, "tells", "", None, datetime.now(UTC))
    for _ in range(5):
        await asyncio.to_thread(host.texts.add, claim, "a#1", 1, "x" * 30_000)
    with host.texts._lock:
        sent += [text.text for text in host.texts._texts.values()]
    assert [len(text) for text in sent] == [texts.LONGEST_TEXT]
    host.texts.over(claim, "a#1")
    assert host.texts._texts == {}
