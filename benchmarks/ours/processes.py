"""The product's own processes, started as its launcher starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# As the launcher has them.
WEB_OPTIONS = (
    "--lifespan=off", "--no-access-log", "--no-server-header", "--log-level=warning",
    "--ws-per-message-deflate=false",
)  # fmt: skip


def worker(queue: str, concurrency: int, log: Path) -> subprocess.Popen[bytes]:
    """One worker process; it is ready once it has a row in the database."""
    command = "-A agentops.celery:app worker --pool threads --without-gossip --without-mingle"
    size = ["-c", str(concurrency), "-Q", queue, "--loglevel", "WARNING"]
    return _started(["celery", *command.split(), *size], {
        "AGENTOPS_QUEUES": queue, "AGENTOPS_CONCURRENCY": str(concurrency),
    }, log)  # fmt: skip


def web(port: int, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """One web process on a loopback port."""
    command = ["uvicorn", "agentops.asgi:application", "--port", str(port), *WEB_OPTIONS]
    server = _started(command, environment, log)
    until(lambda: _accepts(port), server, log)
    return server


def import_seconds() -> float:
    """What a worker needs before it can look into the database: the import of the program."""
    program = "import django, agentops.celery; django.setup(); import runs.tasks"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    return time.monotonic() - began


def until(true: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for what a process does; raises RuntimeError with its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a process did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process as a deployment does, and insists after a while."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", *command]
    with log.open("ab") as out:
        return subprocess.Popen(
            program, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out
        )


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
