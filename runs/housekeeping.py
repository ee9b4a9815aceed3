"""How the installation itself does: workers, queues, what the sweep should have found, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from runs import bell, figures
from runs.attention import Sentence
from runs.circuit import Circuit
from runs.models import HELD_UNTIL, Run, RunStatus, Worker, WorkerState

LAG_BAD = timedelta(minutes=1)
SKEW_BAD = timedelta(seconds=1)
LATE = timedelta(minutes=1)
SHOWN_WORKERS = 50
_DAY = timedelta(hours=24)


# -- workers -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process: what it holds, and when it was last heard of."""

    worker: Worker
    held: int
    silent: timedelta

    @property
    def is_late(self) -> bool:
        """Whether its lease is over though nobody said so yet."""
        lease = timedelta(seconds=settings.AGENTOPS_LEASE_SECONDS)
        return self.worker.state != WorkerState.DEAD and self.silent > lease

    @property
    def look(self) -> tuple[str, str, str]:
        """Word, family and icon of how it stands."""
        if self.is_late:
            return "silent", "crimson", "circle-help"
        return {
            WorkerState.ALIVE: ("alive", "green", "circle-check"),
            WorkerState.DRAINING: ("draining", "amber", "hourglass"),
        }.get(WorkerState(self.worker.state), ("dead", "stone", "circle-slash"))


def workers(now: datetime) -> list[WorkerRow]:
    """Living workers, and the dead that still hold runs; the newest first."""
    counted = Worker.objects.annotate(held=Count("run", filter=Q(run__status=RunStatus.RUNNING)))
    shown = counted.exclude(state=WorkerState.DEAD, held=0).order_by("-pk")[:SHOWN_WORKERS]
    return [WorkerRow(worker, worker.held, now - worker.heartbeat_at) for worker in shown]


# -- queues --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue: what waits in it, how long already, and who serves it."""

    name: str
    ready: int
    # Queued too, but one too many of their agent or person.
    held: int
    lag: timedelta | None
    working: int
    waiting: int
    served_by: int


def queues(rows: list[WorkerRow], now: datetime) -> list[QueueRow]:
    """Every queue that has runs or workers."""
    serving: dict[str, int] = dict.fromkeys(settings.AGENTOPS_QUEUES, 0)
    for row in rows:
        if row.worker.state == WorkerState.ALIVE and not row.is_late:
            for name in row.worker.queues:
                serving[name] = serving.get(name, 0) + 1
    due = Q(status=RunStatus.QUEUED, ready_at__lte=Now())
    live = Run.objects.filter(finished_at__isnull=True).order_by().values_list("queue")
    counted = {
        name: rest
        for name, *rest in live.annotate(
            ready=Count("id", filter=due),
            held=Count("id", filter=Q(status=RunStatus.QUEUED, ready_at=HELD_UNTIL)),
            since=Min("ready_at", filter=due),
            working=Count("id", filter=Q(status=RunStatus.RUNNING)),
            waiting=Count("id", filter=Q(status=RunStatus.WAITING)),
        )
    }
    found = []
    for name in sorted(serving.keys() | counted.keys()):
        ready, held, since, working, waiting = counted.get(name, (0, 0, None, 0, 0))
        lag = now - since if since else None
        found.append(QueueRow(name, ready, held, lag, working, waiting, serving.get(name, 0)))
    return found


# -- the rest ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overdue:
    """What a sweep would find now. Anything that stays for a minute says that none sweeps."""

    silent_workers: int
    lost_runs: int
    expired_runs: int
    unclaimed: int

    @property
    def total(self) -> int:
        return self.silent_workers + self.lost_runs + self.expired_runs + self.unclaimed


def overdue() -> Overdue:
    """Count what should have been found a minute ago."""
    lease = timedelta(seconds=settings.AGENTOPS_LEASE_SECONDS) + LATE
    runs = Run.objects.filter(finished_at__isnull=True).aggregate(
        lost=Count("id", filter=Q(status=RunStatus.RUNNING, worker__state=WorkerState.DEAD)
                   & Q(worker__heartbeat_at__lt=Now() - lease)),
        expired=Count("id", filter=Q(expires_at__lt=Now() - LATE)
                      & ~Q(status=RunStatus.RUNNING)),
        unclaimed=Count("id", filter=Q(status=RunStatus.WAITING, ready_at__lt=Now() - LATE)),
    )  # fmt: skip
    silent = Worker.objects.filter(heartbeat_at__lt=Now() - lease).exclude(state=WorkerState.DEAD)
    return Overdue(silent.count(), runs["lost"], runs["expired"], runs["unclaimed"])


@dataclass(frozen=True, slots=True)
class Recoveries:
    """Runs of the last day that lost a worker and went on, or still stand."""

    runs: int
    losses: int


def recoveries() -> Recoveries:
    """How often runs that did something within a day lost their worker."""
    hurt = Run.objects.filter(crash_count__gt=0, last_progress_at__gte=Now() - _DAY)
    found = hurt.aggregate(runs=Count("id"), losses=Sum(F("crash_count")))
    return Recoveries(found["runs"], found["losses"] or 0)


@dataclass(frozen=True, slots=True)
class Database:
    """The database as this process sees it."""

    version: str
    skew: timedelta
    connections: int
    most_connections: int
    size: int


_ABOUT = """
    SELECT current_setting('server_version'), clock_timestamp(),
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
           current_setting('max_connections')::int, pg_database_size(current_database())
"""


def database() -> Database:
    """Version, clock, connections and size, in one question."""
    with connection.cursor() as cursor:
        before = timezone.now()
        cursor.execute(_ABOUT)
        version, clock, used, most, size = cursor.fetchone()
        middle = before + (timezone.now() - before) / 2
    return Database(version.split(" ")[0], clock - middle, used, most, size)


def silent_bells() -> list[Circuit]:
    """Bells of this process that nobody hears at the moment."""
    return [circuit for circuit in (bell.bells, bell.hints) if circuit.is_open]


# -- what is wrong -------------------------------------------------------------------------------


def wrong(rows: list[WorkerRow], lines: list[QueueRow], late: Overdue) -> Iterator[Sentence]:
    """A sentence and a command for everything that is red."""
    alive = [row for row in rows if row.worker.state == WorkerState.ALIVE and not row.is_late]
    if not alive:
        yield _red("No worker is alive: runs are accepted and wait.", "bin/up")
    for row in rows:
        if row.is_late:
            text = f"Worker {row.worker.pk} on {row.worker.hostname} is silent for "
            yield _red(f"{text}{figures.span(row.silent)}; its runs are taken back by the sweep.",
                       "python manage.py sweep")  # fmt: skip
    for line in lines:
        yield from _line(line)
    if late.total:
        yield _red(f"The sweep is behind: {_late(late)}.", "python manage.py sweep")
    releases = sorted({row.worker.release or "unnamed" for row in alive})
    if len(releases) > 1:
        yield Sentence("git-fork", "amber", f"Workers run {len(releases)} releases: "
                       f"{', '.join(releases)}. Fine while one is rolled out.")  # fmt: skip


def _line(line: QueueRow) -> Iterator[Sentence]:
    if line.ready and not line.served_by:
        yield _red(f"No worker serves queue “{line.name}”; {figures.plural(line.ready, 'run')} "
                   "in it stay queued.", f"AGENTOPS_QUEUES={line.name} bin/up")  # fmt: skip
    elif line.lag is not None and line.lag > LAG_BAD:
        yield Sentence("hourglass", "amber", f"Runs of queue “{line.name}” wait "
                       f"{figures.span(line.lag)} for a worker; start more workers, or raise "
                       "AGENTOPS_CONCURRENCY.")  # fmt: skip


def _late(late: Overdue) -> str:
    parts = (
        (late.silent_workers, "silent worker"), (late.lost_runs, "run without a worker"),
        (late.expired_runs, "expired run"), (late.unclaimed, "due run"),
    )  # fmt: skip
    many = {"run without a worker": "runs without a worker"}
    return ", ".join(figures.plural(n, what, many.get(what)) for n, what in parts if n)


def _red(text: str, command: str) -> Sentence:
    return Sentence("circle-x", "crimson", text, command=command)
