"""One launcher per data folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from agentops.launcher.home import Home, write_private


@dataclass(frozen=True)
class State:
    """What a running launcher says of itself to others."""

    pid: int
    host: str = ""
    port: int = 0
    url: str = ""
    processes: dict[str, int | None] = field(default_factory=dict)


class AlreadyRunning(Exception):
    """Another launcher holds the folder."""

    def __init__(self, state: State | None) -> None:
        self.state = state
        super().__init__("already running")


@contextmanager
def held(home: Home) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it when this process ends, however it ends."""
    with home.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(read_state(home)) from None
        home.state.unlink(missing_ok=True)
        try:
            yield
        finally:
            home.state.unlink(missing_ok=True)


def write_state(home: Home, state: State) -> None:
    """Tell others where we answer; whole or not at all."""
    write_private(home.state, json.dumps(asdict(state), indent=1))


def read_state(home: Home) -> State | None:
    """What the launcher of this folder says, if it got that far and is still there."""
    try:
        state = State(**json.loads(home.state.read_text()))
        os.kill(state.pid, 0)
    except PermissionError:
        return state
    except (OSError, ValueError, TypeError):
        return None
    return state
