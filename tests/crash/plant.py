"""A whole installation under test: servers that can be killed, workers that can be frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis
from celery import Celery
from psycopg.rows import dict_row

from agentops.launcher import binaries, identity, programs
from agentops.launcher.home import PROJECT
from agentops.launcher.postgres import DATABASE, ROLE, Postgres
from agentops.launcher.valkey import SOCKET, Valkey
from tests.crash import world
from tests.crash.world import World

T = TypeVar("T")
PATIENCE_SECONDS = 45.0
_FOREIGN = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE", "PYTEST")


def until(is_so: Callable[[], T], what: str, patience: float = PATIENCE_SECONDS) -> T:
    """Wait for a condition; what it returned once it held."""
    give_up_at = time.monotonic() + patience
    while not (found := is_so()):
        assert time.monotonic() < give_up_at, f"waited {patience:g} s in vain until {what}"
        time.sleep(0.05)
    return found


class Server:
    """PostgreSQL or Valkey, which may be killed and started again."""

    def __init__(self, of: Postgres | Valkey, log: Path) -> None:
        self._of, self._log = of, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        who = self._of.identity if isinstance(self._of, Postgres) else identity.ME
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._of.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=identity.child_setup(self._of.death_signal, who),
            )
        until(self._of.answers, f"{self._of.command[0]} answers")

    def end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None


class Worker:
    """A worker process, started as the product starts it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=identity.child_setup(signal.SIGKILL),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    def kill(self) -> None:
        """End it at once, frozen or not, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(timeout=30)

    def wait(self) -> int:
        """Wait until it exits by itself."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    @property
    def is_frozen(self) -> bool:
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat[stat.rindex(")") + 2] == "T"

    @property
    def said(self) -> str:
        return self.log.read_text()


class Plant:
    """Servers, a database with the product's schema, and workers on demand."""

    def __init__(self, folder: Path, sockets: Path, broker: str | None = None) -> None:
        who = identity.for_servers(folder / "postgres")
        for path in (folder, sockets):
            who.own(path)
        self.folder = folder
        self._sockets = sockets
        # Durable, because it will be killed: what it has acknowledged it must not forget.
        self._cluster = Postgres(binaries.postgres_folder(), folder / "postgres", sockets, who)
        self._bells = Valkey(binaries.valkey_server(), folder / "valkey", sockets, durable=False)
        self.postgres = Server(self._cluster, folder / "postgres.log")
        self.valkey = Server(self._bells, folder / "valkey.log")
        self.world = World(folder / "world")
        self.world.folder.mkdir()
        self.workers: list[Worker] = []
        self.settings: dict[str, str] = {"AGENTOPS_CRASH_LIMIT": "3"}
        self._staying: Worker | None = None
        self._made = 0
        self._broker = broker
        self._db: psycopg.Connection[dict[str, Any]] | None = None

    # -- life

    def start(self) -> None:
        self._cluster.prepare()
        self._bells.prepare()
        self.postgres.start()
        self._cluster.create_database()
        self.valkey.start()
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=PROJECT, env=self.environment(), check=True, timeout=120)
        self.execute("CREATE TABLE ledger (key text NOT NULL)")

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.close()
        self.valkey.end(signal.SIGKILL)
        self.postgres.end(signal.SIGQUIT)

    def clear(self) -> None:
        """Kill the workers, except one in good health that may stay, and forget every run."""
        stays = self._staying if self._staying and self._is_healthy(self._staying) else None
        for worker in self.workers:
            if worker is not stays:
                worker.kill()
        self.workers = [stays] if stays else []
        self._staying = stays
        self.execute("TRUNCATE run, run_payload, journal, inbox, blob, ledger CASCADE")
        self.execute("DELETE FROM stop")
        self.execute("TRUNCATE approval_request CASCADE")
        self.execute("DELETE FROM worker WHERE pid <> %s", stays.pid if stays else 0)
        for left in self.world.folder.iterdir():
            left.unlink()

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AGENTOPS_", *_FOREIGN))
        }
        ours = {
            "DATABASE_URL": self._cluster.url,
            "REDIS_URL": self._bells.url,
            "AGENTOPS_AGENTS": "tests.crash.agents",
            "AGENTOPS_DATA": str(self.folder),
            "AGENTOPS_LEASE_SECONDS": "2",
            "AGENTOPS_HEARTBEAT_SECONDS": "0.4",
            "AGENTOPS_TICK_SECONDS": "1",
            "AGENTOPS_DRAIN_SECONDS": "2",
            "AGENTOPS_UNRULED": "allow",
            "PYTHONUNBUFFERED": "1",
            world.VARIABLE: str(self.world.folder),
        }
        if self._broker:
            ours["CELERY_BROKER_URL"] = self._broker
        return {**kept, **ours, **self.settings, **extra}

    # -- processes

    def stayer(self) -> Worker:
        """A worker of the queue ``default`` that goes on from test to test."""
        if self._staying is None:
            self._staying = self.worker()
        return self._staying

    def empty(self) -> None:
        """End that one too: for tests of what happens while no worker is there."""
        stays, self._staying = self._staying, None
        if stays is not None:
            stays.kill()
            self.workers.remove(stays)

    def _is_healthy(self, worker: Worker) -> bool:
        return (
            worker.process.poll() is None
            and not worker.is_frozen
            and bool(
                self.rows("SELECT 1 FROM worker WHERE pid = %s AND state = 'alive'", worker.pid)
            )
        )

    def worker(self, *, queue: str = "default", faults: str = "", **extra: str) -> Worker:
        """Start a worker of ``queue`` and wait until it is registered."""
        worker = self.launch(queue=queue, faults=faults, **extra)
        until(lambda: self.id_of(worker) or worker.process.poll() is not None, "a worker registers")
        assert worker.process.poll() is None or faults, worker.said
        return worker

    def launch(self, *, queue: str = "default", faults: str = "", **extra: str) -> Worker:
        """Start a worker of ``queue``."""
        if "AGENTOPS_AGENTS" in extra and queue == "default":
            self.empty()  # without these agents it would take their runs, and let them wait
        self._made += 1
        name = f"worker-{self._made}"
        command = [
            *programs._CELERY, "worker", "--pool=threads", "--concurrency=64", f"--queues={queue}",
            f"--hostname={name}@%h", "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        environment = self.environment(
            AGENTOPS_QUEUES=queue, AGENTOPS_FAULTS=faults, AGENTOPS_PROCESS=name, **extra
        )
        worker = Worker(command, environment, self.folder / f"{name}.log")
        self.workers.append(worker)
        return worker

    def beat(self) -> Worker:
        """Start a scheduler."""
        self._made += 1
        name = f"beat-{self._made}"
        command = [*programs._CELERY, "beat", "--pidfile="]
        beat = Worker(command, self.environment(), self.folder / f"{name}.log")
        self.workers.append(beat)
        return beat

    def id_of(self, worker: Worker) -> int | None:
        """The id of the youngest incarnation of this process, if it is registered."""
        rows = self.rows(
            "SELECT id FROM worker WHERE pid = %s AND exited_at IS NULL ORDER BY id DESC LIMIT 1",
            worker.pid,
        )
        return int(rows[0]["id"]) if rows else None

    # -- database

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        cursor = self.connection().execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []

    def execute(self, sql: str, *values: object) -> None:
        self.connection().execute(sql, values)

    def value(self, sql: str, *values: object) -> Any:
        return next(iter(self.rows(sql, *values)[0].values()))

    def connection(self) -> psycopg.Connection[dict[str, Any]]:
        if self._db is None or self._db.closed or self._db.broken:
            self._db = psycopg.connect(self.conninfo, autocommit=True, row_factory=dict_row)
        return self._db

    @property
    def conninfo(self) -> str:
        return f"host={self._sockets} user={ROLE} dbname={DATABASE}"

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def restart_postgres(self) -> None:
        """PostgreSQL dies in the middle of what it does, and comes back."""
        self.close()
        self.postgres.end(signal.SIGQUIT)
        self.postgres.start()

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that own the files of PostgreSQL."""
        about = (self.folder / "postgres").stat()
        return about.st_uid, about.st_gid

    def ring(self, queue: str = "default") -> None:
        """A bell, as the services ring it."""
        broker = self._broker or f"redis+socket://{self._sockets / SOCKET}?virtual_host=0"
        with Celery(broker=broker) as bells:
            bells.send_task("runs.ring", kwargs={"queue": queue}, queue=queue)

    def wipe_broker(self) -> None:
        client = redis.Redis(unix_socket_path=str(self._sockets / SOCKET))
        with client:
            client.flushall()


@contextmanager
def plant(broker: str | None = None) -> Iterator[Plant]:
    """A running installation without workers, gone at the end. Call from the main thread."""
    with ExitStack() as stack:
        memory = Path("/dev/shm")
        base = memory if os.access(memory, os.W_OK) else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plant-", dir=base)))
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plant-")))
        made = Plant(folder, sockets, broker)
        stack.callback(made.stop)
        made.start()
        yield made
