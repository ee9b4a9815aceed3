"""Throw-away PostgreSQL and Valkey on a real disk, with the durability that production has."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentops.launcher import binaries, identity
from agentops.launcher.postgres import Postgres
from agentops.launcher.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# Durability is PostgreSQL's default (fsync, synchronous_commit and full_page_writes on). These keep
# a checkpoint from falling into one of two measurements that are compared.
POSTGRES_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}


@dataclass(frozen=True)
class Servers:
    """Where the servers are, and the processes whose CPU is theirs (none if not started here)."""

    database_url: str
    redis_url: str
    postgres_pids: tuple[int, ...] = ()
    redis_pids: tuple[int, ...] = ()


@contextmanager
def servers(*, database_url: str = "", redis_url: str = "") -> Iterator[Servers]:
    """The servers named by the addresses; what has no address is started and thrown away."""
    with ExitStack() as stack:
        home, sockets = stack.enter_context(_folders())
        who = identity.for_servers(home / "postgres")
        for path in (home, sockets):
            who.own(path)
        postgres = Postgres(binaries.postgres_folder(), home / "postgres", sockets, who)
        valkey = Valkey(binaries.valkey_server(), home / "valkey", sockets)
        postgres_pids = () if database_url else (stack.enter_context(_running(postgres)),)
        redis_pids = () if redis_url else (stack.enter_context(_running(valkey)),)
        yield Servers(
            # The scheme that SQLAlchemy knows too.
            database_url or postgres.url.replace("postgres://", "postgresql://"),
            redis_url or valkey.url,
            postgres_pids,
            redis_pids,
        )


@contextmanager
def _folders() -> Iterator[tuple[Path, Path]]:
    """Data on the disk of the source tree, never on a memory file system; sockets by short path."""
    (ROOT / "var").mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
    sockets = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield home, sockets
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


@contextmanager
def _running(server: Postgres | Valkey) -> Iterator[int]:
    server.prepare()
    command, who = server.command, identity.ME
    if isinstance(server, Postgres):
        command = [*command, *(f"-c{name}={value}" for name, value in POSTGRES_SETTINGS.items())]
        who = server.identity
    before = identity.child_setup(server.death_signal, who)
    with (server.data.parent / f"{server.data.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=before)
    try:
        _until_answers(server, process)
        if isinstance(server, Postgres):
            server.create_database()
        yield process.pid
    finally:
        process.send_signal(server.death_signal)
        process.wait()


def _until_answers(server: Postgres | Valkey, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.command[0]} did not start")
        time.sleep(0.02)
