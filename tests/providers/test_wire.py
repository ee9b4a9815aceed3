"""What goes over the wire, as each provider wants it, and what comes back of it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from agentops.providers.endpoints import Protocol
from agentops.sdk import codec
from agentops.sdk.errors import ModelError
from agentops.sdk.messages import Message, ToolUse, assistant, result, system, user
from agentops.sdk.models import AnswerForm
from tests.modelserver import Answer, Call, Fault, ModelServer
from tests.providers.asking import KEY, LOOK, MODELS, PROMPT, ask, endpoint

pytestmark = pytest.mark.usefixtures("connections")

OPENAI, ANTHROPIC = Protocol.OPENAI, Protocol.ANTHROPIC
BOTH = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
SKY, SEA = ToolUse("c1", "look", {"at": "sky"}), ToolUse("c2", "look", {"at": "sea"})
TALK = (
    system("Be brief."),
    user("What is there?"),
    assistant("I look.", SKY, SEA),
    result(SKY, "blue"),
    result(SEA, "no such place", failed=True),
    user("And now?"),
)


async def _body(protocol: Protocol, *said: Message, **how: Any) -> dict[str, Any]:
    """What a request looks like to the provider."""
    async with ModelServer(["Fine."]) as server:
        await ask(server, protocol, *said, **how)
        return server.asked[0].body


# -- going out --------------------------------------------------------------------------------


async def test_openai_gets_every_message_in_its_own_form() -> None:
    said = (await _body(OPENAI, *TALK))["messages"]
    assert [message["role"] for message in said] == [
        "system", "user", "assistant", "tool", "tool", "user",
    ]  # fmt: skip
    assert said[0]["content"] == "Be brief."
    assert said[1]["content"] == "What is there?"
    assert said[2]["content"] == "I look."
    assert [(c["id"], c["function"]["name"]) for c in said[2]["tool_calls"]] == [
        ("c1", "look"),
        ("c2", "look"),
    ]
    assert json.loads(said[2]["tool_calls"][0]["function"]["arguments"]) == {"at": "sky"}
    assert [m["tool_call_id"] for m in said[3:5]] == ["c1", "c2"]
    assert said[3]["content"] == "blue"
    assert "no such place" in said[4]["content"]
    assert said[5]["content"] == "And now?"


async def test_anthropic_gets_every_message_in_its_own_form() -> None:
    body = await _body(ANTHROPIC, *TALK)
    assert _text(body["system"]) == "Be brief."
    said = body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert _text(said[0]["content"]) == "What is there?"
    words, first, second = said[1]["content"]
    assert words["text"] == "I look."
    assert (first["type"], first["id"], first["input"]) == ("tool_use", "c1", {"at": "sky"})
    assert (second["id"], second["input"]) == ("c2", {"at": "sea"})
    blue, failed, more = said[2]["content"]
    assert (blue["type"], blue["tool_use_id"]) == ("tool_result", "c1")
    assert _text(blue["content"]) == "blue"
    assert not blue["is_error"]
    assert failed["tool_use_id"] == "c2"
    assert failed["is_error"] is True
    assert "no such place" in _text(failed["content"])
    assert more["text"] == "And now?"


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


@BOTH
async def test_tools_are_offered_with_their_schema_and_may_be_left_alone(
    protocol: Protocol,
) -> None:
    body = await _body(protocol)
    [tool] = body["tools"]
    told = tool.get("function", tool)
    assert (told["name"], told["description"]) == ("look", "See what is there.")
    schema = told.get("parameters") or told["input_schema"]
    assert schema["properties"] == {"at": {"type": "string"}}
    assert schema["required"] == ["at"]
    assert body.get("tool_choice", "auto") in ("auto", {"type": "auto"})


@BOTH
async def test_without_tools_none_are_mentioned(protocol: Protocol) -> None:
    body = await _body(protocol, tools=())
    assert not body.get("tools")
    assert "tool_choice" not in body


@BOTH
async def test_a_structured_answer_has_to_come_through_a_tool(protocol: Protocol) -> None:
    form = AnswerForm(dict[str, int])
    said = Answer(calls=(Call("answer", {"legs": 4}, "a1"),))
    async with ModelServer([said]) as server:
        reply = await ask(server, protocol, answer=form.spec)
        body, offered = server.asked[0].body, server.asked[0].tools
    assert list(offered) == ["look", "answer"]
    assert body["tool_choice"] in ("required", {"type": "any"})
    assert reply.message.uses == (ToolUse("a1", "answer", {"legs": 4}),)
    assert form.read(reply.message.uses[0].arguments) == {"legs": 4}


@BOTH
async def test_limits_and_usage_are_asked_for(protocol: Protocol) -> None:
    body = await _body(protocol, max_tokens=123)
    assert 123 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["stream"] is True
    assert body["model"] == MODELS[protocol]
    if protocol is OPENAI:
        assert body["stream_options"]["include_usage"] is True


# -- coming back ------------------------------------------------------------------------------


@BOTH
async def test_the_text_reaches_the_sink_in_order_and_as_it_comes(protocol: Protocol) -> None:
    text = "One two three four five six seven eight."
    pieces: list[str] = []
    async with ModelServer([Answer(text, pieces=8)]) as server:
        reply = await ask(server, protocol, pieces=pieces)
    assert len(pieces) == 8
    assert "".join(pieces) == reply.text == text


@BOTH
async def test_text_is_shown_before_the_answer_is_whole(protocol: Protocol) -> None:
    shown = asyncio.Event()

    class Watched(list[str]):
        def append(self, piece: str) -> None:
            super().append(piece)
            shown.set()

    async with ModelServer([Fault("stall")]) as server:
        asking = asyncio.create_task(ask(server, protocol, pieces=Watched()))
        await shown.wait()
        assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


@BOTH
async def test_an_answer_tells_its_model_its_tokens_and_its_id(protocol: Protocol) -> None:
    async with ModelServer([Answer("Fine.", tokens=(31, 5))]) as server:
        reply = await ask(server, protocol)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (31, 5)
    assert reply.usage.measured
    assert reply.model == MODELS[protocol]
    assert reply.request_id in {"chatcmpl-1", "msg_1"}


@BOTH
async def test_calls_of_tools_come_back_to_the_provider_with_their_ids(
    protocol: Protocol,
) -> None:
    wanted = Answer("Both.", calls=(Call("look", {"at": "sky"}), Call("look", {"at": "sea"})))
    async with ModelServer([wanted, "Blue."]) as server:
        first = await ask(server, protocol, user(PROMPT))
        assert first.message.uses == (
            ToolUse("call_1", "look", {"at": "sky"}),
            ToolUse("call_2", "look", {"at": "sea"}),
        )
        told = [result(use, str(use.arguments)) for use in first.message.uses]
        assert (await ask(server, protocol, user(PROMPT), first.message, *told)).text == "Blue."
        assert _ids(server.asked[1].messages) == ["call_1", "call_2", "call_1", "call_2"]


def _ids(said: list[dict[str, Any]]) -> list[str]:
    """The ids of calls, then of results, in order."""
    blocks = [b for m in said if isinstance(m["content"], list) for b in m["content"]]
    calls = [call["id"] for message in said for call in message.get("tool_calls", ())]
    calls += [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [message["tool_call_id"] for message in said if "tool_call_id" in message]
    return calls + results + [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]


@BOTH
async def test_calls_that_had_one_id_come_back_with_one_each(protocol: Protocol) -> None:
    async with ModelServer([Fault("doubled_ids"), "Blue."]) as server:
        first = (await ask(server, protocol, user(PROMPT))).message
        told = [result(use, "blue") for use in first.uses]
        await ask(server, protocol, user(PROMPT), first, *told)
        assert _ids(server.asked[1].messages) == ["c1", "c1-2", "c1", "c1-2"]


@BOTH
@pytest.mark.parametrize("fault", ["not_json", "half_json", "listed", "unknown_tool", "empty"])
async def test_what_a_model_got_wrong_can_be_said_again(fault: str, protocol: Protocol) -> None:
    async with ModelServer([Fault(fault), "Sorry."]) as server:
        first = (await ask(server, protocol, user(PROMPT))).message
        told = [result(use, "No.", failed=True) for use in first.uses]
        again = await ask(server, protocol, user(PROMPT), first, *told, user("Go on."))
        assert again.text == "Sorry."
        said = server.asked[1].messages
    assert len(_ids(said)) == 2 * len(first.uses)
    for block in (b for m in said if isinstance(m["content"], list) for b in m["content"]):
        # Anthropic refuses anything else.
        assert isinstance(block.get("input", {}), dict)
        assert block.get("text") != ""


async def test_thoughts_and_their_signature_survive_the_journal() -> None:
    thought = Answer(
        "Blue.", (Call("look", {"at": "sky"}),), thinking="Skies are blue.", signature="c2lnbmVk"
    )
    async with ModelServer([thought, "Still blue."]) as server:
        first = (await ask(server, ANTHROPIC, user(PROMPT))).message
        assert first.text == "Blue."
        recorded = codec.canonical(first.native)
        back = Message(first.role, first.text, first.uses, native=json.loads(recorded))
        told = result(first.uses[0], "blue")
        await ask(server, ANTHROPIC, user(PROMPT), back, told)
        thinking, text, use = server.asked[1].messages[1]["content"]
    assert (thinking["thinking"], thinking["signature"]) == ("Skies are blue.", "c2lnbmVk")
    assert (text["text"], use["id"], use["input"]) == ("Blue.", "call_1", {"at": "sky"})


@BOTH
@pytest.mark.parametrize("native", [{"kind": "of another release"}, {"parts": 7}])
async def test_what_no_longer_can_be_read_is_said_in_words_and_calls(
    native: dict[str, object], protocol: Protocol
) -> None:
    said = Message(TALK[2].role, "I look.", (SKY,), native=native)
    body = await _body(protocol, user("Hello"), said, result(SKY, "blue"))
    assert "I look." in json.dumps(body["messages"])
    assert _ids(body["messages"]) == ["c1", "c1"]


async def test_thoughts_of_one_provider_are_no_trouble_to_another() -> None:
    thought = Answer("Blue.", thinking="Skies are blue.", signature="c2lnbmVk")
    async with ModelServer([thought, "Yes."]) as server:
        first = (await ask(server, ANTHROPIC, user(PROMPT))).message
        await ask(server, OPENAI, user(PROMPT), first, user("Sure?"))
        said = server.asked[1].messages
    assert [m["role"] for m in said] == ["user", "assistant", "user"]
    assert "c2lnbmVk" not in json.dumps(said)


# -- keys -------------------------------------------------------------------------------------


@BOTH
async def test_the_key_goes_into_one_header_and_nowhere_else(
    protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ModelServer(["Fine."]) as server:
        at = endpoint(server, protocol)
        reply = await ask(server, protocol)
        [asked] = server.asked
    holding = {name for name, value in asked.headers.items() if KEY in value}
    assert holding == {"authorization"}
    assert KEY not in json.dumps(asked.body)
    assert KEY not in caplog.text + repr(at) + str(at) + repr(reply)


@BOTH
@pytest.mark.parametrize(
    "variable", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]
)
async def test_no_key_of_the_environment_is_sent_to_an_endpoint_without_one(
    variable: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "sk-of-somebody-else")
    async with ModelServer(["Fine."]) as server:
        await ask(server, protocol, key="")
        assert "sk-of-somebody-else" not in str(server.asked[0].headers)


@BOTH
async def test_details_in_the_log_hold_no_prompt(
    protocol: Protocol, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{protocol.value.upper()}_LOG", "debug")
    logging.getLogger(protocol.value).setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    async with ModelServer([Fault("rate_limited"), "Fine."]) as server:
        with pytest.raises(ModelError):
            await ask(server, protocol)
        await ask(server, protocol)
    assert PROMPT not in caplog.text
    assert LOOK.description not in caplog.text
