"""The work itself, the same for every system: a body gets a way to run one durable step.

Clocks are read outside the steps, never to decide anything, so a replay takes the same path.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count, pairwise
from typing import Any

from benchmarks.rig import http, recovery
from benchmarks.rig.recovery import Spec

StepFunction = Callable[[], Awaitable[Any]]
Step = Callable[[str, StepFunction], Awaitable[Any]]
Body = Callable[[Step, Spec], Awaitable[Any]]

PAYLOAD_BYTES = 100_000
STEMS = [
    "port",
    "order",
    "customer",
    "invoice",
    "address",
    "payment",
    "answer",
    "question",
    "policy",
    "agent",
    "ticket",
    "refund",
    "parcel",
    "account",
    "message",
    "balance",
    "contract",
    "delivery",
]
WORDS = [prefix + stem for prefix in ("re", "un", "", "pre", "out") for stem in STEMS]


async def sequence(step: Step, spec: Spec) -> dict[str, Any]:
    """Steps that do nothing, one after the other; returns when each of them was recorded."""
    laps = [time.monotonic_ns()]
    for _ in range(spec["steps"]):
        await step("noop", noop)
        laps.append(time.monotonic_ns())
    return {"began": laps[0], "laps_us": [(b - a) // 1000 for a, b in pairwise(laps)]}


async def stamp(step: Step, spec: Spec) -> int:
    """One step that returns when it ran, on the clock that all processes of a machine share."""
    return int(await step("stamp", _now))


async def payload(step: Step, spec: Spec) -> dict[str, Any]:
    """Steps that return 100 KB: random text, which no codec can shrink much, or prose."""
    make = random_text if spec["kind"] == "raw" else prose
    began = time.monotonic_ns()
    size = 0
    for _ in range(spec["steps"]):
        size += len(await step("payload", make))
    return {"began": began, "ended": time.monotonic_ns(), "size": size}


async def loop(step: Step, spec: Spec) -> int:
    """An agent's loop: ask the model over HTTP, call a tool, again; returns the turns taken."""
    turns = 0

    async def ask() -> dict[str, Any]:
        return dict(await http.post(spec["url"], {"messages": turns}))

    for _ in range(spec["turns"]):
        answer = await step("model", ask)
        await step("tool", noop)
        turns += 1 if answer.get("tool") else 0
    return turns


async def hold(step: Step, spec: Spec) -> int:
    """One step that takes its time, so that many runs are in flight at once."""

    async def wait() -> int:
        await asyncio.sleep(spec["seconds"])
        return 1

    return int(await step("hold", wait))


async def effects(step: Step, spec: Spec) -> int:
    """Steps with effects in a log outside, for the workload that kills the worker."""
    for n in range(spec["steps"]):
        await step(f"effect-{n}", partial(recovery.effect, spec, n))
    recovery.note(spec["log"], spec["run"], spec["steps"], "end")
    return int(spec["steps"])


async def noop() -> int:
    """The least a step can do."""
    return 1


async def random_text() -> str:
    """100 KB of text made of random bytes."""
    return base64.b64encode(os.urandom(PAYLOAD_BYTES * 3 // 4)).decode()


async def prose() -> str:
    """100 KB of words with the repetition that answers of tools and models have."""
    return f"{next(_number):08} {_PROSE}"[:PAYLOAD_BYTES]


async def _now() -> int:
    return time.monotonic_ns()


_number = count()
_PROSE = " ".join(random.Random(7).choices(WORDS, k=PAYLOAD_BYTES // 4))

BODIES: dict[str, Body] = {
    "sequence": sequence,
    "stamp": stamp,
    "payload": payload,
    "loop": loop,
    "hold": hold,
    "effects": effects,
}
