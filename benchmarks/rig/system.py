"""What a measured system has to offer; ours and the peers differ only in how they do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from benchmarks.rig.recovery import Spec


class System(Protocol):
    """One durable-execution system, its processes, and its way to run a body of work."""

    name: str

    def versions(self) -> dict[str, str]:
        """Packages and servers that take part, by name."""

    def settings(self) -> dict[str, object]:
        """What was set away from the default, for speed or for the measurement."""

    def groups(self) -> dict[str, list[int]]:
        """Processes whose CPU counts, as ``client`` (driver, workers) and ``server`` (stores)."""

    @property
    def counters_url(self) -> str:
        """PostgreSQL whose commits, fsyncs and bytes count; empty when it uses another store."""

    async def boot(self, at_once: int) -> None:
        """Ready to run so many at once when this returns."""

    async def close(self) -> None:
        """Every process that did work has ended, except the stores."""

    async def run(self, body: str, spec: Spec) -> Any:
        """Starts one run and returns its result once that is durable."""

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        """Runs one per spec, so many at once as at boot, and returns their results."""

    async def recorded(self) -> int | None:
        """Durable step records so far; ``None`` when the system cannot tell."""

    async def suspend(self, count: int, first: int = 0) -> None:
        """Starts runs that wait for a message; returns when all of them wait.

        They are named by numbers from ``first`` on, where a system wants names.
        """

    async def wake(self) -> int:
        """Sends every waiting run its message and returns how many then finished."""

    def worker_pid(self) -> int:
        """The process that holds runs in memory."""
