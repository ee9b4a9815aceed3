"""Doing a step: attempts, time limits and retries."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, cast

from agentops.execution.effects import Effects, context_of
from agentops.execution.faults import fault
from agentops.execution.numbering import Numbering
from agentops.execution.outcomes import Call, Flight, Outcome, Outcomes
from agentops.execution.permits import Permits, Permitted
from agentops.execution.port import Choice, Held, Port, Tried, is_ours
from agentops.execution.records import Claim, Entry
from agentops.execution.replay import SUPPLIED, Replay
from agentops.execution.threads import Abandoned, Threads, bounded
from agentops.execution.waits import Wait
from agentops.sdk import codec
from agentops.sdk.errors import Fatal, PayloadError
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.retry import Certainty, Failure, judge
from agentops.sdk.tools import Effect

if TYPE_CHECKING:
    from agentops.execution.port import Ask

# A back-off up to this long is waited for in memory; a longer one frees the worker.
SHORT_WAIT_SECONDS = 2.0
# A model that failed a step is not asked for it again before.
LEAST_REST_SECONDS = 1.0


class Attempts:
    """Does the work of one run's steps. One implementation of the rules of retry."""

    def __init__(
        self,
        claim: Claim,
        port: Port,
        replay: Replay,
        numbers: Numbering,
        threads: Threads,
        payload_limit: int | None,
    ) -> None:
        self._claim, self._port, self._replay = claim, port, replay
        self._numbers, self._threads = numbers, threads
        self._outcomes = Outcomes(port.now, payload_limit)
        self._permits = Permits(claim, port, replay, numbers, self._outcomes)
        self._effects = Effects(
            claim, port, replay, numbers, threads, self._outcomes, self._permits
        )
        self._chance = Random(f"{claim.public_id}/{claim.epoch}")  # noqa: S311 - jitter
        self.flights: dict[str, Flight] = {}
        self.unwanted: set[str] = set()
        self._shown: set[str] = set()
        self.retries = 0

    async def perform(self, call: Call) -> Outcome | Wait:
        """Bring the step to an outcome, or say what it has to wait for."""
        lost = self._replay.intent(call.key)
        if lost is not None:
            settled = await self._effects.settle_lost(call, lost)
            if settled is not None:
                return settled
        n = self._replay.attempts(call.key)
        given = self._replay.take_message(f"{SUPPLIED}{call.key}")
        if given is not None:
            return self._outcomes.supplied(call, n, given.n, codec.revive(*given.value))
        while True:
            n += 1
            permit = await self._permits.ask(call, n)
            if isinstance(permit, Wait):
                return permit
            ended = await self._once(call, n, permit)
            if ended is not None:
                return ended

    async def _once(
        self, asked: Call, n: int, permit: Permitted | Failure
    ) -> Outcome | Wait | None:
        """What attempt ``n`` came to; nothing where another has to follow."""
        if isinstance(permit, Failure):
            flight = Flight.begin(asked.work, n, self._port.now())
            return self._outcomes.failed(asked, permit, flight)
        call = permit.call
        flight = Flight.begin(call.work, n, self._port.now())
        flight.note |= permit.note
        flight.told, flight.given = permit.told, permit.given
        closed = await self._out_of_order(call, flight) or await self._aim(call, flight)
        if closed is not None:
            return closed
        result = await self._reach(call, flight) or await self._attempt(call, flight)
        if not isinstance(result, Failure):
            return result
        if self._is_final(call, result, flight):
            return self._outcomes.failed(call, result, flight)
        return await self._back_off(call, result, flight)

    def _is_final(self, call: Call, failure: Failure, flight: Flight) -> bool:
        """Whether no attempt follows. Attempts cut short by a crash do not count as tries."""
        tries = self._replay.failures(call.key) + 1
        spent = tries >= call.work.retry.attempts or call.key in self.unwanted
        if spent or call.work.model is None or flight.choice is None:
            return spent or not failure.retry
        failed = Tried(flight.choice.target, failure.code, None, not failure.retry)
        tried = [*self._replay.tried(call.key), failed]
        return self._port.exhausted(self._claim, call.work.model.request, tried)

    async def _aim(self, call: Call, flight: Flight) -> Outcome | Wait | None:
        """Choose the model to ask. The wait for one that may be asked costs no attempt."""
        if call.work.model is None:
            return None
        request, tried = call.work.model.request, self._replay.tried(call.key)
        while True:
            try:
                picked = await self._port.choose(self._claim, request, tried)
            except Fatal as error:
                return self._outcomes.failed(call, judge(error), flight)
            if isinstance(picked, Choice):
                flight.choice, flight.note = picked, flight.note | picked.note
                return None
            if picked.seconds > SHORT_WAIT_SECONDS:
                due = self._port.now() + timedelta(seconds=picked.seconds)
                return Wait(call.key, "retry", due, None, picked.reason)
            await asyncio.sleep(picked.seconds)

    async def _reach(self, call: Call, flight: Flight) -> Wait | Failure | None:
        """Connect to the server that does the call, before anything is promised of it."""
        tool, work = call.work.tool, call.work
        if not isinstance(tool, RemoteTool):
            return None
        try:
            reaching = self._port.reach(self._claim, tool, dict(work.kwargs))
            reached = await bounded(reaching, work.timeout)
        except BaseException as error:
            if is_ours(error):
                raise
            failure = judge(error)
            self._learn(flight, failure)
            return failure
        if isinstance(reached, Held):
            return Wait(call.key, "operator", None, None, reached.detail)
        flight.ask = cast("Ask", reached)
        return None

    async def _out_of_order(self, call: Call, flight: Flight) -> Outcome | Wait | None:
        """What to do instead of calling a target whose circuit is open.

        A tool the run can do without gives way at once; any other waits, which costs no attempt.
        """
        tool = call.work.tool
        seconds = await self._left_alone(tool.target) if tool else 0.0
        if tool is None or seconds <= 0:
            return None
        text = f"{tool.target} failed again and again; it is left alone for {seconds:.0f} s."
        if tool.optional or tool.fallback is not None:
            failure = Failure("tool_unavailable", text, "", False, Certainty.NOT_DONE)
            return self._outcomes.failed(call, failure, flight)
        due = self._port.now() + timedelta(seconds=seconds)
        return Wait(call.key, "retry", due, None, f"{tool.target} is out of order")

    async def _left_alone(self, target: str) -> float:
        """Seconds for which the target is not to be called; a short while is waited for here."""
        while True:
            seconds = await self._port.admit(target)
            if seconds <= 0 or seconds > SHORT_WAIT_SECONDS:
                return seconds
            await asyncio.sleep(seconds)

    def _learn(self, flight: Flight, failure: Failure | None) -> None:
        target = _target(flight)
        if not target:
            return
        if failure is None or failure.shows_target_works:
            self._port.report(target, worked=True)
        elif failure.speaks_of_target:
            self._port.report(target, worked=False, after=failure.leave_alone)
        else:
            self._port.withdraw(target)

    async def _attempt(self, call: Call, flight: Flight) -> Outcome | Wait | Failure | None:
        """None: its time was over, or it was stopped, before it could act. It never will."""
        self.flights[call.key] = flight
        try:
            if await self._may_act(call, flight):
                return await self._act(call, flight)
            self._unused(flight)
            return None
        finally:
            del self.flights[call.key]
            if call.key in self._shown:
                self._shown.discard(call.key)
                self._port.shown(self._claim, call.key)

    async def _may_act(self, call: Call, flight: Flight) -> bool:
        """Whether nothing came up since it was permitted; see Note [The last look]."""
        if call.work.effect is Effect.ONCE:
            return await self._effects.promise(call, flight)
        return not self._permits.stopped(call)

    def _unused(self, flight: Flight) -> None:
        """Whoever is let through to a target and does not go says so."""
        target = _target(flight)
        if target:
            self._port.withdraw(target)

    def _show(self, key: str, n: int, text: str) -> None:
        """Attempt ``n`` shows text, from whatever thread it runs in."""
        self._shown.add(key)
        self._port.stream(self._claim, key, n, text)

    async def _act(self, call: Call, flight: Flight) -> Outcome | Wait | Failure:
        fault("effect.before", call.work.name)
        try:
            value = await self._run(call, flight)
        except BaseException as error:
            if is_ours(error):
                raise
            failure = judge(error)
            flight.abandoned = isinstance(error, Abandoned)
            self._learn(flight, failure)
            if call.work.effect is Effect.ONCE and failure.certainty is Certainty.AMBIGUOUS:
                return await self._effects.settle_own(call, failure, flight)
            return failure
        self._learn(flight, None)
        fault("effect.after", call.work.name)
        if call.work.facts is not None:
            flight.note |= call.work.facts(value)
        return (
            value if isinstance(value, Outcome) else self._outcomes.succeeded(call, value, flight)
        )

    async def _run(self, call: Call, flight: Flight) -> object:
        """Run author code where it belongs: loop, thread, process or transaction."""
        work = call.work
        sink = functools.partial(self._show, call.key, flight.n)
        known_as = self._replay.origin_of(call.key)
        memory = functools.partial(self._port.memory, self._claim)
        context = context_of(
            self._claim, call.key, flight.n, work.timeout, known_as, sink, memory, flight.approval
        )
        args = (context, *work.args) if work.takes_context else work.args
        if flight.choice is not None:
            return await bounded(flight.choice.ask(context), work.timeout)
        if flight.ask is not None:
            return await bounded(flight.ask(context), work.timeout)
        if work.tool is not None and work.tool.isolation:
            return await self._port.in_process(work, args, work.timeout)
        if work.effect is Effect.TRANSACTIONAL:
            return await self._in_transaction(call, flight, args)
        if inspect.iscoroutinefunction(work.fn):
            return await bounded(work.fn(*args, **work.kwargs), work.timeout)
        plain = functools.partial(work.fn, *args, **work.kwargs)
        value = await self._threads.run(plain, timeout=work.timeout, give_up=context.stop)
        return await bounded(value, work.timeout) if inspect.isawaitable(value) else value

    async def _in_transaction(
        self, call: Call, flight: Flight, args: tuple[object, ...]
    ) -> Outcome:
        work = call.work
        plain = functools.partial(work.fn, *args, **work.kwargs)
        made: list[Outcome] = []

        def record(value: object) -> Entry:
            made[:] = [self._outcomes.succeeded(call, value, flight)]
            if made[0].entry.kind == "step.failed":
                # A result that cannot be stored must not leave its effect behind.
                raise PayloadError(str((made[0].entry.meta or {}).get("error")))
            return made[0].entry

        await self._port.transactional(self._claim, self._numbers, plain, record, work.timeout)
        made[0].recorded = True
        return made[0]

    async def _back_off(self, call: Call, failure: Failure, flight: Flight) -> Wait | None:
        """Record the failed attempt; wait here if the pause is short, else free the worker."""
        delay = call.work.retry.delay(flight.n, failure.after, self._chance)
        now = self._port.now()
        due = now + timedelta(seconds=delay)
        if flight.choice is not None:
            # Only this model is left alone for that long; there may be others to ask at once, and
            # chance is not to bring it back before those are.
            rests = timedelta(seconds=max(delay, LEAST_REST_SECONDS))
            flight.note["until"] = (now + rests).isoformat()
            flight.note["hopeless"] = not failure.retry
            delay, due = 0.0, now
        row = self._outcomes.retrying(call, failure, flight, due)
        await self._numbers.append([row])
        self.retries += 1
        self._replay.note_failed(row)
        if delay > SHORT_WAIT_SECONDS:
            return Wait(call.key, "retry", due, None, call.work.name)
        await asyncio.sleep(delay)
        return None

    def announce(self, older_than: float) -> list[Entry]:
        """Rows for attempts that have been under way for a while, each told once."""
        border = time.monotonic() - older_than
        rows = []
        for key, flight in self.flights.items():
            if not flight.announced and flight.since < border and not self._numbers.held:
                flight.announced = True
                rows.append(self._outcomes.started(key, flight))
        return rows


def _target(flight: Flight) -> str:
    """What the attempt depends on, for the circuit breaker."""
    tool = flight.work.tool
    return flight.choice.target if flight.choice else tool.target if tool else ""
