"""A run that may be finished, cancelled, taken over and retried at once: does it end in order?

Rows of the journal are numbered by the worker that owns the run, in its memory, and by a service
under the row's lock while nobody owns it. A run that failed may be reopened, in so many words: then
it has not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

STEPS = 2
FINAL = ("succeeded", "cancelled", "failed")
REOPENED = "reopened"


@dataclass(frozen=True)
class Rules:
    """The engine's rules; each switch breaks one of them."""

    # Cancelling looks at the run under its lock. Otherwise it acts on what it read before.
    cancel_locks: bool = True
    # A running run is only asked to stop; what is told of that, its worker writes.
    owner_writes_alone: bool = True
    # The last row and the status are one statement, fenced by the epoch.
    finish_is_fenced: bool = True
    finish_is_one_transaction: bool = True
    # A run that was asked to stop may not go to sleep.
    suspend_heeds_cancel: bool = True
    # Retrying a failure looks at the run under its lock. Otherwise it acts on what it read before.
    reopen_locks: bool = True
    # It says so in the journal, after the failure.
    reopen_is_told: bool = True
    # What was asked of the run before it failed is void.
    reopen_forgets_wishes: bool = True


class Worker(NamedTuple):
    at: str = "idle"
    epoch: int = 0
    next: int = 0


class State(NamedTuple):
    workers: tuple[Worker, ...]
    disturbances: int
    naps: int = 1
    cancels: int = 1
    failures: int = 1
    reopenings: int = 2
    cancel_read: str = ""  # The status a cancel without a lock has read.
    reopen_read: bool = False  # Somebody without a lock has read that it failed.
    kept_wish: bool = False  # A wish to stop outlived the failure.
    status: str = "queued"
    epoch: int = 0
    asked_to_stop: bool = False
    rows: tuple[tuple[int, str], ...] = ((1, "created"),)

    def put(self, place: int, worker: Worker) -> State:
        workers = (*self.workers[:place], worker, *self.workers[place + 1 :])
        return self._replace(workers=workers)

    def mine(self, worker: Worker) -> bool:
        return self.status == "running" and self.epoch == worker.epoch

    def append(self, seq: int, kind: str) -> State:
        return self._replace(rows=(*self.rows, (seq, kind)))

    def end(self, seq: int, status: str) -> State:
        return self.append(seq, status)._replace(status=status)

    @property
    def last(self) -> int:
        return max(seq for seq, _ in self.rows)

    @property
    def steps(self) -> int:
        return sum(kind == "step" for _, kind in self.rows)


Moves = Iterator[tuple[str, State]]


class Endings:
    """Two workers, one person who cancels, ``disturbances`` takeovers, one nap."""

    def __init__(self, rules: Rules, workers: int = 2, disturbances: int = 2) -> None:
        self.rules = rules
        self.size = (workers, disturbances)

    def initial(self) -> State:
        workers, disturbances = self.size
        return State((Worker(),) * workers, disturbances)

    def canonical(self, state: State) -> State:
        return state._replace(workers=tuple(sorted(state.workers)))

    def is_end(self, state: State) -> bool:
        return state.status in FINAL

    def broken(self, state: State) -> str:
        kinds = [kind for _, kind in state.rows]
        if any(kinds[n - 1 : n] != ["failed"] for n, kind in enumerate(kinds) if kind == REOPENED):
            return "a run that did not fail was reopened"
        life = kinds[len(kinds) - kinds[::-1].index(REOPENED) :] if REOPENED in kinds else kinds
        endings = [kind for kind in life if kind in FINAL]
        if len(endings) > 1:
            return f"the run ended twice: {' and '.join(endings)}"
        if [seq for seq, _ in state.rows] != list(range(1, len(kinds) + 1)):
            return "numbers of the journal are missing or given twice"
        if endings and life[-1] not in FINAL:
            return "the journal goes on after the end"
        if bool(endings) != (state.status in FINAL) or (endings and endings[0] != state.status):
            return "status and journal disagree about the end"
        if state.status == "waiting" and state.asked_to_stop:
            return "the run sleeps although it was asked to stop"
        if state.kept_wish:
            return "a wish from before the failure stops the run that goes on"
        return ""

    def moves(self, state: State) -> Moves:
        yield from self._cancelling(state)
        yield from self._reopening(state)
        if state.status == "waiting":
            yield "its time comes", state._replace(status="queued")
        if state.status == "running" and state.disturbances:
            taken = state._replace(
                status="queued", epoch=state.epoch + 1, disturbances=state.disturbances - 1
            )
            yield "the run is taken from its worker", taken
        for place, worker in enumerate(state.workers):
            program: Callable[[State, int, Worker], Moves] = getattr(self, f"_at_{worker.at}")
            for name, target in program(state, place, worker):
                yield f"worker {place + 1} {name}", target

    # The person

    def _cancelling(self, state: State) -> Moves:
        if state.cancel_read:
            answered = state._replace(cancel_read="")
            yield "the cancel is carried out", self._cancel(answered, state.cancel_read)
        elif state.cancels:
            asked = state._replace(cancels=state.cancels - 1)
            if self.rules.cancel_locks:
                yield "somebody cancels", self._cancel(asked, state.status)
            else:
                yield "a cancel reads the run", asked._replace(cancel_read=state.status)

    def _cancel(self, state: State, status: str) -> State:
        if status in FINAL:
            return state
        if status == "running":
            asked = state._replace(asked_to_stop=True)
            return asked if self.rules.owner_writes_alone else asked.append(state.last + 1, "asked")
        return state.end(state.last + 1, "cancelled")

    def _reopening(self, state: State) -> Moves:
        if state.reopen_read:
            yield "the retry is carried out", self._reopen(state._replace(reopen_read=False))
        if state.status == "failed" and state.reopenings:
            asked = state._replace(reopenings=state.reopenings - 1)
            yield "somebody retries the failure", self._reopen(asked)
            if not self.rules.reopen_locks:
                yield "a retry reads the run", asked._replace(reopen_read=True)

    def _reopen(self, state: State) -> State:
        kept = state.asked_to_stop and not self.rules.reopen_forgets_wishes
        opened = state._replace(
            status="queued", epoch=state.epoch + 1, asked_to_stop=kept, kept_wish=kept
        )
        return opened.append(state.last + 1, REOPENED) if self.rules.reopen_is_told else opened

    # The worker

    def _at_idle(self, state: State, place: int, worker: Worker) -> Moves:
        if state.status == "queued":
            claimed = state._replace(status="running", epoch=state.epoch + 1)
            yield "claims", claimed.put(place, Worker("loading", claimed.epoch))

    def _at_loading(self, state: State, place: int, worker: Worker) -> Moves:
        loaded = worker._replace(at="working", next=state.last + 1)
        yield "reads the journal", state.put(place, loaded)

    def _at_working(self, state: State, place: int, worker: Worker) -> Moves:
        if state.asked_to_stop:
            yield "cancels the run", self._finish(state, place, worker, "cancelled")
        if state.steps < STEPS:
            yield "records a step", self._step(state, place, worker)
        if state.naps and 0 < state.steps < STEPS:
            yield "suspends", self._suspend(state, place, worker)
        if state.failures and state.steps < STEPS:
            failing = state._replace(failures=state.failures - 1)
            yield "fails", self._finish(failing, place, worker, "failed")
        if state.steps >= STEPS:
            yield "finishes the run", self._finish(state, place, worker, "succeeded")

    def _step(self, state: State, place: int, worker: Worker) -> State:
        if not state.mine(worker):
            return state.put(place, Worker())
        further = worker._replace(next=worker.next + 1)
        return state.append(worker.next, "step").put(place, further)

    def _suspend(self, state: State, place: int, worker: Worker) -> State:
        if not state.mine(worker):
            return state.put(place, Worker())
        awake = state.asked_to_stop and self.rules.suspend_heeds_cancel
        status = "queued" if awake else "waiting"
        return state._replace(status=status, naps=state.naps - 1).put(place, Worker())

    def _finish(self, state: State, place: int, worker: Worker, status: str) -> State:
        if self.rules.finish_is_fenced and not state.mine(worker):
            return state.put(place, Worker())
        if self.rules.finish_is_one_transaction:
            return state.end(worker.next, status).put(place, Worker())
        closing = worker._replace(at=f"closing_{status}")
        return state.append(worker.next, status).put(place, closing)

    def _at_closing_succeeded(self, state: State, place: int, worker: Worker) -> Moves:
        yield "sets the status", state._replace(status="succeeded").put(place, Worker())

    def _at_closing_failed(self, state: State, place: int, worker: Worker) -> Moves:
        yield "gives the run up", state._replace(status="failed").put(place, Worker())

    def _at_closing_cancelled(self, state: State, place: int, worker: Worker) -> Moves:
        yield "sets the status", state._replace(status="cancelled").put(place, Worker())
