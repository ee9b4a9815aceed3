"""The processes of the runtime: what is started, with which words."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from agentops.launcher.children import Program
from agentops.launcher.home import PROJECT
from agentops.launcher.identity import Identity
from agentops.launcher.postgres import Postgres
from agentops.launcher.valkey import Valkey

# Open streams end with the web process; five seconds let requests finish.
_WEB_GRACE = 5
# More than the engine's own watchdog takes after AGENTOPS_DRAIN_SECONDS.
_WORKER_GRACE_BEYOND_DRAIN = 10
_SERVER_GRACE = 60
# Celery warns of pickled messages, which we do not accept.
_NO_PICKLE = (
    "-Wignore:You're running the worker with superuser privileges",
    "-Wignore:An entry for the specified gid or egid",
)
_CELERY = (sys.executable, *_NO_PICKLE, "-m", "celery", "-q", "-A", "agentops.celery:app")


@dataclass(frozen=True)
class Plan:
    """How many processes, and on which listening socket."""

    web: int
    workers: int
    descriptor: int

    def programs(self) -> list[Program]:
        webs = [_web(name, self.descriptor) for name in _names("web", self.web)]
        return [*webs, *map(_worker, _names("worker", self.workers)), BEAT]


def server(of: Postgres | Valkey, identity: Identity) -> Program:
    """One of the runtime's own servers. Their chatter goes to their log file only."""
    return Program(
        name=type(of).__name__.lower(),
        command=of.command,
        death_signal=of.death_signal,
        stop_signal=of.death_signal,
        grace_seconds=_SERVER_GRACE,
        identity=identity,
        quiet=True,
    )


SET_UP = Program(
    name="set-up",
    command=(sys.executable, str(PROJECT / "manage.py"), "bootstrap"),
    grace_seconds=1,
)

BEAT = Program(
    name="beat",
    command=(*_CELERY, "beat", "--pidfile="),
    grace_seconds=5,
    announces=True,
)


def _web(name: str, descriptor: int) -> Program:
    options = (
        f"--fd={descriptor}",
        "--lifespan=off",
        f"--timeout-graceful-shutdown={_WEB_GRACE}",
        "--no-access-log",
        "--no-server-header",
        "--log-level=warning",
        # One message goes to many sockets. Compressing it for each costs more than all else.
        "--ws-per-message-deflate=false",
    )
    return Program(
        name=name,
        command=(sys.executable, "-m", "uvicorn", *options, "agentops.asgi:application"),
        grace_seconds=_WEB_GRACE + 2,
        descriptors=(descriptor,),
    )


def _worker(name: str) -> Program:
    options = (
        "--pool=threads",
        f"--concurrency={os.environ.get('AGENTOPS_CONCURRENCY', '64')}",
        f"--queues={os.environ.get('AGENTOPS_QUEUES', 'default')}",
        f"--hostname={name}@%h",
        "--without-gossip",
        "--without-mingle",
    )
    drain = float(os.environ.get("AGENTOPS_DRAIN_SECONDS", "25"))
    return Program(
        name=name,
        command=(*_CELERY, "worker", *options),
        grace_seconds=drain + _WORKER_GRACE_BEYOND_DRAIN,
        announces=True,
    )


def _names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]
