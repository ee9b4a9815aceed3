"""Whatever may stop an action: gates, in the order of ``AGENTOPS_GATES``.

# Note [Gates know, or ask]
Every attempt of every step passes here, most of them in microseconds. So a gate keeps what it has
to know in memory, read again each second over the keeper's connection, and answers from that. Only
where that is not enough it asks the database, in a thread. What was read longer ago than
``FRESH_SECONDS`` is as good as nothing: then it is read before anybody answers. A gate that
cannot answer lets nothing through.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.utils.module_loading import import_string

from agentops.execution.port import (
    PASSED,
    Action,
    Answered,
    Asks,
    Held,
    Passed,
    Permit,
    Refused,
)
from agentops.execution.records import Claim
from agentops.sdk.steps import Ask as Question

if TYPE_CHECKING:
    from runs.engine.host import Host

T = TypeVar("T")
Query = Callable[..., list[tuple[Any, ...]]]
log = structlog.get_logger(__name__)

# With the second between two looks, no effect starts later than two after somebody stopped it.
FRESH_SECONDS = 1.5
AGAIN_SECONDS = 0.5
# Connections that gates hold at once.
MOST_AT_ONCE = 8
# What the run of a step waits for that a gate could not judge.
FAILED = "gate_failed:"


class Gate:
    """One reason why an action may not happen. A subclass says which."""

    def __init__(self, threaded: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._threaded = threaded

    async def threaded(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which may use Django's connection: it runs in a thread."""
        answer: T = await self._threaded(work)
        return answer

    def refresh(self, query: Query) -> None:
        """Read what :meth:`quick` has to know. In the keeper's thread, with its connection."""

    def quick(self, action: Action) -> Permit | None:
        """The answer, if it is known; None: ask with :meth:`permit`. Neither waits nor reads."""
        raise NotImplementedError

    async def permit(self, action: Action) -> Permit:
        """The answer, after whatever has to be read or written for it."""
        raise NotImplementedError

    async def question(
        self,
        claim: Claim,  # noqa: ARG002 - most have nothing to say
        key: str,  # noqa: ARG002 - as above
        asked: Question,  # noqa: ARG002 - as above
        due: datetime | None,  # noqa: ARG002 - as above
    ) -> Answered | Asks | Refused | None:
        """What people say to a question; None: it is not this gate that asks them."""
        return None

    def is_stopped(self, claim: Claim, tool: str) -> bool:  # noqa: ARG002 - most have nothing to say
        """Whether what passed must not act after all. Neither waits nor reads."""
        return False


class Gates:
    """The gates of a worker."""

    def __init__(self, host: Host, paths: Sequence[str]) -> None:
        self._host = host
        self._gates: list[Gate] = [import_string(path)(self._in_thread) for path in paths]
        self._last_looks = [g for g in self._gates if type(g).is_stopped is not Gate.is_stopped]
        self._fresh_until = 0.0
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)

    # -- on the loop --------------------------------------------------------------------------

    async def permit(self, action: Action) -> Permit:
        """What the first gate says that does not let it pass; see ``Port.permit``."""
        if not self._gates:
            return PASSED
        known = self._known(action) if time.monotonic() < self._fresh_until else None
        return await self._asked(action) if known is None else known

    async def question(
        self, claim: Claim, key: str, asked: Question, due: datetime | None
    ) -> Answered | Asks | Refused:
        """What the first gate says that asks people; see ``Port.question``."""
        for gate in self._gates:
            said = await _once_there(functools.partial(gate.question, claim, key, asked, due))
            if said is not None:
                return said
        return Refused("unanswered", "Nobody can be asked here. Look at AGENTOPS_GATES.")

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        """See ``Port.is_stopped``."""
        if not self._last_looks:
            return False
        if time.monotonic() >= self._fresh_until:
            return True
        return any(gate.is_stopped(claim, tool) for gate in self._last_looks)

    def _known(self, action: Action) -> Permit | None:
        """The answer of all gates from memory; None where one of them has to be asked."""
        passed = PASSED
        for gate in self._gates:
            try:
                permit = gate.quick(action)
            except Exception:  # noqa: BLE001 - told of when it is asked again, where it can be held
                return None
            if permit is PASSED:
                continue
            if not isinstance(permit, Passed):
                return permit
            passed = _both(passed, permit)
        return passed

    async def _asked(self, action: Action) -> Permit:
        passed = PASSED
        for gate in self._gates:
            try:
                permit = await self._ask(gate, action)
            except Exception:
                log.exception("gate.failed", gate=type(gate).__name__, run=action.claim.public_id)
                return Held(f"{FAILED}{type(gate).__name__}")
            if not isinstance(permit, Passed):
                return permit
            passed = _both(passed, permit)
        return passed

    async def _ask(self, gate: Gate, action: Action) -> Permit:
        """Until the database answers: while it is away nothing passes, and nothing fails."""
        while True:
            if time.monotonic() >= self._fresh_until:
                await self._host.keeper.ask(lambda keeper: self.refresh(keeper.query))
            known = gate.quick(action)
            if known is not None:
                return known
            try:
                return await gate.permit(action)
            except (OperationalError, InterfaceError) as error:
                await _away(error)

    async def _in_thread(self, work: Callable[[], object]) -> object:
        run = functools.partial(_with_connection, work)
        async with self._at_once:
            return await self._host.threads.run(run, timeout=None, give_up=_nothing)

    # -- in the keeper's thread ---------------------------------------------------------------

    def refresh(self, query: Query) -> None:
        """Have every gate read what it has to know. What one cannot read is known to none."""
        asked_at = time.monotonic()
        for gate in self._gates:
            gate.refresh(query)
        self._fresh_until = asked_at + FRESH_SECONDS


async def _once_there(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` returns as soon as the database answers."""
    while True:
        try:
            return await ask()
        except (OperationalError, InterfaceError) as error:
            await _away(error)


async def _away(error: Exception) -> None:
    log.warning("gate.waiting_for_database", error=type(error).__name__)
    await asyncio.sleep(AGAIN_SECONDS)


def _both(first: Passed, then: Passed) -> Passed:
    """What two gates that let it pass say together."""
    if first is PASSED or then is PASSED:
        return then if first is PASSED else first
    return Passed(
        {**first.note, **then.note},
        first.arguments if then.arguments is None else then.arguments,
        " ".join(filter(None, (first.told, then.told))),
        first.events + then.events,
    )


def _with_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connection.close()


def _nothing() -> None:
    """A thread that asks the database ends by itself."""
