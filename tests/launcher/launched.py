"""A real ``manage.py up`` under test: its lines, its state, its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agentops.launcher.home import PROJECT, Home
from agentops.launcher.identity import child_setup

PATIENCE_SECONDS = 60.0


def environment(**extra: str) -> dict[str, str]:
    """What a person's shell would hand over: nothing of the test run's own servers."""
    ours = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "PYTEST")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENTOPS_", *ours))
    }
    return {**kept, "AGENTOPS_DRAIN_SECONDS": "2", **extra}


def until(is_so: Callable[[], object], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at, f"waited in vain for: {what}"
        time.sleep(0.05)


class Launched:
    """One running launcher. Its output is read to the end, so that it never blocks."""

    def __init__(self, folder: Path, options: Sequence[str] = (), **extra: str) -> None:
        self.home = Home(folder)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "up", f"--data={folder}", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**extra),
            start_new_session=True,
            preexec_fn=child_setup(signal.SIGTERM),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self) -> None:
        until(lambda: self.says("READY") or self.process.poll() is not None, "READY")
        assert self.process.poll() is None, self.text

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def state(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(self.home.state.read_text())
        return said

    def pid_of(self, name: str) -> int | None:
        processes = self.state["processes"]
        assert isinstance(processes, dict)
        pid = processes[name]
        assert pid is None or isinstance(pid, int)
        return pid

    def says(self, what: str) -> bool:
        return any(what in line for line in self.lines)

    def get(self, path: str) -> int:
        """The status of a page; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.state['url']}{path}", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(timeout=5)
        return code

    def leftovers(self) -> list[str]:
        """Processes that still belong to this folder, wherever they were started from."""
        return processes_of(self.home.folder, besides=self.process.pid)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line.rstrip())


@contextmanager
def launched(folder: Path, *options: str, **extra: str) -> Iterator[Launched]:
    it = Launched(folder, options, **extra)
    try:
        it.wait_ready()
        yield it
    finally:
        if it.process.poll() is None:
            it.end(signal.SIGTERM)


def processes_of(folder: Path, *, besides: int) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            name = (process / "comm").read_text().strip()
            alive = (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            continue
        if (
            alive
            and os.fsencode(folder) in said
            and int(process.name) not in (besides, os.getpid())
        ):
            found.append(f"{process.name} {name}")
    return found
