"""Servers that live as long as the process that asked for them: for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentops.launcher import binaries, identity
from agentops.launcher.errors import LaunchError
from agentops.launcher.postgres import Postgres
from agentops.launcher.valkey import Valkey

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made inside
_ROOM_NEEDED = 2 * 1024**3
_START_SECONDS = 60


@dataclass(frozen=True)
class Services:
    """Addresses of servers that run now."""

    database_url: str
    redis_url: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}


@contextmanager
def services(*, durable: bool = False) -> Iterator[Services]:
    """A fresh PostgreSQL and Valkey, gone at the end. Call from the main thread."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="agentops-", dir=_roomy_folder(durable=durable)))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sockets = Path(tempfile.mkdtemp(prefix="agentops-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        who = identity.for_servers(folder / "postgres")
        who.may_enter(folder)
        who.own(sockets)
        programs = binaries.reachable_postgres(binaries.postgres_folder(), who, folder)
        postgres = Postgres(programs, folder / "postgres", sockets, who, durable=durable)
        valkey = _valkey(folder, sockets, durable=durable)
        stack.enter_context(_running(postgres))
        postgres.create_database()
        stack.enter_context(_running(valkey))
        yield Services(postgres.url, valkey.url, folder)


@contextmanager
def valkey() -> Iterator[str]:
    """The address of a fresh Valkey, gone at the end. Call from the main thread."""
    with tempfile.TemporaryDirectory(prefix="agentops-") as folder:
        server = _valkey(Path(folder), Path(folder), durable=False)
        with _running(server):
            yield server.url


def _valkey(folder: Path, sockets: Path, *, durable: bool) -> Valkey:
    return Valkey(binaries.valkey_server(), folder / "valkey", sockets, durable=durable)


@contextmanager
def _running(server: Postgres | Valkey) -> Iterator[None]:
    server.prepare()
    who = server.identity if isinstance(server, Postgres) else identity.ME
    log = (server.data.parent / f"{type(server).__name__.lower()}.log").open("wb")
    with (
        log,
        subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=identity.child_setup(server.death_signal, who),
        ) as process,
    ):
        try:
            _wait_for(server, process, Path(log.name))
            yield
        finally:
            process.send_signal(server.death_signal)
            process.wait()


def _wait_for(server: Postgres | Valkey, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while not server.answers():
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise LaunchError(f"{server.command[0]} did not start: {log.read_text()}")
        time.sleep(0.02)


def _roomy_folder(*, durable: bool) -> Path | None:
    # Shared memory makes tests faster, but what must survive belongs on a disk.
    if durable or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _ROOM_NEEDED else None
