"""A run that waits for two messages while others send them: can a message be slept through?

Only the columns of the locked run row may decide whether a run may go to sleep: PostgreSQL reads
that row again after waiting for its lock, but not the sub-queries of the same statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MESSAGES = 2


@dataclass(frozen=True)
class Rules:
    """The engine's rules; each switch breaks one of them."""

    # "exists": the statement looks into the inbox, as of when it began.
    decides_by: str = "counter"
    # What has been seen is noted before the inbox is read. Otherwise: after.
    notes_before_reading: bool = True
    # A message to a running run raises the counter as well.
    counts_while_running: bool = True
    # Message and counter are written in one transaction. Otherwise the sender may die in between.
    one_transaction: bool = True


class Worker(NamedTuple):
    at: str = "idle"
    epoch: int = 0
    seen: int = 0
    read: int = 0
    saw_message: bool = False


class State(NamedTuple):
    workers: tuple[Worker, ...]
    disturbances: int
    unsent: int = MESSAGES
    half_sent: int = 0
    status: str = "queued"
    epoch: int = 0
    counter: int = 0
    inbox: int = 0
    received: int = 0

    def put(self, place: int, worker: Worker) -> State:
        workers = (*self.workers[:place], worker, *self.workers[place + 1 :])
        return self._replace(workers=workers)

    def mine(self, worker: Worker) -> bool:
        return self.status == "running" and self.epoch == worker.epoch


Moves = Iterator[tuple[str, State]]


class Wakeups:
    """Workers receive messages; a run is taken from its worker at most ``disturbances`` times."""

    def __init__(self, rules: Rules, workers: int = 2, disturbances: int = 2) -> None:
        self.rules = rules
        self.size = (workers, disturbances)

    def initial(self) -> State:
        workers, disturbances = self.size
        return State((Worker(),) * workers, disturbances)

    def canonical(self, state: State) -> State:
        return state._replace(workers=tuple(sorted(state.workers)))

    def is_end(self, state: State) -> bool:
        return state.status == "done"

    def broken(self, state: State) -> str:
        if state.status == "waiting" and state.counter > state.received:
            return "the run sleeps although a message has come"
        if state.status == "done" and state.received != MESSAGES:
            return "the run ended without its messages"
        return ""

    def moves(self, state: State) -> Moves:
        yield from self._sending(state)
        if state.status == "running" and state.disturbances:
            taken = state._replace(
                status="queued", epoch=state.epoch + 1, disturbances=state.disturbances - 1
            )
            yield "the run is taken from its worker", taken
        for place, worker in enumerate(state.workers):
            program: Callable[[State, int, Worker], Moves] = getattr(self, f"_at_{worker.at}")
            for name, target in program(state, place, worker):
                yield f"worker {place + 1} {name}", target

    def _sending(self, state: State) -> Moves:
        if state.unsent:
            put = state._replace(unsent=state.unsent - 1, inbox=state.inbox + 1)
            if self.rules.one_transaction:
                yield "a message is sent", self._announce(put)
            else:
                yield "a message is put in the inbox", put._replace(half_sent=state.half_sent + 1)
        if state.half_sent:
            told = state._replace(half_sent=state.half_sent - 1)
            yield "the sender raises the counter", self._announce(told)
            yield "the sender dies", told

    def _announce(self, state: State) -> State:
        counts = self.rules.counts_while_running or state.status != "running"
        status = "queued" if state.status == "waiting" else state.status
        return state._replace(counter=state.counter + counts, status=status)

    def _at_idle(self, state: State, place: int, worker: Worker) -> Moves:
        if state.status == "queued":
            claimed = state._replace(status="running", epoch=state.epoch + 1)
            noting = Worker("reading", claimed.epoch, seen=state.counter)
            yield "claims", claimed.put(place, noting)

    def _at_reading(self, state: State, place: int, worker: Worker) -> Moves:
        at = "working" if self.rules.notes_before_reading else "noting"
        yield "reads the inbox", state.put(place, worker._replace(at=at, read=state.inbox))

    def _at_noting(self, state: State, place: int, worker: Worker) -> Moves:
        noted = worker._replace(at="working", seen=state.counter)
        yield "notes the counter", state.put(place, noted)

    def _at_working(self, state: State, place: int, worker: Worker) -> Moves:
        if not state.mine(worker):
            yield "is fenced", state.put(place, Worker())
        elif state.received == MESSAGES:
            yield "finishes the run", state._replace(status="done").put(place, Worker())
        elif state.received < worker.read:
            yield "records a message", state._replace(received=state.received + 1)
        elif self.rules.decides_by == "counter":
            yield "suspends", _suspend(state, place, awake=state.counter > worker.seen)
        else:
            looked = worker._replace(at="asleep", saw_message=state.inbox > state.received)
            yield "begins to suspend, looks into the inbox", state.put(place, looked)

    def _at_asleep(self, state: State, place: int, worker: Worker) -> Moves:
        if state.mine(worker):
            yield "gets the row's lock and suspends", _suspend(state, place, worker.saw_message)
        else:
            yield "is fenced", state.put(place, Worker())


def _suspend(state: State, place: int, awake: bool) -> State:
    return state._replace(status="queued" if awake else "waiting").put(place, Worker())
