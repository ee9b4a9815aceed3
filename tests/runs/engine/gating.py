"""Gates and agents for tests of what every attempt passes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agentops import RunContext, StepFailed, ToolContext, Verified, agent, tool
from agentops.execution.port import Action, Event, Passed, Permit
from agentops.execution.records import Claim
from runs.engine.gates import Gate, Query

PATHS = ("tests.runs.engine.gating.Known", "tests.runs.engine.gating.Asked")


class Script:
    """What the gates say, and what they were asked."""

    def __init__(self) -> None:
        self.known: Callable[[Action], Permit | None] = lambda _: Passed({"known": True})
        self.asked: Callable[[Action], Permit] = lambda _: Passed({"asked": True})
        self.quick: Callable[[Action], Permit | None] = lambda _: None
        self.stopped = False
        self.looks = 0
        self.seen: list[tuple[str, int]] = []
        self.sent: list[object] = []
        self.acting = threading.Event()


script = Script()


class Known(Gate):
    """Knows everything, and has the last look."""

    def refresh(self, query: Query) -> None:
        query("SELECT 1")
        script.looks += 1

    def quick(self, action: Action) -> Permit | None:
        return script.known(action)

    async def permit(self, action: Action) -> Permit:
        raise AssertionError("It knows.")

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        return script.stopped and bool(tool)


class Asked(Gate):
    """Has to ask the database, unless told otherwise."""

    def quick(self, action: Action) -> Permit | None:
        return script.quick(action)

    async def permit(self, action: Action) -> Permit:
        script.seen.append((action.key, action.n))
        return await self.threaded(lambda: script.asked(action))


class Broken(Gate):
    """Cannot tell."""

    def quick(self, action: Action) -> Permit | None:
        raise LookupError(action.key)


def told(n: int = 1) -> tuple[Event, ...]:
    """Something to be told once."""
    return (Event("approval.requested", n, {"request": "req_1"}),)


async def was_sent(ctx: ToolContext, text: str, times: int = 1) -> Verified:
    script.sent.append(("verify", text, times))
    return Verified.not_done()


@tool(effect="once", verify=was_sent)
async def send(text: str, times: int = 1) -> str:
    script.sent.append((text, times))
    return f"{text} × {times}"


@tool(effect="idempotent")
async def put(text: str) -> str:
    script.sent.append(text)
    return text


@agent(name="sender")
async def sender(ctx: RunContext, text: str = "hello") -> object:
    try:
        return await ctx.call(send, text, times=2)
    except StepFailed as error:
        return f"{error.code}: {error}"


@agent(name="putter")
async def putter(ctx: RunContext, text: str = "hello") -> object:
    return await ctx.call(put, text)
