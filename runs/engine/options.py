"""What a worker process is told when it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentops.sdk.turns import Past, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of one worker process. Times in seconds.

    ``signal(run id, name, payload, sender)``, ``sweep()``, ``ended(conversation id)``,
    ``turns(run id, how many)``, ``past(run id)`` and ``summarised(run id, up to turn, text)`` reach
    the service side, which lies above the engine.
    ``pins_first``: what a server first says of a tool is accepted without asking. ``gates``: where
    the gates are that every attempt passes, in their order.
    """

    conninfo: str
    redis_url: str
    queues: tuple[str, ...]
    capacity: int
    release: str
    lease_seconds: float
    heartbeat_seconds: float
    tick_seconds: float
    drain_seconds: float
    stuck_seconds: float
    leak_limit: int
    max_payload_bytes: int
    most_per_person: int = 0
    pins_first: bool = True
    gates: tuple[str, ...] = ()
    signal: Callable[[int, str, object, str], None]
    sweep: Callable[[], None]
    ended: Callable[[int], None]
    turns: Callable[[int, int], list[Turn]]
    past: Callable[[int], Past | None]
    summarised: Callable[[int, int, str], None]
