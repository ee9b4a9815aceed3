"""A rejected call never runs, in whatever order it is rejected, crashed, resumed and retried.

Threat T4. The real gate and rows of the real database; the journal and the worker are in memory, so
that a worker can die after any row it writes, go on after it lost its run, and come back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from agentops import RunContext, StepFailed, agent, tool
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.execution.execution import Execution
from agentops.execution.port import Action, Fenced, Permit, Released, Suspended
from agentops.execution.quiet import QuietLoop
from agentops.execution.records import Claim, Entry, History
from agentops.execution.threads import Threads
from agentops.sdk import catalog
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.errors import Retryable
from agentops.testing import BEGINNING, Journal, MemoryPort
from approvals import deciding, duties
from approvals.gate import ApprovalGate
from approvals.models import PolicyVersion, Request, State, Verdict
from runs.models import Run, RunStatus
from tests import factories
from tests.approvals import making
from tests.people import person

DONE: list[str] = []
TRIES: list[str] = []
NUMBERS = itertools.count(1)


@tool(effect="once", retries=2)
async def pay(to: str) -> str:
    TRIES.append(to)
    if len(TRIES) % 2:
        raise Retryable("busy", after=0)
    DONE.append(to)
    return to


@tool(effect="idempotent", retries=2)
async def put(to: str) -> str:
    DONE.append(to)
    return to


@agent(name="payer", version="1")
async def payer(ctx: RunContext) -> str:
    try:
        return await ctx.call(pay, "mallory")
    except StepFailed as error:
        return error.code


@agent(name="putter", version="1")
async def putter(ctx: RunContext) -> str:
    try:
        return await ctx.call(put, "mallory")
    except StepFailed as error:
        return error.code


@dataclass
class Stage:
    """A run in the database whose worker is played."""

    agent: AgentDefinition
    run: Run
    gate: ApprovalGate
    ada: User
    journal: Journal = field(default_factory=Journal)
    told: int = 0

    def claim(self, epoch: int) -> Claim:
        return Claim(
            self.run.pk, self.run.public_id, epoch, self.agent.name, "1", None, BEGINNING,
            signal_seq=len(self.journal.inbox), owner_id=self.run.owner_id,
            seq=max((e.seq for e in self.journal.entries), default=0),
        )  # fmt: skip

    def go(self, crash_after: int | None, *, stale: bool = False) -> None:
        """A worker takes the run, or goes on with one that it lost."""
        if not stale:
            self.journal.epoch += 1
            Run.objects.filter(pk=self.run.pk).update(
                epoch=self.journal.epoch, status=RunStatus.RUNNING, waiting_for="",
                waiting_detail="", worker=factories.worker(),
            )  # fmt: skip
        self.hear()
        with asyncio.Runner(loop_factory=QuietLoop) as runner:
            runner.run(self._execute(crash_after, stale=stale))

    async def _execute(self, crash_after: int | None, *, stale: bool) -> None:
        for _ in range(20):
            epoch = self.journal.epoch - (1 if stale else 0)
            port = Port(self, crash_after, epoch)
            threads = Threads("agentops-test")
            history = History(sorted(self.journal.entries, key=lambda e: e.seq),
                              list(self.journal.inbox))  # fmt: skip
            execution = Execution(self.agent, self.claim(epoch), history, port, threads,
                                  linger_seconds=0.0)  # fmt: skip
            port.execution = execution
            ending = await execution.run()
            threads.close()
            timer = isinstance(ending, Suspended) and ending.waiting_for in {"retry", "timer"}
            if stale or not (timer or isinstance(ending, Released)):
                return

    def hear(self) -> None:
        """What the services put into the inbox of the run reaches the worker."""
        decided = Request.objects.filter(run=self.run).exclude(state=State.PENDING)
        for request in decided:
            self.journal.send(f"decided:{request.public_id}")

    def vote(self, verdict: Verdict) -> None:
        request = Request.objects.filter(run=self.run, state=State.PENDING).first()
        if request is not None:
            shown = making.shown(request)
            deciding.decide(request=request, actor=Actor(self.ada), verdict=verdict, **shown)

    def rules(self, unmatched: str) -> None:
        number = PolicyVersion.objects.filter(team=None).count() + 1
        PolicyVersion.objects.create(number=number, rules=[], unmatched=unmatched)
        self.look()

    def look(self) -> None:
        def query(sql: str, *values: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(sql.replace("$1", "%s"), list(values))
                return [tuple(map(_read, row)) for row in cursor.fetchall()]

        self.gate.refresh(query)

    @property
    def is_rejected(self) -> bool:
        return Request.objects.filter(run=self.run, state=State.REJECTED).exists()


class Port(MemoryPort):
    """A world in memory with the real gate; rows of a worker that lost its run are fenced."""

    def __init__(self, stage: Stage, crash_after: int | None, epoch: int) -> None:
        super().__init__(stage.journal, crash_after)
        self._stage, self._epoch = stage, epoch

    async def permit(self, action: Action) -> Permit:
        known = self._stage.gate.quick(action)
        return known if known is not None else await self._stage.gate.permit(action)

    def append(self, claim: Claim, entries: Sequence[Entry]) -> asyncio.Future[None]:
        if claim.epoch == self.journal.epoch:
            return super().append(claim, entries)
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(Fenced())
        refused.exception()
        return refused


def _read(value: Any) -> Any:
    """Django hands JSON over as text; the keeper's connection does not."""
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


async def in_thread(work: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


MOVES = st.one_of(
    st.tuples(st.just("go"), st.none() | st.integers(0, 5)),
    st.tuples(st.just("stale"), st.none()),
    st.tuples(st.just("allow"), st.none()),
    st.tuples(st.just("ask"), st.none()),
    st.tuples(st.just("approve"), st.none()),
    st.tuples(st.just("sweep"), st.none()),
    st.tuples(st.just("lapse"), st.none()),
)


def play(stage: Stage, move: str, how: int | None) -> None:
    if move in {"go", "stale"}:
        stage.go(how, stale=move == "stale")
    elif move in {"allow", "ask"}:
        stage.rules(move)
    elif move == "approve":
        stage.vote(Verdict.APPROVE)
    elif move == "sweep":
        duties.sweep()
    else:
        Request.objects.filter(run=stage.run).update(decide_by=None)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300)
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(which=putter, crash=None, moves=[("allow", None), ("go", None)])
@example(which=payer, crash=None, moves=[("allow", None), ("stale", None)])
@given(
    which=st.sampled_from([payer, putter]),
    crash=st.none() | st.integers(0, 4),
    moves=st.lists(MOVES, min_size=1, max_size=4),
)
def test_a_rejected_call_never_runs(
    settings: Settings,
    which: AgentDefinition,
    crash: int | None,
    moves: list[tuple[str, int | None]],
) -> None:
    settings.AGENTOPS_UNRULED = "ask"
    DONE.clear()
    TRIES.clear()
    catalog.configure(("tests.guarantees.test_rejected",))
    number = next(NUMBERS)
    run = factories.run(person(f"olga-{number}"), agent=which.name, agent_version="1", epoch=0)
    stage = Stage(which, run, ApprovalGate(in_thread), making.approver(f"ada-{number}"))
    stage.rules("ask")
    stage.go(crash)
    stage.go(None)
    assert Request.objects.get(run=run).state == State.PENDING
    stage.vote(Verdict.REJECT)
    assert stage.is_rejected
    for move, how in moves:
        play(stage, move, how)
    stage.go(None)
    assert DONE == []
    assert [e.kind for e in stage.journal.entries].count("step.failed") == 1
