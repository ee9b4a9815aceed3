"""The world of an execution in a worker: PostgreSQL, the worker's lease, its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agentops.execution.port import (
    Action,
    Answered,
    Ask,
    Asks,
    Child,
    Choice,
    Held,
    Numbers,
    Pause,
    Permit,
    Refused,
    Tried,
)
from agentops.execution.records import Claim, Entry
from agentops.sdk import codec
from agentops.sdk.catalog import catalog
from agentops.sdk.codec import Encoded
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.memory import Store
from agentops.sdk.models import ModelRequest
from agentops.sdk.steps import Ask as Question
from agentops.sdk.steps import Spawn, Work
from agentops.sdk.turns import Turn
from runs.engine.batches import Appending, Spawning
from runs.engine.remembering import RunMemory

if TYPE_CHECKING:
    from runs.engine.host import Host


class WorkerPort:
    """One for all executions of a process."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def worker(self) -> int:
        return self._host.keeper.worker

    @property
    def draining(self) -> bool:
        return self._host.draining

    def now(self) -> datetime:
        return self._host.keeper.now()

    def may_act(self) -> bool:
        return self._host.keeper.lease_is_fresh()

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host.writer.append(Appending(claim, entries, done))
        return done

    def prepare(self, child: Spawn) -> Child:
        definition = catalog().agent(child.agent)
        definition.validate_input(child.input)
        encoded = codec.encode(child.input, limit=self._host.options.max_payload_bytes)
        return Child(
            child, definition.version, encoded, codec.digest(child.input), definition.timeout
        )

    def spawn(
        self, claim: Claim, entry: Entry, child: Child, public_id: str
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host.writer.spawn(Spawning(claim, entry, child, public_id, done))
        return done

    async def is_gone(self, worker: int, deadline: datetime | None) -> bool:
        if deadline is None:
            return False
        return await self._host.keeper.ask(lambda k: k.is_gone(worker, deadline))

    async def transactional(
        self,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        await self._host.transactions.run(claim, numbers, work, record, timeout)

    async def in_process(self, work: Work, args: tuple[object, ...], timeout: float) -> object:
        return await self._host.processes.run(work, args, timeout)

    def stream(self, claim: Claim, key: str, attempt: int, text: str) -> None:
        self._host.texts.add(claim, key, attempt, text)

    def shown(self, claim: Claim, key: str) -> None:
        self._host.texts.over(claim, key)

    def turns(self, claim: Claim, last: int) -> list[Turn]:
        return self._host.options.turns(claim.id, last)

    def memory(self, claim: Claim) -> Store:
        return RunMemory(claim, self._host.meaning)

    async def permit(self, action: Action) -> Permit:
        return await self._host.gates.permit(action)

    async def question(
        self, claim: Claim, key: str, asked: Question, due: datetime | None
    ) -> Answered | Asks | Refused:
        return await self._host.gates.question(claim, key, asked, due)

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        return self._host.gates.is_stopped(claim, tool)

    async def called_with(self, claim: Claim, key: str, n: int) -> Encoded | None:
        return await self._host.keeper.ask(lambda keeper: keeper.called_with(claim.id, key, n))

    async def admit(self, target: str) -> float:
        return await self._host.breakers.admit(target)

    def report(self, target: str, *, worked: bool, after: float | None = None) -> None:
        self._host.breakers.report(target, worked=worked, after=after)

    def withdraw(self, target: str) -> None:
        self._host.breakers.withdraw(target)

    async def choose(
        self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Choice | Pause:
        return await self._host.models.choose(claim, request, tried)

    def exhausted(self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]) -> bool:
        return self._host.models.exhausted(claim, request, tried)

    async def reach(
        self, claim: Claim, tool: RemoteTool, arguments: Mapping[str, object]
    ) -> Ask | Held:
        return await self._host.servers.reach(claim, tool, arguments)

    def late(self, claim: Claim, key: str, n: int, outcome: Entry) -> None:
        self._host.keeper.tell_late(claim, key, n, outcome)
