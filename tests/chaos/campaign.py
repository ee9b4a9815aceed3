"""Three workers, a stream of runs, and something broken every second or two."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import psycopg
import redis

from tests.chaos.brokers import Broker
from tests.chaos.operator import Ledger, Operator
from tests.crash import runs
from tests.crash.plant import Plant, Worker

PAUSE_SECONDS = (1.0, 2.5)
FREEZE_SECONDS = (4.0, 6.0)
POSTGRES_RESTARTS = 3
# The last runs start early enough to be hit as well.
FEEDING_SHARE = 0.8
TICK_SECONDS = 0.05
_UNREACHABLE = (psycopg.OperationalError, redis.RedisError, OSError)


@dataclass
class Campaign:
    """What is done to the plant, and what has been done so far."""

    plant: Plant
    broker: Broker
    seconds: float
    wanted: int
    workers: int
    chance: Random
    started: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.plant)
        self.operator = Operator(self.plant, self.ledger)
        # Here every worker dies again and again, and no run is to blame.
        self.plant.settings |= {"AGENTOPS_CRASH_LIMIT": "50", "AGENTOPS_TEST_PACE": "0.1"}
        self._frozen: dict[Worker, float] = {}
        self._begun = 0.0

    def run(self) -> float:
        """Start the runs, break things meanwhile, wait for the end. Returns the wall time."""
        for _ in range(self.workers):
            self.plant.worker()
        self._begun = time.monotonic()
        next_blow, restarts = self._pause(), self._restart_times()
        next_look = 0.0
        while self._age < self.seconds:
            self._feed()
            if restarts and self._age > restarts[0]:
                self._restart_postgres(restarts)
            elif self._age > next_blow:
                self._blow()
                next_blow = self._age + self._pause()
            next_look = self._tend(next_look)
            time.sleep(TICK_SECONDS)
        return self._wait_for_the_end()

    # -- load

    @property
    def _age(self) -> float:
        return time.monotonic() - self._begun

    def _feed(self) -> None:
        share = min(1.0, self._age / (self.seconds * FEEDING_SHARE))
        give_up_at = time.monotonic() + 0.2
        while self.started < self.wanted * share and time.monotonic() < give_up_at:
            runs.start(self.plant, "twelve")
            self.started += 1

    def _tend(self, next_look: float) -> float:
        """Keep the processes up and the operator at work."""
        for worker, until in list(self._frozen.items()):
            if time.monotonic() > until:
                worker.send(signal.SIGCONT)
                del self._frozen[worker]
        for worker in list(self.plant.workers):
            if worker.process.poll() is not None:
                self.plant.workers.remove(worker)
                self._frozen.pop(worker, None)
                self.plant.launch()
        if self._age > next_look:
            self.operator.look()
            return self._age + 1.0
        return next_look

    # -- blows

    def _pause(self) -> float:
        return self.chance.uniform(*PAUSE_SECONDS)

    def _restart_times(self) -> list[float]:
        share = self.seconds / (POSTGRES_RESTARTS + 1)
        return [share * (n + 1) for n in range(POSTGRES_RESTARTS)]

    def _restart_postgres(self, times: list[float]) -> None:
        times.pop(0)
        self.plant.restart_postgres()
        self.done["PostgreSQL restarted"] += 1

    def _blow(self) -> None:
        blows: list[tuple[Callable[[], str], int]] = [
            (self._kill, 3), (self._freeze, 3), (self._terminate, 2), (self._wipe, 3),
        ]  # fmt: skip
        chosen = self.chance.choices([b for b, _ in blows], [weight for _, weight in blows])[0]
        self.done[chosen()] += 1

    def _victim(self) -> Worker:
        awake = [worker for worker in self.plant.workers if worker not in self._frozen]
        return self.chance.choice(awake or self.plant.workers)

    def _kill(self) -> str:
        self._victim().kill()
        return "kill -9"

    def _freeze(self) -> str:
        victim = self._victim()
        victim.send(signal.SIGSTOP)
        self._frozen[victim] = time.monotonic() + self.chance.uniform(*FREEZE_SECONDS)
        return "SIGSTOP"

    def _terminate(self) -> str:
        self._victim().send(signal.SIGTERM)
        return "SIGTERM"

    def _wipe(self) -> str:
        self.broker.wipe(self.plant)
        return "broker wiped"

    # -- the end

    def _wait_for_the_end(self) -> float:
        give_up_at = time.monotonic() + 120 + self.seconds
        next_look = 0.0
        while self.started < self.wanted or self._left():
            self._feed()
            next_look = self._tend(next_look)
            if time.monotonic() > give_up_at:
                break
            time.sleep(TICK_SECONDS * 4)
        return self._age

    def _left(self) -> int:
        return int(self.plant.value("SELECT count(*) FROM run WHERE finished_at IS NULL"))
