"""``def`` agents: their threads block here while the loop works for them.

The rules are those of async agents. Quiet means that every thread of the agent is blocked in a
verb; then, and only then, the next outcome is delivered to one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from agentops.execution.keys import Scope, current_scope, named_branch, scope_var
from agentops.execution.port import Halt, presentable
from agentops.execution.threads import STOP_GRACE_SECONDS, Job
from agentops.sdk.errors import Misuse
from agentops.sdk.steps import Step

if TYPE_CHECKING:
    from agentops.execution.execution import Execution

R = TypeVar("R")
# How long the threads of an agent that is over may take to notice.
LET_GO_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class _Branch:
    """One thread of the agent; owner of its scope."""

    futures: set[asyncio.Future[object]] = field(default_factory=set)
    done: bool = False
    value: object = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Join:
    """Branches somebody waits for: for all of them, or for the first."""

    branches: list[_Branch]
    first: bool
    cell: _Cell
    over: bool = False


class _Cell:
    """Where a blocked thread gets its answer."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()

    def give(self, value: object, error: BaseException | None = None) -> None:
        self._queue.put((value, error))

    def wait(self) -> object:
        value, error = self._queue.get()
        if error is not None:
            raise error
        return value


_branch_var: contextvars.ContextVar[_Branch | None] = contextvars.ContextVar(
    "agentops_branch", default=None
)


class ThreadBridge:
    """Bridge between the threads of one ``def`` agent and the loop."""

    def __init__(self, execution: Execution, loop: asyncio.AbstractEventLoop) -> None:
        self._x, self._loop = execution, loop
        self.backend = execution.stepping
        self._active = 0
        self._armed = False
        self._joins: list[_Join] = []
        self._cells: set[_Cell] = set()
        self._closed = False
        self._nobody = contextvars.Context()
        self._jobs: set[Job] = set()

    # -- on the loop --------------------------------------------------------------------------

    def arm(self) -> None:
        """Call the execution back as soon as all threads of the agent are blocked."""
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._check, context=self._nobody)

    def _check(self) -> None:
        self._armed = False
        if self._active == 0 and not self._resolve_race():
            self._x.quiet()

    async def run(self, agent: Callable[[], object]) -> object:
        """Run the agent's function in a thread of its own."""
        main = _Branch()
        self.backend.root.owner = main
        future: asyncio.Future[object] = self._loop.create_future()
        self._start(main, self.backend.root, agent, lambda: _copy(main, future))
        return await future

    def close(self) -> None:
        """The execution is over: whoever is blocked here gets Halt."""
        self._closed = True
        for cell in list(self._cells):
            cell.give(None, Halt())
        self._cells.clear()
        self._loop.call_later(LET_GO_SECONDS, self._press, context=self._nobody)

    def _press(self) -> None:
        """Interrupt what computes on although nobody waits for it; what will not end is lost."""
        for job in list(self._jobs):
            job.interrupt()
        self._loop.call_later(STOP_GRACE_SECONDS, self._abandon, context=self._nobody)

    def _abandon(self) -> None:
        for job in list(self._jobs):
            self._x.threads.abandon(job)

    def _start(
        self, branch: _Branch, scope: Scope, call: Callable[[], object], then: Callable[[], None]
    ) -> None:
        self._active += 1

        def body() -> object:
            scope_var.set(scope)
            _branch_var.set(branch)
            try:
                return call()
            except (StopIteration, SystemExit, KeyboardInterrupt) as error:
                raise presentable(error) from None

        def done(job: Job) -> None:
            self._jobs.discard(job)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(
                    self._ended, branch, job.value, job.error, then, context=self._nobody
                )

        self._jobs.add(self._x.threads.submit(body, done))

    def _ended(
        self,
        branch: _Branch,
        value: object,
        error: BaseException | None,
        then: Callable[[], None],
    ) -> None:
        branch.done, branch.value, branch.error = True, value, error
        self._active -= 1
        then()
        self.arm()

    def _ask(self, branch: _Branch, key: str, step: Step, cell: _Cell) -> None:
        self._block(cell)
        try:
            future = self.backend.ask_as(key, step)
        except BaseException as error:  # noqa: BLE001 - raised again in the agent's thread
            self._answer(cell, None, error)
            return
        branch.futures.add(future)
        future.add_done_callback(lambda f: self._delivered(branch, f, cell), context=self._nobody)

    def _delivered(self, branch: _Branch, future: asyncio.Future[object], cell: _Cell) -> None:
        branch.futures.discard(future)
        if future.cancelled():
            self._answer(cell, None, Halt())
        else:
            error = future.exception()
            self._answer(cell, None if error else future.result(), error)

    def _block(self, cell: _Cell) -> None:
        self._active -= 1
        self._cells.add(cell)
        if self._closed:
            self._answer(cell, None, Halt())
        self.arm()

    def _answer(self, cell: _Cell, value: object, error: BaseException | None = None) -> None:
        if cell in self._cells:
            self._cells.discard(cell)
            self._active += 1
            cell.give(value, error)

    def _fork(
        self, join: _Join, scopes: list[Scope], calls: Sequence[Callable[[], object]]
    ) -> None:
        self._block(join.cell)
        self._joins.append(join)
        for branch, scope, call in zip(join.branches, scopes, calls, strict=True):
            self._start(branch, scope, call, lambda: self._joined(join))

    def _joined(self, join: _Join) -> None:
        if not join.first and all(branch.done for branch in join.branches):
            self._joins.remove(join)
            error = next((b.error for b in join.branches if b.error), None)
            self._answer(join.cell, [b.value for b in join.branches], error)

    def _resolve_race(self) -> bool:
        """When all is quiet, the first of the ended branches in order has won."""
        for join in self._joins:
            winner = next((i for i, b in enumerate(join.branches) if b.done), None)
            if join.first and winner is not None:
                self._joins.remove(join)
                self._win(join, winner)
                return True
        return False

    def _win(self, join: _Join, winner: int) -> None:
        for branch in join.branches:
            for future in list(branch.futures):
                future.cancel()
        won = join.branches[winner]
        self._answer(join.cell, (winner, won.value), won.error)

    # -- in the agent's threads ---------------------------------------------------------------

    def ask(self, step: Step) -> tuple[str, object]:
        """Ask for a step and block until its outcome is delivered."""
        branch = self._branch()
        key = current_scope(self.backend.root, branch).key(self.backend.label(step), step.id)
        cell = _Cell()
        self._send(self._ask, branch, key, step, cell)
        return key, cell.wait()

    def on_loop(self, call: Callable[[], R]) -> R:
        """Run something quick on the loop. The thread counts as active meanwhile."""
        cell = _Cell()

        def work() -> None:
            try:
                cell.give(call())
            except BaseException as error:  # noqa: BLE001 - raised again in the agent's thread
                cell.give(None, error)

        self._send(work)
        return cell.wait()  # type: ignore[return-value]

    def parallel(self, branches: Sequence[Callable[[], object]]) -> list[object]:
        """Run branches in threads of their own; all results in order, or the first error."""
        if not branches:
            return []
        return self._join(branches, first=False)  # type: ignore[return-value]

    def first(self, branches: Sequence[Callable[[], object]]) -> tuple[int, object]:
        """Run branches in threads of their own; index and result of the first to end."""
        return self._join(branches, first=True)  # type: ignore[return-value]

    def branch(self, name: str) -> contextlib.AbstractContextManager[None]:
        return named_branch(self.backend.root, self._branch(), name)

    def seed(self, name: str) -> str:
        scope = current_scope(self.backend.root, self._branch())
        return f"{self.backend.run_id}/{scope.key('@' + name)}"

    def _join(self, calls: Sequence[Callable[[], object]], *, first: bool) -> object:
        scope = current_scope(self.backend.root, self._branch())
        join = _Join([_Branch() for _ in calls], first, _Cell())
        scopes = [scope.child(branch) for branch in join.branches]
        self._send(self._fork, join, scopes, calls)
        return join.cell.wait()

    def _send(self, call: Callable[..., None], *args: object) -> None:
        if self._closed:
            raise Halt
        try:
            self._loop.call_soon_threadsafe(call, *args, context=self._nobody)
        except RuntimeError:
            raise Halt from None

    def _branch(self) -> _Branch:
        branch = _branch_var.get()
        if branch is None:
            raise Misuse("Use the context in the agent's own thread or in ctx.parallel.")
        return branch


def _copy(branch: _Branch, future: asyncio.Future[object]) -> None:
    if future.done():
        return
    if branch.error is not None:
        future.set_exception(branch.error)
    else:
        future.set_result(branch.value)
