"""The runtime's own PostgreSQL: one cluster in a folder, on a Unix socket only.

It listens on no port and asks for no password: the socket lies in a folder that nobody else may
enter. The server is started directly, not through ``pg_ctl``, so that it is our child.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from agentops.launcher import binaries
from agentops.launcher.errors import LaunchError
from agentops.launcher.identity import ME, Identity, child_setup

ROLE = "agentops"
DATABASE = "agentops"

_INITDB = (
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth-local=trust",
    "--auth-host=reject",
)
_LEFTOVER_SECONDS = 60
_UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Postgres:
    """A cluster in ``data`` whose socket lies in ``sockets``.

    ``durable=False`` is for tests: several times faster, and it forgets all in a power cut.
    """

    programs: Path
    data: Path
    sockets: Path
    identity: Identity = ME
    durable: bool = True
    max_connections: int = 200

    death_signal = signal.SIGINT  # PostgreSQL's fast shutdown

    @property
    def url(self) -> str:
        return url(self.sockets)

    @property
    def is_initialised(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    @property
    def command(self) -> list[str]:
        settings = [
            "listen_addresses=",
            f"max_connections={self.max_connections}",
            "log_checkpoints=off",
            "log_line_prefix=",
            "timezone=UTC",
            "log_timezone=UTC",
            *(() if self.durable else _UNSAFE_BUT_FAST),
        ]
        flags = [part for setting in settings for part in ("-c", setting)]
        place = ["-D", str(self.data), "-k", str(self.sockets)]
        return [str(self.programs / "postgres"), *place, *flags]

    def end_leftover(self) -> None:
        """Stop a server that outlived its launcher (possible where the kernel cannot watch)."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, data = int(lines[0]), lines[1]
            if Path(data) != self.data or not self.answers():
                return
            os.kill(pid, self.death_signal)
            give_up_at = time.monotonic() + _LEFTOVER_SECONDS
            while (self.data / "postmaster.pid").exists() and time.monotonic() < give_up_at:
                time.sleep(0.05)

    def prepare(self) -> None:
        """Make the cluster where there is none. Refuses one of another major version."""
        if self.is_initialised:
            self._check_major()
            return
        # A folder without PG_VERSION is what an interrupted initdb left behind.
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700, parents=True)
        self.identity.own(self.data)
        command = [str(self.programs / "initdb"), "-D", str(self.data), "-U", ROLE, *_INITDB]
        if not self.durable:
            command.append("--no-sync")
        self._run(command, "initdb")

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        command = [str(self.programs / "pg_isready"), "-q", "-h", str(self.sockets), "-U", ROLE]
        return subprocess.run(command).returncode == 0

    def create_database(self) -> None:
        """Make the database where there is none; the server must be running."""
        command = [str(self.programs / "createdb"), "-h", str(self.sockets), "-U", ROLE, DATABASE]
        said = subprocess.run(command, capture_output=True, text=True)
        if said.returncode and "already exists" not in said.stderr:
            raise LaunchError(f"The database could not be created: {said.stderr.strip()}")

    def _check_major(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        ours = binaries.version(self.programs / "postgres").split(".")[0]
        if found != ours:
            raise LaunchError(
                f"The data in {self.data} were written by PostgreSQL {found}, and the programs "
                f"here are PostgreSQL {ours}. Nothing was touched. Move the data with pg_dump and "
                f"pg_restore, or set PG_BINDIR to the programs of PostgreSQL {found}."
            )

    def _run(self, command: list[str], what: str) -> None:
        setup = child_setup(signal.SIGKILL, self.identity)
        said = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=setup,
        )
        if said.returncode:
            raise LaunchError(f"{what} failed: {(said.stderr or said.stdout).strip()}")


def url(sockets: Path) -> str:
    # As a query: django-environ does not decode a percent-encoded path given as host.
    return f"postgres://{ROLE}@/{DATABASE}?host={sockets}"
