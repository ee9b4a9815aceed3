"""Pydantic AI agents as they are: each model request and each tool call becomes a step.

Built on the public backend of Pydantic AI for durable execution. Its agent graph runs again on
every replay; the units it asks for return what is recorded.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_ai import Agent
from pydantic_ai import RunContext as TheirContext
from pydantic_ai import messages as wire
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    CallToolResult,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    EventStreamHandlerId,
    JournalCallableOperationBackend,
    ModelRequestId,
    RoleBasedOperationConfig,
    ToolsetCallToolId,
)
from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.settings import ModelSettings
from pydantic_ai.toolsets import ToolsetTool

from agentops.providers import failures
from agentops.providers.adapter import text_in, usage_of
from agentops.providers.discretion import leaves
from agentops.sdk import steps
from agentops.sdk.calls import ToolContext
from agentops.sdk.context import RunContext
from agentops.sdk.errors import Denied
from agentops.sdk.messages import Message, user
from agentops.sdk.models import Noted, as_text
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Effect

MODEL_TIMEOUT_SECONDS = 300.0
MODEL_RETRIES = RetryPolicy(attempts=6)
TOOL_RETRIES = RetryPolicy(attempts=4)
_RESPONSE = TypeAdapter(wire.ModelResponse)
_RESULT: TypeAdapter[Any] = TypeAdapter(CallToolResult)
_REPEATABLE = frozenset({Effect.READ, Effect.IDEMPOTENT})

# The attempt that a unit is part of, for the text a model produces inside of it.
_attempt: ContextVar[ToolContext | None] = ContextVar("agentops_attempt", default=None)


async def run(
    theirs: Agent[Any, Any],
    label: str,
    ctx: RunContext,
    prompt: str,
    deps: object,
    effects: Mapping[str, Effect],
) -> object:
    """Run an agent of theirs from the run's record on. Returns its output."""
    durable: Durability = Durability(ctx, label, effects)
    done = await theirs.run(
        prompt,
        deps=deps,
        message_history=await _history(ctx),
        # One request is one attempt: whether it is made again is the engine's to say.
        model_settings=ModelSettings(max_retries=0),
        capabilities=[durable],
    )
    return done.output


async def _history(ctx: RunContext) -> list[wire.ModelMessage]:
    said: list[wire.ModelMessage] = []
    for turn in await ctx.conversation():
        said.append(wire.ModelRequest(parts=[wire.UserPromptPart(as_text(turn.message))]))
        if turn.answer is not None:
            said.append(wire.ModelResponse(parts=[wire.TextPart(as_text(turn.answer))]))
    return said


class Durability(BaseDurabilityCapability[Any]):
    """Makes one run of an agent durable."""

    engine_spec = DurabilityEngineSpec(
        engine_name="Agentops",
        durable_unit_noun="step",
        durable_container_noun="run",
        codec=JSON_CODEC,
        toolset_lifecycles={
            "function": "enter-always",
            "mcp": "enter-in-durable-unit",
            "dynamic": "enter-never",
        },
    )

    def __init__(self, ctx: RunContext, name: str, effects: Mapping[str, Effect]) -> None:
        super().__init__(name=name, event_stream_handler=_show)
        self._ctx, self._effects = ctx, effects

    @property
    def in_durable_context(self) -> bool:
        return True

    def get_default_run_id(self) -> str | None:
        return str(self._ctx.uuid())

    def get_durable_operation_backend(self) -> DurableOperationBackend[None]:
        return _Units(self._ctx, self.name, self.default_model_id, self._effects)


class _Units(JournalCallableOperationBackend[None]):
    """Does units as steps of the run."""

    def __init__(
        self, ctx: RunContext, name: str, model: str | None, effects: Mapping[str, Effect]
    ) -> None:
        super().__init__(
            agent_name=name,
            default_model_id=model,
            config=RoleBasedOperationConfig(model=None, event=None, capability=None, tool=None),
        )
        self._ctx, self._effects = ctx, effects
        self._asked = _asked_in(ctx)

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: None,  # noqa: ARG002 - named so by the method this one stands for
    ) -> object:
        if isinstance(operation_id, EventStreamHandlerId):
            return await body()
        if isinstance(operation_id, ModelRequestId):
            work = _model(name, body, cache_key)
            return await self._ctx.unit(self._key("model", name), work)
        if isinstance(operation_id, ToolsetCallToolId):
            work, call = self._tool(body, cache_key)
            return await _called(self._ctx.unit(self._key(work.name, call), work))
        work = steps.Work("step", name, _in_attempt(body), takes_context=True, retry=TOOL_RETRIES)
        return await self._ctx.unit(self._key(name, ""), work)

    def _key(self, name: str, id: str) -> str:
        """Named by the call's own id; the second call with an id says so."""
        label = f"{name}:{id}" if id else name
        self._asked[label] += 1
        count = self._asked[label]
        return label if count == 1 else f"{label}#{count}"

    def _tool(
        self, body: Callable[[], Awaitable[object]], cache_key: tuple[object, ...]
    ) -> tuple[steps.Work, str]:
        """The call of a tool: its cache key is its name, its arguments and their context."""
        tool = next((str(part) for part in cache_key if isinstance(part, str)), "tool")
        given: dict[str, Any] = next((part for part in cache_key if isinstance(part, dict)), {})
        arguments = dict(given)
        context = next((part for part in cache_key if isinstance(part, TheirContext)), None)
        effect = self._effects.get(tool, Effect.ONCE)
        work = steps.Work(
            type="tool",
            name=tool,
            fn=_in_attempt(body),
            effect=effect,
            timeout=DEFAULT_TIMEOUT_SECONDS,
            retry=TOOL_RETRIES if effect in _REPEATABLE else steps.NO_RETRY,
            takes_context=True,
            shown=lambda: arguments,
            noted=True,
            again=functools.partial(_again, body, given, _validator(cache_key)),
        )
        return work, str((context and context.tool_call_id) or "")


Validate = Callable[[dict[str, object]], dict[str, Any]]


def _validator(cache_key: tuple[object, ...]) -> Validate:
    """What makes the arguments of a call of plain ones, as the tool declares it."""
    tool = next((part for part in cache_key if isinstance(part, ToolsetTool)), None)
    validator = None if tool is None else tool.args_validator
    return dict if validator is None else validator.validate_python


def _again(
    body: Callable[[], Awaitable[object]],
    given: dict[str, Any],
    validate: Validate,
    arguments: Mapping[str, object],
) -> Callable[[ToolContext], Awaitable[object]]:
    """The same call with other arguments. ``body`` reads them from ``given``, which is its own."""
    act = _in_attempt(body)

    async def called(context: ToolContext) -> object:
        checked = validate(dict(arguments))
        given.clear()
        given.update(checked)
        return await act(context)

    return called


async def _called(unit: Awaitable[object]) -> object:
    """What their agent gets of a call: also that it must not happen, which its model hears."""
    try:
        value = await unit
    except Denied as error:
        return {"kind": "tool_failed", "message": str(error)}
    if not isinstance(value, Noted):
        return _returned(value)
    made = _returned(value.value)
    if isinstance(made, dict) and made.get("kind") == "tool_return":
        result = made.get("result")
        heard: object = {"note": value.told, "result": result}
        if isinstance(result, str):
            heard = f"{value.told}\n\n{result}"
        return {**made, "result": heard}
    return made


def _returned(value: object) -> object:
    """What a person said came of a call whose end was lost is what the tool returned."""
    try:
        _RESULT.validate_python(value)
    except ValidationError:
        return {"kind": "tool_return", "result": value}
    return value


def _model(
    name: str, body: Callable[[], Awaitable[object]], cache_key: tuple[object, ...]
) -> steps.Work:
    said = next((list(part) for part in cache_key if isinstance(part, list)), [])
    return steps.Work(
        type="model",
        name="model",
        fn=_asking(body, said),
        timeout=MODEL_TIMEOUT_SECONDS,
        retry=MODEL_RETRIES,
        takes_context=True,
        shown=lambda: {"unit": name, "messages": _last(said)},
        facts=_facts,
    )


def _last(said: list[wire.ModelMessage]) -> object:
    """What this request adds to the one before; all of them together are the conversation."""
    return wire.ModelMessagesTypeAdapter.dump_python(said[-1:], mode="json")


def _facts(response: object) -> dict[str, object]:
    read = _RESPONSE.validate_python(response)
    finish, usage = str(read.finish_reason or "stop"), usage_of(read.usage)
    return {"model": read.model_name or "", "finish": finish, "usage": usage.counts}


def _in_attempt(
    body: Callable[[], Awaitable[object]],
) -> Callable[[ToolContext], Awaitable[object]]:
    async def act(context: ToolContext) -> object:
        token = _attempt.set(context)
        try:
            return await body()
        finally:
            _attempt.reset(token)

    return act


def _asking(
    body: Callable[[], Awaitable[object]], said: list[wire.ModelMessage]
) -> Callable[[ToolContext], Awaitable[object]]:
    """A request to a model, whose errors come in our words and quote nothing."""
    act = _in_attempt(body)

    async def ask(context: ToolContext) -> object:
        try:
            return await act(context)
        except (AgentRunError, UserError) as error:
            failed = failures.told(error, begun=False, key="", said=_quotable(said))
        # Not from within: what the client raised holds the whole request, and tracebacks show it.
        raise failed

    return ask


def _quotable(said: list[wire.ModelMessage]) -> list[Message]:
    dumped = wire.ModelMessagesTypeAdapter.dump_python(said, mode="json")
    return [user(text) for text in leaves(dumped)]


# How often each key was asked for, by the run's context: an agent may be run more than once in it.
_counts: ContextVar[tuple[RunContext, Counter[str]] | None] = ContextVar(
    "agentops_unit_counts", default=None
)


def _asked_in(ctx: RunContext) -> Counter[str]:
    known = _counts.get()
    if known is None or known[0] is not ctx:
        known = (ctx, Counter())
        _counts.set(known)
    return known[1]


async def _show(_: object, events: AsyncIterable[object]) -> None:
    """Show the text of a model as it comes."""
    async for event in events:
        attempt, text = _attempt.get(), text_in(event)
        if attempt is not None and text:
            attempt.stream(text)
