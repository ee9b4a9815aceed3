"""The one place that knows Pydantic AI's models. Imported by workers, when they first ask one.

One call is one HTTP request: the clients' own retries are off, because the engine retries and
records every attempt.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter
from pydantic_ai import exceptions as theirs
from pydantic_ai import messages as wire
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from agentops.providers.endpoints import Endpoint
from agentops.sdk.errors import ModelError
from agentops.sdk.messages import Message, Reply, Role, ToolUse, Usage
from agentops.sdk.models import ModelRequest, ToolSpec

Sink = Callable[[str], None]

_FINISH = {"tool_call": "tools", "content_filter": "filtered"}
# Subclasses come before what they are subclasses of.
_CODES: Sequence[tuple[type[Exception], str]] = (
    (theirs.ModelRateLimitError, "rate_limited"),
    (theirs.ModelQuotaExceededError, "quota_exceeded"),
    (theirs.ModelOverloadedError, "overloaded"),
    (theirs.ModelUnavailableError, "overloaded"),
    (theirs.ModelServerError, "provider_error"),
    (theirs.ModelTimeoutError, "timeout"),
    (theirs.ModelConnectionError, "connection_failed"),
    (theirs.ModelAuthenticationError, "authentication_failed"),
    (theirs.ModelNotFoundError, "model_not_found"),
    (theirs.ModelContextWindowExceededError, "context_overflow"),
    (theirs.ContentFilterError, "content_filtered"),
    (theirs.ModelRequestRejectedError, "request_rejected"),
)
_RESPONSE = TypeAdapter(wire.ModelResponse)
_UNSENT = frozenset({"pool", "connect"})


async def ask(
    endpoint: Endpoint, model: str, request: ModelRequest, *, timeout: float, sink: Sink
) -> Reply:
    """Ask ``model`` once; its text goes to ``sink`` as it comes. Raises ModelError."""
    settings = ModelSettings(timeout=timeout, max_retries=0)
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    try:
        async with model_request_stream(
            _model(endpoint, model),
            _messages(request.messages),
            model_settings=settings,
            model_request_parameters=_parameters(request),
        ) as stream:
            async for event in stream:
                _show(event, sink)
            return _reply(stream.get())
    except (theirs.AgentRunError, theirs.UserError) as error:
        raise _told(error, model) from error


def _show(event: object, sink: Sink) -> None:
    if isinstance(event, wire.PartStartEvent) and isinstance(event.part, wire.TextPart):
        sink(event.part.content)
    elif isinstance(event, wire.PartDeltaEvent) and isinstance(event.delta, wire.TextPartDelta):
        sink(event.delta.content_delta)


def _told(error: Exception, model: str) -> ModelError:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    if not code:
        code = "request_rejected" if isinstance(error, theirs.UserError) else "provider_error"
    sent = getattr(error, "phase", None) not in _UNSENT
    if code in {"connection_failed", "timeout"} and getattr(error, "in_stream", False):
        code = "cut_off"
    after = getattr(error, "retry_after", None)
    return ModelError(code, f"{model}: {_words(error)}", after=after, sent=sent)


def _words(error: Exception) -> str:
    """What the provider says is wrong; never the whole answer, which may quote the prompt."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    said = inner.get("message") if isinstance(inner, dict) else None
    status = getattr(error, "status_code", None)
    text = str(said or getattr(error, "message", "") or type(error).__name__)
    return f"HTTP {status}: {text}"[:500] if status else text[:500]


# -- models -----------------------------------------------------------------------------------


# Clients keep connections, which belong to the loop they were made on.
_made: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Endpoint, str], Model[Any]]] = (
    WeakKeyDictionary()
)


def _model(endpoint: Endpoint, name: str) -> Model[Any]:
    made = _made.setdefault(asyncio.get_running_loop(), {})
    if (endpoint, name) not in made:
        # Each of these packages takes seconds to import; who asks one does not pay for the others.
        maker = import_module(f"agentops.providers.makers.{endpoint.protocol.value}")
        made[endpoint, name] = maker.model(endpoint, name)
    return made[endpoint, name]


async def context_window(endpoint: Endpoint, name: str) -> int | None:
    """Tokens the model takes in, as far as Pydantic AI's profile of it knows."""
    return _model(endpoint, name).profile.get("context_window")


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
    for message in said:
        if message.role is Role.ASSISTANT:
            made.append(_response(message))
            continue
        if not made or not isinstance(made[-1], wire.ModelRequest):
            made.append(wire.ModelRequest(parts=[]))
        made[-1] = wire.ModelRequest(parts=[*made[-1].parts, _part(message)])
    return made


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
        return _RESPONSE.validate_python(message.native)
    parts: list[wire.ModelResponsePart] = [wire.TextPart(message.text)] if message.text else []
    parts += [
        wire.ToolCallPart(tool_name=use.name, args=use.arguments, tool_call_id=use.id)
        for use in message.uses
    ]
    return wire.ModelResponse(parts=parts)


# -- what comes back --------------------------------------------------------------------------


def _reply(response: wire.ModelResponse) -> Reply:
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
        _usage(response.usage),
        response.provider_response_id or "",
    )


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


def _usage(usage: RequestUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.output_reasoning_tokens,
        measured=bool(usage.input_tokens or usage.output_tokens),
    )
