"""The outside world: a file to which every effect adds a line, whatever becomes of the database.

One line is one write to a file opened for appending, so lines of many processes never mix and a
line is there or not.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

VARIABLE = "AGENTOPS_TEST_WORLD"
_PATIENCE_SECONDS = 300


class World:
    """A folder in which effects leave their traces and where tests open gates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._effects = folder / "effects"

    def act(self, what: str) -> None:
        """An effect happens."""
        line = f"{what}\t{os.getpid()}\n".encode()
        descriptor = os.open(self._effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def effects(self) -> Counter[str]:
        """How often each thing happened."""
        if not self._effects.exists():
            return Counter()
        lines = self._effects.read_text().splitlines()
        return Counter(line.rpartition("\t")[0] for line in lines)

    def count(self, beginning: str) -> int:
        """How many effects with this beginning there were."""
        return sum(n for what, n in self.effects().items() if what.startswith(beginning))

    def happened(self, what: str) -> bool:
        return what in self.effects()

    def open(self, gate: str) -> None:
        """Let everybody through who waits at the gate, now or later."""
        (self.folder / f"gate-{gate}").touch()

    def is_open(self, gate: str) -> bool:
        return (self.folder / f"gate-{gate}").exists()

    def pass_through(self, gate: str) -> None:
        """Wait until the gate is open."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not self.is_open(gate):
            if time.monotonic() > give_up_at:
                raise TimeoutError(gate)
            time.sleep(0.01)


def here() -> World:
    """The world of this process."""
    return World(Path(os.environ[VARIABLE]))
