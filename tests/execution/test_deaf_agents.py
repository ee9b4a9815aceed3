"""A plain agent that does not notice its end keeps a thread, and is counted until it lets go."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace

import pytest

from agentops import SyncRunContext, agent, testing
from agentops.execution import bridge
from agentops.execution.execution import Execution
from agentops.execution.port import Finished
from agentops.execution.quiet import QuietLoop
from agentops.execution.records import History
from agentops.execution.threads import AttemptOver, Threads
from agentops.testing import Journal, MemoryPort


def test_a_plain_agent_that_computes_on_after_its_end_is_interrupted_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge, "LET_GO_SECONDS", 0.05)
    monkeypatch.setattr(bridge, "STOP_GRACE_SECONDS", 0.05)
    deaf, ended = threading.Event(), threading.Event()

    @agent(timeout=0.1)
    def computes(ctx: SyncRunContext) -> None:
        while not deaf.is_set():
            with contextlib.suppress(AttemptOver):
                deaf.wait(0.01)
        ended.set()

    async def outlive() -> int:
        threads = Threads("agentops-test")
        journal = Journal()
        execution = Execution(
            computes,
            replace(testing._claim(computes, None, journal), timeout_seconds=0.1),
            History(),
            MemoryPort(journal, None),
            threads,
        )
        ending = await execution.run()
        assert isinstance(ending, Finished)
        assert ending.stop_reason == "timeout"
        async with asyncio.timeout(5):
            while not threads.leaked:
                await asyncio.sleep(0.01)
        deaf.set()
        assert await asyncio.to_thread(ended.wait, 5)
        async with asyncio.timeout(5):
            while threads.leaked:
                await asyncio.sleep(0.01)
        return threads.leaked

    with asyncio.Runner(loop_factory=QuietLoop) as runner:
        assert runner.run(outlive()) == 0
