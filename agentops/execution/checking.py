"""Does recorded history still fit the code? Replays without doing anything.

The execution runs against a world that is draining: recorded outcomes are delivered, nothing new
is started, nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from agentops.execution.execution import Execution
from agentops.execution.port import (
    Action,
    Answered,
    Ask,
    Asks,
    Child,
    Choice,
    Finished,
    Held,
    Numbers,
    Pause,
    Permit,
    Refused,
    Suspended,
    Tried,
)
from agentops.execution.quiet import QuietLoop
from agentops.execution.records import Claim, Entry, History
from agentops.execution.threads import Threads
from agentops.sdk import codec
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.memory import Store
from agentops.sdk.models import ModelRequest
from agentops.sdk.steps import Ask as Question
from agentops.sdk.steps import Spawn, Work
from agentops.sdk.turns import Turn


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a run's record fits the code.

    ``expected`` and ``asked`` say where they part: what the record has next, and what the code
    asks for instead.
    """

    fits: bool
    delivered: int
    expected: str = ""
    asked: tuple[str, ...] = ()


class _Onlooker:
    """A world in which nothing happens."""

    draining = True
    worker = 0

    def __init__(self) -> None:
        self.told: list[Entry] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def may_act(self) -> bool:
        return False

    async def permit(self, action: Action) -> Permit:
        self._refuse()

    async def question(
        self, claim: Claim, key: str, asked: Question, due: datetime | None
    ) -> Answered | Asks | Refused:
        self._refuse()

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        return True

    async def called_with(self, claim: Claim, key: str, n: int) -> codec.Encoded | None:
        self._refuse()

    async def admit(self, target: str) -> float:
        return 0.0

    def report(self, target: str, *, worked: bool, after: float | None = None) -> None:
        """Nothing is called, so nothing is learned."""

    def withdraw(self, target: str) -> None:
        """The same."""

    def stream(self, claim: Claim, key: str, attempt: int, text: str) -> None:
        self._refuse()

    def shown(self, claim: Claim, key: str) -> None:
        self._refuse()

    def turns(self, claim: Claim, last: int) -> list[Turn]:
        self._refuse()

    def memory(self, claim: Claim) -> Store:
        self._refuse()

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        self.told += entries
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def prepare(self, child: Spawn) -> Child:
        return Child(child, "", codec.NULL, b"", None)

    def spawn(
        self, claim: Claim, entry: Entry, child: Child, public_id: str
    ) -> asyncio.Future[None]:
        self._refuse()

    async def is_gone(self, worker: int, deadline: datetime | None) -> bool:
        return False

    async def transactional(
        self,
        claim: Claim,
        numbers: Numbers,
        work: Callable[[], object],
        record: Callable[[object], Entry],
        timeout: float,
    ) -> None:
        self._refuse()

    async def in_process(self, work: Work, args: tuple[object, ...], timeout: float) -> object:
        self._refuse()

    async def choose(
        self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Choice | Pause:
        self._refuse()

    def exhausted(self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]) -> bool:
        self._refuse()

    async def reach(
        self, claim: Claim, tool: RemoteTool, arguments: Mapping[str, object]
    ) -> Ask | Held:
        self._refuse()

    def late(self, claim: Claim, key: str, n: int, outcome: Entry) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError("A replay check started work. This is a bug of the runtime.")


def check(agent: AgentDefinition, claim: Claim, history: History, *, final: bool) -> Fit:
    """Replay ``history`` on today's ``agent``. ``final``: the run ended, so nothing may follow."""
    with asyncio.Runner(loop_factory=QuietLoop) as runner:
        return runner.run(_check(agent, claim, history, final=final))


async def _check(agent: AgentDefinition, claim: Claim, history: History, *, final: bool) -> Fit:
    world = _Onlooker()
    threads = Threads("agentops-check")
    execution = Execution(agent, claim, history, world, threads)
    recorded = len(execution.replay.pending)
    ending = await execution.run()
    threads.close()
    delivered = recorded - len(execution.replay.pending)
    if isinstance(ending, Suspended) and ending.detail == "code_changed":
        meta = next(e.meta or {} for e in world.told if e.kind == "run.diverged")
        asked = meta.get("asked")
        told = tuple(str(key) for key in asked) if isinstance(asked, list) else ()
        return Fit(False, delivered, str(meta.get("expected", "")), told)
    beyond = tuple(execution.beyond)
    if final and beyond and not isinstance(ending, Finished):
        return Fit(False, delivered, "the end", beyond)
    return Fit(True, delivered)
