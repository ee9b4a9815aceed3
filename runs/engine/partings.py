"""How a worker lets go of a run: it ended, it waits, or somebody else shall have it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import structlog

from agentops.execution import endings
from agentops.execution.execution import Execution
from agentops.execution.port import Ending, Finished, Lost, Released, Suspended, Unstorable
from agentops.execution.records import Claim, History
from agentops.execution.threads import Job
from runs.engine import statements
from runs.engine.batches import Closing, Parting

if TYPE_CHECKING:
    from runs.engine.host import Host

log = structlog.get_logger(__name__)

# A run whose agent or version this worker lacks is offered again after so long, give or take; each
# time twice as long. A worker that knows the agent offers it again when it starts.
DEFER_SECONDS = 15.0
LONGEST_DEFER_SECONDS = 15 * 60.0


class Partings:
    """Stores how runs of a host ended, through its writer; what is fenced is let go silently."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._chance = Random()  # noqa: S311 - jitter

    async def store(self, execution: Execution, ending: Ending) -> None:
        """Record the end of an execution. Returns when it is durable."""
        if isinstance(ending, Lost):
            return
        if isinstance(ending, Finished):
            await self._finish(execution, ending)
        elif isinstance(ending, Suspended):
            await self.part(execution.claim, ending, execution)
        elif isinstance(ending, Released):
            await self.part(execution.claim, None, execution)

    async def defer(self, claim: Claim, history: History) -> None:
        """This worker lacks the agent, or the version the run is pinned to: others may have it."""
        seconds = min(LONGEST_DEFER_SECONDS, DEFER_SECONDS * 2 ** _deferrals(history))
        again = self._host.keeper.now() + timedelta(
            seconds=seconds * self._chance.uniform(0.5, 1.5)
        )
        detail = f"{statements.LACKING}{claim.agent} {claim.agent_version}".strip()
        await self.part(claim, Suspended("timer", detail, again, claim.signal_seq))

    async def part(
        self, claim: Claim, ending: Suspended | None, execution: Execution | None = None
    ) -> None:
        """Let the run wait as ``ending`` says, or give it back when there is none."""
        done: asyncio.Future[str] = self._host.loop.create_future()
        counts = execution.counts() if execution else endings.untouched(claim)
        version = execution.agent.version if execution else claim.agent_version
        seq = await execution.numbers.last() if execution else claim.seq + 1
        self._host.writer.part(Parting(claim, ending, seq, version, counts, done))
        await done

    async def _finish(self, execution: Execution, ending: Finished) -> None:
        done: asyncio.Future[None] = self._host.loop.create_future()
        closing = Closing(
            execution.claim,
            ending,
            await execution.numbers.last(),
            execution.agent.version,
            execution.counts(),
            done,
        )
        self._host.writer.close(closing)
        try:
            await done
        except Unstorable:
            await self.part(execution.claim, endings.unstorable(execution.stepping.seen), execution)
        else:
            self._next_turn(execution.claim)

    def _next_turn(self, claim: Claim) -> None:
        """Somebody may wait for the end of this run to say something. The sweep looks as well."""
        conversation = claim.conversation_id
        if conversation is not None:
            ended = self._host.options.ended
            self._host.threads.submit(lambda: ended(conversation), _report_turn)


def _report_turn(job: Job) -> None:
    if job.error is not None:
        log.warning("turn.not_started", error=repr(job.error))


def _deferrals(history: History) -> int:
    """How often in a row, up to now, no worker had the agent of this run."""
    times = 0
    for entry in reversed(history.entries):
        detail = str((entry.meta or {}).get("detail", ""))
        if entry.kind != "run.waiting" or not detail.startswith(statements.LACKING):
            break
        times += 1
    return min(times, 16)
