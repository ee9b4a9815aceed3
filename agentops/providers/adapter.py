"""The one place that knows Pydantic AI's models, with what ``failures`` knows of their errors.

Imported by workers, when they first ask a model.

One call is one HTTP request: the clients' own retries are off, because the engine retries and
records every attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter, ValidationError
from pydantic_ai import messages as wire
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from agentops.providers import failures
from agentops.providers.discretion import discreet
from agentops.providers.endpoints import Endpoint
from agentops.sdk.errors import ModelError
from agentops.sdk.messages import Message, Reply, Role, ToolUse, Usage
from agentops.sdk.models import ModelRequest, ToolSpec

Sink = Callable[[str], None]

_FINISH = {"tool_call": "tools", "content_filter": "filtered"}
_RESPONSE = TypeAdapter(wire.ModelResponse)
# The limit of all of an answer must not come before that of its first silence.
_MOMENT = 0.25
# Their loggers write down requests, with prompts, whenever somebody asks for details.
_TALKATIVE = ("openai", "anthropic", "google_genai", "httpx2", "httpcore2")


async def ask(
    endpoint: Endpoint, model: str, request: ModelRequest, *, timeout: float, sink: Sink
) -> Reply:
    """Ask ``model`` once; its text goes to ``sink`` as it comes.

    Raises ModelError, also when the answer breaks off or is not whole within ``timeout`` seconds.
    """
    async with contextlib.aclosing(_answer(endpoint, model, request, timeout)) as parts:
        async for part in parts:
            if isinstance(part, wire.ModelResponse):
                return _reply(part)
            sink(part)
    raise ModelError("cut_off", f"{model}: {failures.CUT_OFF}")


async def _answer(
    endpoint: Endpoint, model: str, request: ModelRequest, timeout: float
) -> AsyncGenerator[str | wire.ModelResponse]:
    """The pieces of the text, then all of the answer. Raises ModelError."""
    said, parameters = _messages(request.messages), _parameters(request)
    client = await _model(endpoint, model)
    begun = False
    try:
        asked = model_request_stream(
            client,
            said,
            model_settings=_settings(request, timeout),
            model_request_parameters=parameters,
        )
        async with asked as stream:
            begun = True
            async for event in stream:
                if text := text_in(event):
                    yield text
            response = stream.get()
        failed = None if _is_whole(response) else ModelError("cut_off", failures.CUT_OFF)
    except Exception as error:  # noqa: BLE001 - a client that is told nonsense may raise anything
        failed = failures.told(error, begun=begun, key=endpoint.key, said=request.messages)
    if failed is not None:
        # Not from within: what the client raised holds the whole request, and tracebacks show it.
        raise ModelError(failed.code, f"{model}: {failed}", after=failed.after, sent=failed.sent)
    yield response


def _settings(request: ModelRequest, timeout: float) -> ModelSettings:
    settings = ModelSettings(
        # Each silence, from the first: the client then says whether the request was sent.
        timeout=timeout,
        # All of it, for who is never silent and never done.
        request_timeout=timeout + _MOMENT,
        max_retries=0,
    )
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    return settings


def text_in(event: object) -> str:
    """The piece of text that an event of a stream brings, or nothing."""
    if isinstance(event, wire.PartStartEvent) and isinstance(event.part, wire.TextPart):
        return event.part.content
    if isinstance(event, wire.PartDeltaEvent) and isinstance(event.delta, wire.TextPartDelta):
        return event.delta.content_delta
    return ""


def _is_whole(response: wire.ModelResponse) -> bool:
    """Whether the provider said that this is the end.

    Pydantic AI takes a stream that just stops for an answer, as some servers never say why they
    stop. Those are not worth half a sentence that passes for all of it.
    """
    details = response.provider_details or {}
    return "finish_reason" in details or response.finish_reason == "content_filter"


# -- models -----------------------------------------------------------------------------------


class _Clients:
    """Those of one loop, to which their connections belong."""

    def __init__(self) -> None:
        self.made: dict[tuple[Endpoint, str], Model[Any]] = {}
        self.open = contextlib.AsyncExitStack()


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


async def _model(endpoint: Endpoint, name: str) -> Model[Any]:
    clients = _clients.setdefault(asyncio.get_running_loop(), _Clients())
    if (endpoint, name) not in clients.made:
        # Not on the loop: the first of each protocol takes seconds, and others have to go on.
        model = await asyncio.to_thread(_make, endpoint, name)
        if clients.made.setdefault((endpoint, name), model) is model:
            await clients.open.enter_async_context(model)
    return clients.made[endpoint, name]


async def close() -> None:
    """Let go of the connections of this loop, before it ends."""
    clients = _clients.pop(asyncio.get_running_loop(), None)
    if clients is not None:
        await clients.open.aclose()


def _make(endpoint: Endpoint, name: str) -> Model[Any]:
    # Each of these packages takes seconds to import; who asks one does not pay for the others.
    maker = import_module(f"agentops.providers.makers.{endpoint.protocol.value}")
    for logger in _TALKATIVE:
        logging.getLogger(logger).setLevel(logging.WARNING)
    try:
        model: Model[Any] = maker.model(endpoint, name)
    except Exception as error:  # noqa: BLE001 - whatever a client makes of a wrong address
        words = discreet(str(error), key=endpoint.key, said=())
        told = f"The endpoint “{endpoint.name}” cannot be used: {words}"
        raise ModelError("connection_failed", told, sent=False) from None
    return model


async def context_window(endpoint: Endpoint, name: str) -> int | None:
    """Tokens the model takes in, as far as Pydantic AI's profile of it knows."""
    return (await _model(endpoint, name)).profile.get("context_window")


# -- what goes out ----------------------------------------------------------------------------


def _parameters(request: ModelRequest) -> ModelRequestParameters:
    answer = request.answer
    return ModelRequestParameters(
        function_tools=[_tool(spec) for spec in request.tools],
        output_mode="tool" if answer else "text",
        output_tools=[_tool(answer, kind="output")] if answer else [],
        allow_text_output=answer is None,
    )


def _tool(spec: ToolSpec, kind: Any = "function") -> ToolDefinition:
    return ToolDefinition(
        name=spec.name,
        description=spec.description or None,
        parameters_json_schema=spec.schema,
        kind=kind,
    )


def _messages(said: Sequence[Message]) -> list[wire.ModelMessage]:
    """Ours as theirs: what comes between two answers of the model is one request."""
    made: list[wire.ModelMessage] = []
    for given in said:
        message = replace(given, text=_sendable(given.text))
        if message.role is Role.ASSISTANT:
            made.append(_response(message))
            continue
        if not made or not isinstance(made[-1], wire.ModelRequest):
            made.append(wire.ModelRequest(parts=[]))
        made[-1] = wire.ModelRequest(parts=[*made[-1].parts, _part(message)])
    return made


def _sendable(value: Any) -> Any:
    """``value`` without halves of letters, which no UTF-8 has a place for."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_sendable(key): _sendable(part) for key, part in value.items()}
    return [_sendable(part) for part in value] if isinstance(value, list) else value


def _part(message: Message) -> wire.ModelRequestPart:
    if message.role is Role.SYSTEM:
        return wire.SystemPromptPart(message.text)
    if message.role is Role.USER:
        return wire.UserPromptPart(message.text)
    return wire.ToolReturnPart(
        tool_name=message.name,
        content=message.text,
        tool_call_id=message.use_id,
        outcome="failed" if message.failed else "success",
    )


def _response(message: Message) -> wire.ModelResponse:
    if message.native is not None:
        with contextlib.suppress(ValidationError):  # written by another release: words and calls
            return _RESPONSE.validate_python(message.native)
    parts: list[wire.ModelResponsePart] = [wire.TextPart(message.text)] if message.text else []
    parts += [
        wire.ToolCallPart(tool_name=use.name, args=_sendable(use.arguments), tool_call_id=use.id)
        for use in message.uses
    ]
    return wire.ModelResponse(parts=parts)


# -- what comes back --------------------------------------------------------------------------


def _reply(response: wire.ModelResponse) -> Reply:
    response = replace(response, parts=_told_apart(response.parts))
    uses = tuple(
        ToolUse(part.tool_call_id, part.tool_name, _arguments(part.args))
        for part in response.parts
        if isinstance(part, wire.ToolCallPart)
    )
    text = "".join(p.content for p in response.parts if isinstance(p, wire.TextPart))
    finish = _FINISH.get(response.finish_reason or "", response.finish_reason or "stop")
    return Reply(
        Message(Role.ASSISTANT, text, uses, native=_native(response)),
        "tools" if uses and finish == "stop" else finish,
        response.model_name or "",
        usage_of(response.usage),
        response.provider_response_id or "",
    )


def _told_apart(parts: Sequence[wire.ModelResponsePart]) -> list[wire.ModelResponsePart]:
    """The parts, no two calls with one id: providers take none of it back otherwise."""
    known: set[str] = set()
    made: list[wire.ModelResponsePart] = []
    for part in parts:
        if isinstance(part, wire.ToolCallPart):
            given, n = part.tool_call_id, 1
            while part.tool_call_id in known:
                n += 1
                part = replace(part, tool_call_id=f"{given}-{n}")  # noqa: PLW2901 - until it is new
            known.add(part.tool_call_id)
        made.append(part)
    return made


def _native(response: wire.ModelResponse) -> dict[str, object] | None:
    """The whole answer where a part of it is more than words and calls."""
    plain = all(
        isinstance(part, (wire.TextPart, wire.ToolCallPart)) and not part.provider_details
        for part in response.parts
    )
    if plain:
        return None
    return dict(_RESPONSE.dump_python(response, mode="json"))


def _arguments(given: Any) -> dict[str, object] | str:
    if not isinstance(given, str):
        return dict(given or {})
    try:
        read = json.loads(given or "{}")
    except ValueError:
        return given
    return read if isinstance(read, dict) else given


def usage_of(usage: RequestUsage) -> Usage:
    """Theirs as ours."""
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.output_reasoning_tokens,
        measured=bool(usage.input_tokens or usage.output_tokens),
    )
