"""What the model of effects is made of: the rules, one worker, one state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """The engine's rules; each switch breaks one of them."""

    # "read": the epoch is checked, then the row written, without a lock. "none": not checked.
    fence: str = "locked"
    intent: bool = True
    takeover_raises_epoch: bool = True
    # The reply to an append was lost and the row is there: does it count as ours whoever wrote it?
    conflict_is_mine: bool = False
    # An intent without an outcome is found: is somebody asked, or is it simply done again?
    asks: bool = True
    # When "it did not happen, run again" is allowed. "exit": once the old incarnation is gone or
    # gave the attempt up. "deadline": also once the attempt's deadline is over. "none": always.
    quarantine: str = "exit"
    # The attempt looks at its deadline, and not only at its lease, immediately before it acts.
    heeds_deadline: bool = True
    # A pause can fall between that last look and the effect itself.
    pause_after_check: bool = True
    # The operator looks at the outside world after the old attempt can no longer act, not before.
    looks_after_exit: bool = True
    settle_names_attempt: bool = True
    # "inbox", "journal" (straight there, with the old epoch) or "never".
    late: str = "inbox"
    # "none": the tool has no verify. "trusted": its "not done" is taken at its word.
    # "asked first": it counts if the old attempt can no longer act by the time of the answer.
    # "quarantined": it counts if the old attempt could no longer act when it was asked.
    verify: str = "none"


@dataclass(frozen=True)
class Size:
    """How much may happen: a crash, or a run taken from a worker that still lives, costs one."""

    workers: int = 2
    crashes: int = 1
    takeovers: int = 2
    operators: int = 1


class Worker(NamedTuple):
    """One process. ``holds`` is the attempt whose intent its incarnation wrote, ``overdue`` says
    that the deadline of that attempt is over."""

    at: str = "idle"
    epoch: int = 0
    n: int = 0
    holds: int = 0
    lease: bool = True
    owns: bool = False
    overdue: bool = False

    def idle(self) -> Worker:
        """Turned to other work; the run stays its own until somebody takes it."""
        return self._replace(at="idle", epoch=0, n=0)


class State(NamedTuple):
    """The run's row, its journal, the outside world, every worker and every operator."""

    workers: tuple[Worker, ...]
    operators: tuple[int, ...]  # The attempt each is about to call "did not happen", or 0.
    crashes: int
    takeovers: int
    status: str = "queued"
    epoch: int = 0
    loaded: int = 0  # The newest epoch whose owner has read the journal.
    intents: tuple[int, ...] = ()  # The epochs of intent 1, 2, …
    voids: frozenset[int] = frozenset()
    outcome: int = 0
    inbox: int = 0  # The attempt of which a late settlement waits.
    effects: tuple[int, ...] = ()  # The attempts behind the effects the world has seen.
    stale: bool = False

    @property
    def open(self) -> int:
        """The attempt that may have acted and has no verdict; 0 if there is none."""
        n = len(self.intents)
        return 0 if n in self.voids or self.outcome else n

    def with_worker(self, place: int, worker: Worker) -> State:
        return self._replace(workers=_replaced(self.workers, place, worker))

    def with_operator(self, place: int, means: int) -> State:
        return self._replace(operators=_replaced(self.operators, place, means))

    def mine(self, worker: Worker) -> bool:
        return self.status == "running" and self.epoch == worker.epoch


def _replaced(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def canonical(state: State) -> State:
    """Workers and operators in order, and epochs by rank: only their order matters."""
    known = {0, state.epoch, state.loaded, *state.intents, *(w.epoch for w in state.workers)}
    rank = {epoch: place for place, epoch in enumerate(sorted(known))}
    return state._replace(
        workers=tuple(sorted(w._replace(epoch=rank[w.epoch]) for w in state.workers)),
        operators=tuple(sorted(state.operators)),
        epoch=rank[state.epoch],
        loaded=rank[state.loaded],
        intents=tuple(rank[epoch] for epoch in state.intents),
    )
