"""What we rely on of Pydantic AI. A new release that breaks none of this can be taken."""

from __future__ import annotations

import ast
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter
from pydantic_ai import direct, durable_exec, models, settings, tools, usage
from pydantic_ai import exceptions as theirs
from pydantic_ai import messages as wire
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

import agentops
from agentops.providers.endpoints import Protocol
from tests.modelserver import Answer, Call, Fault, ModelServer
from tests.modelserver.server import Script
from tests.providers.asking import MODELS, endpoint

OPENAI, ANTHROPIC = Protocol.OPENAI, Protocol.ANTHROPIC
BOTH = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
OURS = Path(agentops.__file__).parent
VERSION = "2.68.0"


def test_the_release_is_the_one_this_file_was_read_against() -> None:
    assert metadata.version("pydantic-ai-slim") == VERSION
    pinned = (OURS.parent / "pyproject.toml").read_text()
    assert f'"pydantic-ai-slim[anthropic,google,mcp,openai]=={VERSION}"' in pinned


def _imported() -> Iterator[tuple[str, str]]:
    for path in OURS.rglob("*.py"):
        if "pydantic_ai" not in path.read_text():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pydantic_ai"):
                yield from ((str(node.module), alias.name) for alias in node.names)


def test_only_public_names_are_imported() -> None:
    found = sorted(set(_imported()))
    assert ("pydantic_ai.direct", "model_request_stream") in found
    for module, name in found:
        assert "._" not in module
        assert not name.startswith("_")
        exported = getattr(import_module(module), "__all__", None)
        known = exported is None or name in exported or find_spec(f"{module}.{name}")
        assert known, f"{module}.{name} is not exported"


CALLED: list[tuple[Callable[..., object], set[str]]] = [
    (
        direct.model_request_stream,
        {"model", "messages", "model_settings", "model_request_parameters"},
    ),
    (
        models.ModelRequestParameters,
        {"function_tools", "output_mode", "output_tools", "allow_text_output"},
    ),
    (tools.ToolDefinition, {"name", "description", "parameters_json_schema", "kind"}),
    (wire.SystemPromptPart, {"content"}),
    (wire.UserPromptPart, {"content"}),
    (wire.TextPart, {"content", "provider_details"}),
    (wire.ToolCallPart, {"tool_name", "args", "tool_call_id", "provider_details"}),
    (wire.ToolReturnPart, {"tool_name", "content", "tool_call_id", "outcome"}),
    (wire.ModelRequest, {"parts"}),
    (
        wire.ModelResponse,
        {"parts", "model_name", "finish_reason", "usage", "provider_details"}
        | {"provider_response_id"},
    ),
    (OpenAIProvider, {"api_key", "base_url"}),
    (AnthropicProvider, {"api_key", "base_url"}),
    (GoogleProvider, {"api_key", "base_url"}),
    (
        durable_exec.JournalCallableOperationBackend.execute,
        {"operation_id", "name", "body", "cache_key", "config"},
    ),
    (durable_exec.record_durable_unit, {"executed"}),
    (durable_exec.replay_scope, set()),
]


@pytest.mark.parametrize(("called", "needed"), CALLED, ids=lambda of: getattr(of, "__name__", ""))
def test_what_we_call_takes_what_we_give(called: Callable[..., object], needed: set[str]) -> None:
    assert needed <= set(inspect.signature(called).parameters)


def test_the_settings_we_give_exist() -> None:
    needed = {"timeout", "request_timeout", "max_retries", "max_tokens", "temperature"}
    assert needed <= set(settings.ModelSettings.__annotations__)


def test_the_counts_we_read_exist() -> None:
    counted = usage.RequestUsage(input_tokens=1)
    for name in ("output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert getattr(counted, name) == 0
    assert counted.output_reasoning_tokens == 0


# What is asked for first is the more special one: nothing of the first column may be caught by a
# line above it that means something else.
KINDS: list[tuple[type[Exception], type[Exception]]] = [
    (theirs.ModelRateLimitError, theirs.ModelAPIError),
    (theirs.ModelQuotaExceededError, theirs.ModelAPIError),
    (theirs.ModelOverloadedError, theirs.ModelUnavailableError),
    (theirs.ModelUnavailableError, theirs.ModelAPIError),
    (theirs.ModelServerError, theirs.ModelAPIError),
    (theirs.ModelTimeoutError, theirs.ModelConnectionError),
    (theirs.ModelRequestTimeout, theirs.ModelAPIError),
    (theirs.ModelConnectionError, theirs.ModelAPIError),
    (theirs.ModelAuthenticationError, theirs.ModelRequestRejectedError),
    (theirs.ModelNotFoundError, theirs.ModelRequestRejectedError),
    (theirs.ModelContextWindowExceededError, theirs.ModelRequestRejectedError),
    (theirs.ModelRequestRejectedError, theirs.ModelAPIError),
    (theirs.ContentFilterError, theirs.UnexpectedModelBehavior),
    (theirs.ModelHTTPError, theirs.ModelAPIError),
    (theirs.ModelAPIError, theirs.AgentRunError),
    (theirs.UnexpectedModelBehavior, theirs.AgentRunError),
]


@pytest.mark.parametrize(("kind", "above"), KINDS, ids=lambda of: of.__name__)
def test_a_category_of_errors_stands_where_we_look_for_it(
    kind: type[Exception], above: type[Exception]
) -> None:
    assert kind.__bases__ == (above,)


def test_an_error_tells_what_we_read_of_it() -> None:
    error = theirs.ModelHTTPError.for_category(
        theirs.ModelRateLimitError,
        status_code=429,
        model_name="m",
        body={"error": {"message": "slow"}},
        headers={"Retry-After": "7"},
        provider_error_code="slow",
    )
    assert isinstance(error, theirs.ModelRateLimitError)
    told = (error.status_code, error.retry_after, error.provider_error_code, error.in_stream)
    assert told == (429, 7.0, "slow", False)
    assert theirs.ModelConnectionError("m", "gone", phase="connect").phase == "connect"
    assert set(get_args(theirs.TransportPhase)) == {"pool", "connect", "write", "read"}


@contextlib.asynccontextmanager
async def _model(server: ModelServer, protocol: Protocol) -> AsyncIterator[models.Model[Any]]:
    maker = import_module(f"agentops.providers.makers.{protocol.value}")
    async with maker.model(endpoint(server, protocol), MODELS[protocol]) as model:
        yield model


async def _streamed(model: models.Model[Any]) -> wire.ModelResponse:
    async with direct.model_request_stream(model, HELLO) as stream:
        async for _ in stream:
            pass
    return stream.get()


HELLO = [wire.ModelRequest(parts=[wire.UserPromptPart("Hello")])]


@BOTH
async def test_clients_retry_by_themselves_unless_they_are_told_not_to(protocol: Protocol) -> None:
    script: Script = [
        Fault("rate_limited_briefly", 0.001),
        "Fine.",
        Fault("rate_limited_briefly", 0.001),
    ]
    async with ModelServer(script) as server, _model(server, protocol) as model:
        await direct.model_request(model, HELLO)
        assert len(server.asked) == 2
        never = settings.ModelSettings(max_retries=0)
        with pytest.raises(theirs.ModelRateLimitError):
            await direct.model_request(model, HELLO, model_settings=never)
        assert len(server.asked) == 3


@BOTH
async def test_an_answer_at_once_says_what_a_streamed_one_says(protocol: Protocol) -> None:
    answer = Answer("I look.", (Call("look", {"at": "sky"}, "c1"),), tokens=(9, 4))
    async with ModelServer([answer, answer]) as server, _model(server, protocol) as model:
        responses = [await direct.model_request(model, HELLO), await _streamed(model)]
        # Anthropic's client streams in any case, because long answers take long.
        assert [asked.streams for asked in server.asked] == [protocol is ANTHROPIC, True]
    for response in responses:
        text, call = response.parts
        assert isinstance(text, wire.TextPart)
        assert isinstance(call, wire.ToolCallPart)
        assert text.content == "I look."
        assert (call.tool_call_id, call.args_as_dict()) == ("c1", {"at": "sky"})
        assert (response.usage.input_tokens, response.usage.output_tokens) == (9, 4)
        assert response.finish_reason == "tool_call"


@BOTH
async def test_only_its_details_tell_a_stream_that_ended_from_one_that_stopped(
    protocol: Protocol,
) -> None:
    script: Script = ["Fine.", Fault("cut_cleanly")]
    async with ModelServer(script) as server, _model(server, protocol) as model:
        ended, stopped = await _streamed(model), await _streamed(model)
    assert "finish_reason" in (ended.provider_details or {})
    assert "finish_reason" not in (stopped.provider_details or {})


@BOTH
async def test_a_response_can_be_written_down_and_read_again(protocol: Protocol) -> None:
    kept = TypeAdapter(wire.ModelResponse)
    script = [Answer("Fine.", thinking="Hm.", signature="c2ln")]
    async with ModelServer(script) as server, _model(server, protocol) as model:
        response = await _streamed(model)
    back = kept.validate_python(kept.dump_python(response, mode="json"))
    assert back.parts == response.parts
    assert len(back.parts) == (1 if protocol is OPENAI else 2)


@BOTH
async def test_pieces_of_text_come_as_the_events_we_look_for(protocol: Protocol) -> None:
    text = ""
    script = [Answer("Come what may.", pieces=3)]
    async with (
        ModelServer(script) as server,
        _model(server, protocol) as model,
        direct.model_request_stream(model, HELLO) as stream,
    ):
        async for event in stream:
            match event:
                case wire.PartStartEvent(part=wire.TextPart(content=piece)):
                    text += piece
                case wire.PartDeltaEvent(delta=wire.TextPartDelta(content_delta=piece)):
                    text += piece
    assert text == "Come what may."
