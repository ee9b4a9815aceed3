"""Doing a step: attempts, time limits, retries, and what a lost ``once`` attempt means."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from agentops.execution.faults import fault
from agentops.execution.numbering import Numbering
from agentops.execution.port import Port, is_ours
from agentops.execution.records import Claim, Entry, Meta, Phase, error_record
from agentops.execution.replay import SETTLED, Replay
from agentops.execution.threads import Abandoned, Threads
from agentops.execution.waits import Wait
from agentops.sdk import codec
from agentops.sdk.context import ToolContext
from agentops.sdk.errors import PayloadError
from agentops.sdk.retry import Certainty, Failure, judge
from agentops.sdk.steps import Work
from agentops.sdk.tools import Effect, Verdict, Verified
from agentops.sdk.typing import takes_context

# A back-off up to this long is waited for in memory; a longer one frees the worker.
SHORT_WAIT_SECONDS = 2.0
# After its timeout an attempt gets this long to let go before it counts as unable to act.
DEADLINE_GRACE_SECONDS = 5.0
VERIFY_TIMEOUT_SECONDS = 30.0
VERIFY_ATTEMPTS = 3
LEASE_POLL_SECONDS = 0.2


@dataclass(slots=True)
class Flight:
    """An attempt under way.

    ``acting``: between its intent and its end, so it must not be cut. ``abandoned``: given up
    while its thread may still act.
    """

    work: Work
    n: int
    started_at: datetime
    deadline_at: datetime
    since: float
    announced: bool = False
    acting: bool = False
    abandoned: bool = False


@dataclass(slots=True)
class Outcome:
    """What a step came to. ``recorded``: its row is in the journal already."""

    entry: Entry
    value: object = None
    recorded: bool = False


class Attempts:
    """Does the work of one run's steps. One implementation of retry and effect rules."""

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
        self._numbers, self._threads, self._limit = numbers, threads, payload_limit
        self._chance = Random(f"{claim.public_id}/{claim.epoch}")  # noqa: S311 - jitter
        self.flights: dict[str, Flight] = {}
        self.unwanted: set[str] = set()
        self.retries = 0

    async def perform(self, key: str, work: Work, fingerprint: str) -> Outcome | Wait:
        """Bring the step to an outcome, or say what it has to wait for."""
        lost = self._replay.intent(key)
        if lost is not None:
            settled = await self._settle_lost(key, work, fingerprint, lost)
            if settled is not None:
                return settled
        n = self._replay.attempts(key)
        while True:
            closed = self._out_of_order(key, work, fingerprint, n + 1)
            if closed is not None:
                return closed
            n += 1
            flight = self._begin(work, n)
            result = await self._attempt(key, work, fingerprint, n, flight)
            if result is None:
                continue
            if not isinstance(result, Failure):
                return result
            if self._is_final(key, work, result):
                return self._failed(key, work, fingerprint, n, result, flight)
            pause = await self._back_off(key, work, n, result)
            if pause is not None:
                return pause

    def _is_final(self, key: str, work: Work, failure: Failure) -> bool:
        """Whether no attempt follows. Attempts cut short by a crash do not count as tries."""
        tries = self._replay.failures(key) + 1
        return not failure.retry or tries >= work.retry.attempts or key in self.unwanted

    def _out_of_order(
        self, key: str, work: Work, fingerprint: str, n: int
    ) -> Outcome | Wait | None:
        """What to do instead of calling a target whose circuit is open.

        A tool the run can do without gives way at once; any other waits, which costs no attempt.
        """
        tool = work.tool
        seconds = self._port.blocked(tool.target) if tool else 0.0
        if tool is None or seconds <= 0:
            return None
        text = f"{tool.target} failed again and again; it is left alone for {seconds:.0f} s."
        if tool.optional or tool.fallback is not None:
            failure = Failure("tool_unavailable", text, "", False, Certainty.NOT_DONE)
            return self._failed(key, work, fingerprint, n, failure, self._begin(work, n))
        due = self._port.now() + timedelta(seconds=seconds)
        return Wait(key, "retry", due, None, f"{tool.target} is out of order")

    def _learn(self, work: Work, failure: Failure | None) -> None:
        if work.tool is not None and (failure is None or failure.speaks_of_target):
            self._port.report(work.tool.target, worked=failure is None)

    def _begin(self, work: Work, n: int) -> Flight:
        started = self._port.now()
        deadline = started + timedelta(seconds=work.timeout + DEADLINE_GRACE_SECONDS)
        return Flight(work, n, started, deadline, time.monotonic())

    async def _attempt(
        self, key: str, work: Work, fingerprint: str, n: int, flight: Flight
    ) -> Outcome | Wait | Failure | None:
        """None: its time was over before it could act, so it did not and never will."""
        self.flights[key] = flight
        try:
            if work.effect is Effect.ONCE and not await self._promise(
                key, work, fingerprint, n, flight
            ):
                return None
            return await self._act(key, work, fingerprint, n, flight)
        finally:
            del self.flights[key]

    async def _act(
        self, key: str, work: Work, fingerprint: str, n: int, flight: Flight
    ) -> Outcome | Wait | Failure:
        fault("effect.before", work.name)
        try:
            value = await self._run(key, work, fingerprint, n, flight)
        except BaseException as error:
            if is_ours(error):
                raise
            failure = judge(error)
            flight.abandoned = isinstance(error, Abandoned)
            self._learn(work, failure)
            if work.effect is Effect.ONCE and failure.certainty is Certainty.AMBIGUOUS:
                return await self._settle_own(key, work, fingerprint, n, failure, flight)
            return failure
        self._learn(work, None)
        fault("effect.after", work.name)
        if isinstance(value, Outcome):
            return value
        return self._succeeded(key, work, fingerprint, n, value, flight)

    # -- running author code ------------------------------------------------------------------

    async def _run(self, key: str, work: Work, fingerprint: str, n: int, flight: Flight) -> object:
        context = self._context(key, n, work.timeout)
        wants = work.tool is not None and work.tool.takes_context
        args = (context, *work.args) if wants else work.args
        if work.tool is not None and work.tool.isolation:
            plain = functools.partial(self._port.in_process, work, args, work.timeout)
            return await plain()
        if work.effect is Effect.TRANSACTIONAL:
            return await self._in_transaction(key, work, fingerprint, n, flight, args)
        if inspect.iscoroutinefunction(work.fn):
            return await _bounded(work.fn(*args, **work.kwargs), work.timeout)
        call = functools.partial(work.fn, *args, **work.kwargs)
        value = await self._threads.run(call, timeout=work.timeout, give_up=context.stop)
        return await _bounded(value, work.timeout) if inspect.isawaitable(value) else value

    def _context(self, key: str, n: int, seconds: float) -> ToolContext:
        run_id, deadline = self._claim.public_id, time.monotonic() + seconds
        return ToolContext(run_id=run_id, key=key, attempt=n, deadline=deadline)

    async def _in_transaction(
        self,
        key: str,
        work: Work,
        fingerprint: str,
        n: int,
        flight: Flight,
        args: tuple[object, ...],
    ) -> Outcome:
        call = functools.partial(work.fn, *args, **work.kwargs)
        made: list[Outcome] = []

        def record(value: object) -> Entry:
            made[:] = [self._succeeded(key, work, fingerprint, n, value, flight)]
            return made[0].entry

        await self._port.transactional(self._claim, self._numbers, call, record, work.timeout)
        made[0].recorded = True
        return made[0]

    # -- effects ------------------------------------------------------------------------------

    async def _promise(
        self, key: str, work: Work, fingerprint: str, n: int, flight: Flight
    ) -> bool:
        """Record durably that attempt ``n`` may act now; only then may it.

        # Note [The last look]
        Others take "it did not happen" for a fact once the deadline of an intent is over. So the
        attempt looks at its own time, its lease and its incarnation immediately before it acts,
        and withdraws when they are not what the intent says.
        """
        meta = self._meta(work, n) | {"deadline_at": flight.deadline_at.isoformat()}
        worker = meta["worker"] = self._port.worker
        fault("effect.before_intent", work.name)
        intent = Entry(
            key,
            Phase.INTENT,
            "step.intended",
            work.name,
            flight.started_at,
            n=n,
            fingerprint=fingerprint,
            input=self._input(work),
            meta=meta,
        )
        await self._numbers.append([intent])
        self._replay.begin(intent)
        flight.announced = True
        fault("effect.after_intent", work.name)
        while time.monotonic() - flight.since < work.timeout:
            if self._port.may_act() and self._port.worker == worker:
                flight.acting = True
                return True
            await asyncio.sleep(LEASE_POLL_SECONDS)
        await self._withdraw(key, work, n)
        return False

    async def _withdraw(self, key: str, work: Work, n: int) -> None:
        """Record that attempt ``n`` did not happen and never will."""
        now, meta = self._port.now(), {"verdict": "not_done"}
        self._replay.close(key, n)
        await self._numbers.append(
            [Entry(key, Phase.VOID, "step.settled", work.name, now, n=n, meta=dict(meta))]
        )

    async def _settle_own(
        self, key: str, work: Work, fingerprint: str, n: int, failure: Failure, flight: Flight
    ) -> Outcome | Wait | Failure:
        """The attempt ended here without telling whether the effect happened."""
        verified = await self._verify(key, work, n)
        if verified.verdict is Verdict.DONE:
            return self._succeeded(key, work, fingerprint, n, verified.result, flight)
        if verified.verdict is Verdict.NOT_DONE and not flight.abandoned:
            return failure
        return await self._uncertain(key, work, n, failure.message)

    async def _settle_lost(
        self, key: str, work: Work, fingerprint: str, intent: Entry
    ) -> Outcome | Wait | None:
        """An earlier attempt promised to act and nobody knows what became of it.

        # Note [Late settlement and quarantine]
        The attempt itself may still tell (a message in the inbox); it is the only one that was
        allowed to act. Otherwise ``verify`` is asked. Its "not done" is believed only if that
        attempt could not act any more *before* the question: its worker was seen to exit, or its
        time was over. An answer from before proves nothing about what came after it.
        """
        late = self._replay.take_message(f"{SETTLED}{key}:{intent.n}")
        if late is not None:
            return self._from_message(
                key, work, fingerprint, intent, late.n, codec.decode(*late.value)
            )
        meta = intent.meta or {}
        deadline = datetime.fromisoformat(str(meta["deadline_at"]))
        over = await self._port.is_gone(int(str(meta["worker"])), deadline)
        verified = await self._verify(key, work, intent.n)
        if verified.verdict is Verdict.DONE:
            flight = Flight(work, intent.n, intent.at, intent.at, 0.0)
            return self._succeeded(key, work, fingerprint, intent.n, verified.result, flight)
        if verified.verdict is Verdict.UNKNOWN:
            return await self._uncertain(
                key, work, intent.n, "The worker was lost during the call."
            )
        if not over:
            return Wait(key, "timer", deadline, f"{SETTLED}{key}:{intent.n}", "quarantine")
        await self._withdraw(key, work, intent.n)
        return None

    def _from_message(
        self, key: str, work: Work, fingerprint: str, intent: Entry, arrival: int, told: object
    ) -> Outcome:
        fields = told if isinstance(told, dict) else {}
        meta = self._meta(work, intent.n) | {"inbox": arrival, "settled": "late"}
        failed = "error" in fields
        value = fields.get("error") if failed else fields.get("value")
        entry = Entry(
            key,
            Phase.OUTCOME,
            "step.failed" if failed else "step.completed",
            work.name,
            self._port.now(),
            fingerprint=fingerprint,
            value=codec.encode(value, limit=self._limit),
            meta=meta,
            started_at=intent.at,
        )
        return Outcome(entry, value)

    async def _verify(self, key: str, work: Work, n: int) -> Verified:
        verify = work.tool.verify if work.tool else None
        if verify is None:
            return Verified.unknown()
        for last in range(VERIFY_ATTEMPTS, 0, -1):
            try:
                answer = await self._ask(verify, key, work, n)
            except BaseException as error:
                if is_ours(error):
                    raise
                if last > 1:
                    await asyncio.sleep(0.2)
                continue
            if isinstance(answer, Verified):
                return answer
            break
        return Verified.unknown()

    async def _ask(self, verify: Callable[..., object], key: str, work: Work, n: int) -> object:
        """Ask with the arguments of the call, after the context of the lost attempt if wanted."""
        context = self._context(key, n, VERIFY_TIMEOUT_SECONDS)
        args = (context, *work.args) if takes_context(verify) else work.args
        if inspect.iscoroutinefunction(verify):
            return await _bounded(verify(*args, **work.kwargs), VERIFY_TIMEOUT_SECONDS)
        call = functools.partial(verify, *args, **work.kwargs)
        return await self._threads.run(call, timeout=VERIFY_TIMEOUT_SECONDS, give_up=lambda: None)

    async def _uncertain(self, key: str, work: Work, n: int, message: str) -> Wait:
        meta = self._meta(work, n) | {"error": {"code": "uncertain", "message": message[:500]}}
        await self._numbers.append(
            [
                Entry(
                    f"@step.uncertain/{key}",
                    Phase.NOTE,
                    "step.uncertain",
                    work.name,
                    self._port.now(),
                    n=self._numbers.next,
                    meta=meta,
                )
            ]
        )
        return Wait(key, "operator", None, f"{SETTLED}{key}:{n}", f"uncertain:{key}")

    # -- outcomes -----------------------------------------------------------------------------

    def _succeeded(
        self, key: str, work: Work, fingerprint: str, n: int, value: object, flight: Flight
    ) -> Outcome:
        try:
            encoded = codec.encode(value, limit=self._limit)
        except PayloadError as error:
            failure = Failure(
                error.code, str(error), type(error).__name__, False, Certainty.NOT_DONE
            )
            return self._failed(key, work, fingerprint, n, failure, flight)
        entry = Entry(
            key,
            Phase.OUTCOME,
            "step.completed",
            work.name,
            self._port.now(),
            fingerprint=fingerprint,
            value=encoded,
            meta=self._meta(work, n),
            input=None if flight.announced else self._input(work),
            started_at=flight.started_at,
        )
        return Outcome(entry, codec.as_recorded(value, encoded))

    def _failed(
        self,
        key: str,
        work: Work,
        fingerprint: str,
        n: int,
        failure: Failure,
        flight: Flight,
    ) -> Outcome:
        record = error_record(failure.code, failure.message, failure.kind)
        meta = self._meta(work, n) | {
            "error": {"code": failure.code, "message": failure.message[:500]}
        }
        entry = Entry(
            key,
            Phase.OUTCOME,
            "step.failed",
            work.name,
            self._port.now(),
            fingerprint=fingerprint,
            value=codec.encode(record),
            meta=meta,
            input=None if flight.announced else self._input(work),
            started_at=flight.started_at,
        )
        return Outcome(entry, record)

    async def _back_off(self, key: str, work: Work, n: int, failure: Failure) -> Wait | None:
        """Record the failed attempt; wait here if the pause is short, else free the worker."""
        delay = work.retry.delay(n, failure.after, self._chance)
        now = self._port.now()
        due = now + timedelta(seconds=delay)
        meta = self._meta(work, n) | {
            "error": {"code": failure.code, "message": failure.message[:500]},
            "next_at": due.isoformat(),
        }
        await self._numbers.append(
            [Entry(key, Phase.FAILED, "step.retrying", work.name, now, n=n, meta=meta)]
        )
        self.retries += 1
        self._replay.note_failed(key, n)
        if delay > SHORT_WAIT_SECONDS:
            return Wait(key, "retry", due, None, work.name)
        await asyncio.sleep(delay)
        return None

    def announce(self, older_than: float) -> list[Entry]:
        """Rows for attempts that have been under way for a while, each told once."""
        border = time.monotonic() - older_than
        rows = []
        for key, flight in self.flights.items():
            if not flight.announced and flight.since < border and not self._numbers.held:
                flight.announced = True
                meta = self._meta(flight.work, flight.n)
                meta["deadline_at"] = flight.deadline_at.isoformat()
                rows.append(
                    Entry(
                        key,
                        Phase.STARTED,
                        "step.started",
                        flight.work.name,
                        flight.started_at,
                        n=flight.n,
                        input=self._input(flight.work),
                        meta=meta,
                    )
                )
        return rows

    def _meta(self, work: Work, n: int) -> Meta:
        return {"type": work.type, "effect": str(work.effect), "attempt": n}

    def _input(self, work: Work) -> codec.Encoded | None:
        arguments = work.named_arguments()
        if not arguments:
            return None
        try:
            return codec.encode(arguments, limit=self._limit)
        except PayloadError as error:
            return codec.encode({"unserialisable": str(error)})


async def _bounded(awaitable: object, timeout: float) -> object:
    """Await with a limit; a TimeoutError of ours says how long it waited."""
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await awaitable  # type: ignore[misc]  # checked by the caller
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"No result within {timeout:g} s.") from error
        raise
