"""Agents for tests of stops."""

from __future__ import annotations

import threading
from typing import ClassVar

from agentops import RunContext, agent, tool
from agentops.execution.port import Action, Permit
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer
from runs.engine.gates import Query
from runs.engine.stops import Known, StopGate

done: list[str] = []


@tool(effect="read")
async def look() -> str:
    done.append("look")
    return "there"


@tool(effect="once")
def pay(amount: str = "1.00") -> str:
    done.append("pay")
    return "paid"


async def think() -> str:
    done.append("step")
    return "thought"


def say(_: ModelRequest) -> str:
    done.append("model")
    return "said"


@agent(name="shopper", version="7")
async def shopper(ctx: RunContext) -> list[str]:
    return [await ctx.call(look), await ctx.call(pay, "240.00")]


@agent(name="thinker", script=say)
async def thinker(ctx: RunContext, first: str) -> object:
    return await (ctx.step(think) if first == "step" else ctx.model("Is it so?"))


heard: list[str] = []
go_on = threading.Event()


@tool(effect="idempotent", timeout=60)
def wait() -> str:
    done.append("waiting")
    go_on.wait(30)
    return "waited"


@agent(name="waits-long")
async def waits_long(ctx: RunContext) -> list[str]:
    return [await ctx.call(wait), await ctx.call(look)]


def plays(request: ModelRequest) -> Answer:
    """Calls the tool, then says that it is done."""
    results = [message.text for message in request.messages if message.role is Role.TOOL]
    heard.extend(results)
    return "done" if results else ToolUse("call_1", "pay", {})


@agent(name="asker", script=plays, tools=[pay])
async def asker(ctx: RunContext) -> str:
    return str(await ctx.model("Pay it.", tools=[pay]))


@agent(name="parent")
async def parent(ctx: RunContext) -> object:
    child = await ctx.spawn(shopper, {})
    return await child.result()


class Late(StopGate):
    """Knows of a stop of ``pay`` right after it let the first call of that pass."""

    passed: ClassVar[list[str]] = []
    over = threading.Event()

    def refresh(self, query: Query) -> None:
        if self.over.is_set():
            super().refresh(query)

    def quick(self, action: Action) -> Permit | None:
        permit = super().quick(action)
        if action.tool == "pay" and not self.passed:
            self.passed.append(action.key)
            self._known = Known({("tool", "pay"): "stp_late"})
        return permit
