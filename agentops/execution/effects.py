"""Tools that must not be repeated: promise before acting, settle what was lost."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable
from datetime import datetime

from agentops.execution.faults import fault
from agentops.execution.numbering import Numbering
from agentops.execution.outcomes import DEADLINE_GRACE_SECONDS, Call, Flight, Outcome, Outcomes
from agentops.execution.permits import Permits
from agentops.execution.port import Port, is_ours
from agentops.execution.records import Claim, Entry
from agentops.execution.replay import SETTLED, Replay
from agentops.execution.threads import Threads, bounded
from agentops.execution.waits import Wait
from agentops.sdk import codec, steps
from agentops.sdk.calls import ToolContext
from agentops.sdk.memory import Store
from agentops.sdk.retry import Failure
from agentops.sdk.tools import Verdict, Verified
from agentops.sdk.typing import takes_context

VERIFY_TIMEOUT_SECONDS = 30.0
VERIFY_ATTEMPTS = 3
VERIFY_PAUSE_SECONDS = 0.2
LEASE_POLL_SECONDS = 0.2
# An attempt that acts takes up to its timeout and has to be over by the deadline of its intent.
ACT_WITHIN_SECONDS = DEADLINE_GRACE_SECONDS / 2


class Effects:
    """The rules of ``once``."""

    def __init__(
        self,
        claim: Claim,
        port: Port,
        replay: Replay,
        numbers: Numbering,
        threads: Threads,
        outcomes: Outcomes,
        permits: Permits,
    ) -> None:
        self._claim, self._port, self._replay = claim, port, replay
        self._numbers, self._threads, self._outcomes = numbers, threads, outcomes
        self._permits = permits

    async def promise(self, call: Call, flight: Flight) -> bool:
        """Record durably that this attempt may act now; only then may it.

        # Note [The last look]
        Others take "it did not happen" for a fact once the deadline of an intent is over. So the
        attempt looks at its own time, its lease and its incarnation immediately before it acts,
        and withdraws when they are not what the intent says. Between its permit and this moment
        seconds may have passed, in which somebody stopped it: then it withdraws as well, and asks
        again. Attempts that promise nothing look for a stop in the same way.
        """
        worker = self._port.worker
        fault("effect.before_intent", call.work.name)
        intent = self._outcomes.intended(call, flight, worker)
        await self._numbers.append([intent])
        self._replay.begin(intent)
        flight.announced = True
        fault("effect.after_intent", call.work.name)
        while time.monotonic() - flight.since < ACT_WITHIN_SECONDS:
            if self._permits.stopped(call):
                break
            if self._port.may_act() and self._port.worker == worker:
                flight.acting = True
                return True
            await asyncio.sleep(LEASE_POLL_SECONDS)
        await self._withdraw(call, flight.n)
        return False

    async def settle_own(
        self, call: Call, failure: Failure, flight: Flight
    ) -> Outcome | Wait | Failure:
        """The attempt ended here without telling whether the effect happened."""
        verified = await self._verify(call, flight.n)
        if verified.verdict is Verdict.DONE:
            return self._outcomes.succeeded(call, verified.result, flight)
        if verified.verdict is Verdict.NOT_DONE and not flight.abandoned:
            return failure
        return await self._uncertain(call, flight.n, failure.message)

    async def settle_lost(self, call: Call, intent: Entry) -> Outcome | Wait | None:
        """An earlier attempt promised to act and nobody knows what became of it.

        # Note [Late settlement and quarantine]
        The attempt itself may still tell (a message in the inbox); it is the only one that was
        allowed to act. Otherwise ``verify`` is asked. Its "not done" is believed only if that
        attempt could not act any more *before* the question: its worker was seen to exit, or its
        time was over. An answer from before proves nothing about what came after it.
        """
        call = await self._as_begun(call, intent)
        message = f"{SETTLED}{call.key}:{intent.n}"
        late = self._replay.take_message(message)
        if late is not None:
            return self._outcomes.told_late(call, intent, late.n, codec.revive(*late.value))
        facts = intent.meta or {}
        deadline = datetime.fromisoformat(str(facts["deadline_at"]))
        over = await self._port.is_gone(int(str(facts["worker"])), deadline)
        verified = await self._verify(call, intent.n)
        if verified.verdict is Verdict.DONE:
            flight = Flight(call.work, intent.n, intent.at, intent.at, 0.0)
            return self._outcomes.succeeded(call, verified.result, flight)
        if verified.verdict is Verdict.UNKNOWN:
            return await self._uncertain(call, intent.n, "The worker was lost during the call.")
        if not over:
            return Wait(call.key, "timer", deadline, message, "quarantine")
        await self._withdraw(call, intent.n)
        return None

    async def _as_begun(self, call: Call, intent: Entry) -> Call:
        """The call with the arguments it was begun with, where they are not the agent's own."""
        if not (intent.meta or {}).get("given"):
            return call
        told = await self._port.called_with(self._claim, call.key, intent.n)
        given = codec.revive(*told) if told is not None else None
        if not isinstance(given, dict):
            return call
        return Call(call.key, steps.called_with(call.work, given), call.fingerprint)

    async def _withdraw(self, call: Call, n: int) -> None:
        self._replay.close(call.key, n)
        await self._numbers.append([self._outcomes.withdrawn(call, n)])

    async def _uncertain(self, call: Call, n: int, message: str) -> Wait:
        number = self._numbers.next
        await self._numbers.append([self._outcomes.uncertain(call, n, message, number)])
        settled = f"{SETTLED}{call.key}:{n}"
        return Wait(call.key, "operator", None, settled, f"uncertain:{call.key}")

    async def _verify(self, call: Call, n: int) -> Verified:
        verify = call.work.tool.verify if call.work.tool else None
        if verify is None:
            return Verified.unknown()
        for last in range(VERIFY_ATTEMPTS, 0, -1):
            try:
                answer = await self._ask(verify, call, n)
            except BaseException as error:
                if is_ours(error):
                    raise
                if last > 1:
                    await asyncio.sleep(VERIFY_PAUSE_SECONDS)
                continue
            if isinstance(answer, Verified):
                return answer
            break
        return Verified.unknown()

    async def _ask(self, verify: Callable[..., object], call: Call, n: int) -> object:
        """Ask with the arguments of the call, after the context of the lost attempt if wanted."""
        work = call.work
        known_as = self._replay.origin_of(call.key)
        context = context_of(self._claim, call.key, n, VERIFY_TIMEOUT_SECONDS, known_as)
        args = (context, *work.args) if takes_context(verify) else work.args
        if inspect.iscoroutinefunction(verify):
            return await bounded(verify(*args, **work.kwargs), VERIFY_TIMEOUT_SECONDS)
        plain = functools.partial(verify, *args, **work.kwargs)
        return await self._threads.run(plain, timeout=VERIFY_TIMEOUT_SECONDS, give_up=lambda: None)


def context_of(
    claim: Claim,
    key: str,
    n: int,
    seconds: float,
    known_as: str,
    sink: Callable[[str], None] | None = None,
    memory: Callable[[], Store] | None = None,
    approval: str = "",
) -> ToolContext:
    """What attempt ``n`` of a step may know about its call, and where its text goes."""
    return ToolContext(
        run_id=claim.public_id,
        key=key,
        attempt=n,
        deadline=time.monotonic() + seconds,
        known_as=known_as,
        sink=sink,
        memory=memory,
        approval=approval,
    )
