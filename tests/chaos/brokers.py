"""The brokers a campaign can run on: the plant's own Valkey, or a RabbitMQ of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kombu import Connection, Queue

from agentops.launcher import identity
from tests.crash.plant import Plant, until

_PROGRAM = "rabbitmq-server"
_FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/sbin", "/opt/homebrew/sbin")


class NoRabbit(Exception):
    """There is no RabbitMQ here and none can be installed."""


class Broker(Protocol):
    def wipe(self, plant: Plant) -> None:
        """Lose every message."""


class OwnValkey:
    def wipe(self, plant: Plant) -> None:
        plant.wipe_broker()


class Rabbit:
    """A RabbitMQ on a free port of loopback."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wipe(self, plant: Plant) -> None:
        with Connection(self.url) as connection, connection.channel() as channel:
            Queue("default", channel=channel, durable=True).purge()

    def answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=1) as connection:
                connection.ensure_connection(max_retries=1)
        except Exception:  # noqa: BLE001 - it does not answer yet, whatever the reason
            return False
        return True


def program() -> str:
    """Where RabbitMQ is, installed now if we may. Raises NoRabbit with the reason."""
    if found := _find():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoRabbit(
            "rabbitmq-server is not installed and only root with apt-get could install it"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", _PROGRAM],
    ):
        said = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=600
        )
        if said.returncode:
            raise NoRabbit(f"apt-get {command[0]} failed: {said.stderr.strip()[-300:]}")
    if found := _find():
        return found
    raise NoRabbit("rabbitmq-server was installed and is nowhere to be found")


def _find() -> str | None:
    return shutil.which(_PROGRAM, path=os.pathsep.join(_FOLDERS))


@contextmanager
def rabbit(folder: Path) -> Iterator[Rabbit]:
    """A RabbitMQ of our own, gone at the end."""
    where = program()
    port, distribution = _free_port(), _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"chaos{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    log = folder / "rabbitmq.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [where],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=identity.child_setup(signal.SIGTERM),
        )
    server = Rabbit(f"amqp://guest:guest@127.0.0.1:{port}//")
    try:
        until(server.answers, f"RabbitMQ answers; {log}", patience=120)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
