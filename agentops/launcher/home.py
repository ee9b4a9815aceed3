"""The data folder: what lies where, who holds it, and the secrets that were made for it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agentops.launcher import postgres, valkey

PROJECT = Path(__file__).resolve().parents[2]

# A Unix socket's whole path must fit into about 100 bytes; ".s.PGSQL.5432.lock" is the longest.
_LONGEST_SOCKET_FOLDER = 80


@dataclass(frozen=True)
class Home:
    """One data folder, ``var/`` of the project unless AGENTOPS_DATA names another."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def set_up(self) -> Path:
        return self.folder / "set-up"

    @property
    def first_sign_in(self) -> Path:
        return self.folder / "first-sign-in.json"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey"

    @property
    def sockets(self) -> Path:
        """Where the servers' sockets lie: inside, or outside when the path would be too long."""
        inside = self.folder / "run"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_FOLDER:
            return inside
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        return Path(base) / f"agentops-{os.getuid()}-{name}"

    def defaults(self) -> dict[str, str]:
        """What the environment would say if this folder's servers and secrets are used.

        Empty for a folder that was never started, so that any command run beside ``bin/up``
        talks to the same servers, and none is invented where there are none.
        """
        if not self.secrets.exists():
            return {}
        return {
            "DATABASE_URL": postgres.url(self.sockets),
            "REDIS_URL": valkey.url(self.sockets),
            **json.loads(self.secrets.read_text()),
        }

    def make(self) -> None:
        """Make the folder and its secrets, once, readable by nobody else."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.sockets, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.secrets.exists():
            write_private(self.secrets, json.dumps(_new_secrets(), indent=1))


def here() -> Home:
    """The data folder named by the environment."""
    named = os.environ.get("AGENTOPS_DATA")
    return Home(Path(named).expanduser().resolve() if named else PROJECT / "var")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _new_secrets() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "AGENTOPS_FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
