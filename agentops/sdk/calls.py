"""What a tool may know about the call it serves."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentops.sdk.errors import Misuse
from agentops.sdk.memory import Store, ToolMemory


class ToolContext:
    """What a tool may know about the call it serves."""

    def __init__(
        self,
        *,
        run_id: str,
        key: str,
        attempt: int,
        deadline: float,
        sink: Callable[[str], None] | None = None,
        known_as: str = "",
        memory: Callable[[], Store] | None = None,
        approval: str = "",
    ) -> None:
        self.run_id = run_id
        self.key = key
        # The key it had before the run failed here and went on: to the outside the same call.
        self.known_as = known_as or key
        self.attempt = attempt
        # The request by which a person let this very call pass; empty where nobody was asked.
        self.approval = approval
        self.deadline = deadline
        self._sink = sink
        self._memory = memory
        # A flag is enough: nobody waits for it, and one is made for every attempt.
        self._stopped = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """For a tool that runs in a process of its own; the deadline counts from there."""
        left = self.deadline - time.monotonic()
        facts = (self.run_id, self.key, self.attempt, left, self.known_as, self.approval)
        return _context_in_process, facts

    @property
    def seconds_left(self) -> float:
        """Seconds until the time of this attempt is over; negative when it is."""
        return self.deadline - time.monotonic()

    @property
    def memory(self) -> ToolMemory:
        """The memory of the run, for plain ``def`` tools; see :class:`ToolMemory`."""
        if self._memory is None:
            raise Misuse("There is no memory here: a tool in a process of its own has none.")
        return ToolMemory(self._memory, self.key)

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt and replay of this call; hand it to the other side."""
        return f"{self.run_id}/{self.known_as}"

    def stream(self, text: str) -> None:
        """Show people ``text`` as it is produced, after what was shown of this attempt before.

        It passes beside the journal: nothing waits for it, it may be lost, and what the step
        returns takes its place. May be called from any thread. A tool with ``isolation="process"``
        shows nothing.
        """
        if not isinstance(text, str):
            raise Misuse(f"ctx.stream takes text, not {type(text).__name__}. Decode or join it.")
        if self._sink is not None and text and not self._stopped:
            self._sink(text)

    def check(self) -> None:
        """Raise TimeoutError once the time of this attempt is over. For loops in plain tools."""
        if self._stopped:
            raise TimeoutError("The time of this attempt is over.")

    def stop(self) -> None:
        """The runtime gave this attempt up; :meth:`check` raises from now on."""
        self._stopped = True


def _context_in_process(
    run_id: str, key: str, attempt: int, left: float, known_as: str, approval: str
) -> ToolContext:
    return ToolContext(
        run_id=run_id,
        key=key,
        attempt=attempt,
        deadline=time.monotonic() + left,
        known_as=known_as,
        approval=approval,
    )
