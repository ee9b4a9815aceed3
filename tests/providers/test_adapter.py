"""What comes of every fault of a provider: what the adapter raises or returns, and one request."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

import pytest

from agentops.providers.endpoints import Protocol
from agentops.sdk.errors import ModelError
from agentops.sdk.messages import ToolUse, user
from tests.modelserver import FAULTS, Answer, Fault, ModelServer, doors
from tests.modelserver.faults import HUGE, TEXT
from tests.providers.asking import KEY, PROMPT, ask

pytestmark = pytest.mark.usefixtures("connections")

OPENAI, ANTHROPIC = Protocol.OPENAI, Protocol.ANTHROPIC
BOTH = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
# Faults that end with the patience of the client.
WAITING = {"silence", "stall", "trickle"}
SHORT = 0.4


@dataclass(frozen=True)
class Raises:
    """A ModelError. ``retry``: whether the same model may do better. ``sent``: it may be paid."""

    code: str
    retry: bool
    after: float | None = None
    sent: bool = True


@dataclass(frozen=True)
class Returns:
    """A Reply."""

    text: str = ""
    finish: str = "stop"
    uses: tuple[ToolUse, ...] = ()
    measured: bool = True


LIMITED = Raises("rate_limited", True, 7, sent=False)
BROKEN = Raises("provider_error", True)
FULL = Raises("overloaded", True, sent=False)
CUT = Raises("cut_off", True)
LOST = Raises("connection_failed", True)
DENIED = Raises("authentication_failed", False, sent=False)
UNPAID = Raises("quota_exceeded", False, sent=False)
TOO_LONG = Raises("context_overflow", False, sent=False)
WRONG = Raises("request_rejected", False, sent=False)


def _called(arguments: dict[str, object] | str, finish: str = "tools") -> Returns:
    return Returns(finish=finish, uses=(ToolUse("call_1", "look", arguments),))


# What comes of each fault. Where the protocols differ, OpenAI's comes first.
TABLE: dict[str, Raises | Returns] = {
    "rate_limited": LIMITED,
    "rate_limited_until": LIMITED,
    "rate_limited_briefly": LIMITED,
    "rate_limited_silently": Raises("rate_limited", True, sent=False),
    "server_error": BROKEN,
    "bad_gateway": BROKEN,
    "overloaded": FULL,
    "unavailable": FULL,
    "unauthorised": DENIED,
    "forbidden": DENIED,
    "no_quota": UNPAID,
    "unpaid": UNPAID,
    "no_model": Raises("model_not_found", False, sent=False),
    "too_long": TOO_LONG,
    "too_long_in_words": TOO_LONG,
    "bad_request": WRONG,
    "teapot": WRONG,
    "off_script": WRONG,
    "moved": BROKEN,
    "blocked": Raises("content_filtered", False),
    "refused_in_stream": Raises("overloaded", True),
    "hang_up": LOST,
    "reset": LOST,
    "silence": Raises("timeout", True),
    "stall": CUT,
    "trickle": CUT,
    "cut": CUT,
    "cut_cleanly": CUT,
    "no_stream": BROKEN,
    "garbage": BROKEN,
    "garbage_in_stream": BROKEN,
    "odd_event": BROKEN,
    "slow_first_token": Returns(TEXT),
    "empty": Returns(),
    "no_usage": Returns(TEXT, measured=False),
    "length": Returns(TEXT, "length"),
    "length_in_call": _called('{"at": "th', "length"),
    "filtered": Returns("The sky", "filtered"),
    "huge": Returns(HUGE),
    "not_json": _called("at the sky"),
    "half_json": _called('{"at": "the sk'),
    "listed": _called('["the sky"]'),
    "unknown_tool": Returns(finish="tools", uses=(ToolUse("call_1", "levitate", {"height": 3}),)),
    # The second gets an id of its own, or the provider would refuse the answers to both.
    "doubled_ids": Returns(
        finish="tools",
        uses=(ToolUse("c1", "look", {"at": "sky"}), ToolUse("c1-2", "look", {"at": "sea"})),
    ),
}


def test_the_table_names_every_fault() -> None:
    assert TABLE.keys() == FAULTS.keys()


@BOTH
@pytest.mark.parametrize("name", TABLE)
async def test_a_fault_ends_as_the_table_says_after_one_request(
    name: str, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fault = Fault(name, SHORT if name == "slow_first_token" else 7)
    patience = SHORT if name in WAITING else 60.0
    async with ModelServer([fault]) as server:
        if isinstance(expected := TABLE[name], Raises):
            with pytest.raises(ModelError) as raised:
                await ask(server, protocol, timeout=patience)
            _assert_raised(raised.value, expected)
        else:
            await _assert_returned(server, protocol, expected)
        assert len(server.asked) == server.connections == 1
    assert KEY not in caplog.text
    assert PROMPT not in caplog.text


def _assert_raised(error: ModelError, expected: Raises) -> None:
    assert (error.code, error.retry) == (expected.code, expected.retry)
    assert error.sent is expected.sent
    # A date holds whole seconds, of which some have passed.
    assert error.after == (expected.after and pytest.approx(expected.after, abs=3))
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in shown
    assert PROMPT not in shown
    assert error.__cause__ is None
    assert error.__context__ is None


async def _assert_returned(server: ModelServer, protocol: Protocol, expected: Returns) -> None:
    pieces: list[str] = []
    reply = await ask(server, protocol, pieces=pieces)
    said = Returns(reply.text, reply.finish, reply.message.uses, reply.usage.measured)
    assert said == expected
    assert "".join(pieces) == expected.text


# -- before a request is sent -----------------------------------------------------------------


@BOTH
async def test_a_refused_connection_was_never_sent(protocol: Protocol) -> None:
    with doors.shut() as address, pytest.raises(ModelError) as raised:
        await ask(address, protocol)
    assert (raised.value.code, raised.value.sent) == ("connection_failed", False)


@BOTH
async def test_a_timeout_while_connecting_was_never_sent(protocol: Protocol) -> None:
    with doors.full() as address, pytest.raises(ModelError) as raised:
        await ask(address, protocol, timeout=SHORT)
    assert (raised.value.code, raised.value.sent) == ("timeout", False)


@BOTH
async def test_a_reset_before_anything_was_read_may_have_been_sent(protocol: Protocol) -> None:
    with doors.slammed() as (address, taken), pytest.raises(ModelError) as raised:
        await ask(address, protocol)
    assert (raised.value.code, raised.value.sent) == ("connection_failed", True)
    assert len(taken) == 1


@BOTH
@pytest.mark.parametrize("address", ["nowhere", "http://[", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_the_trouble_of_its_endpoint(
    address: str, protocol: Protocol
) -> None:
    with pytest.raises(ModelError) as raised:
        await ask(address, protocol)
    assert raised.value.code == "connection_failed"


@BOTH
async def test_a_first_token_that_is_too_slow_was_sent(protocol: Protocol) -> None:
    async with ModelServer([Fault("slow_first_token", 30)]) as server:
        with pytest.raises(ModelError) as raised:
            await ask(server, protocol, timeout=SHORT)
        assert len(server.asked) == 1
    assert (raised.value.code, raised.value.sent) == ("timeout", True)


@BOTH
async def test_the_text_before_a_cut_was_shown_but_is_no_answer(protocol: Protocol) -> None:
    pieces: list[str] = []
    async with ModelServer([Fault("cut")]) as server:
        with pytest.raises(ModelError, match="broke off"):
            await ask(server, protocol, pieces=pieces)
    assert 0 < len("".join(pieces)) < len(TEXT)
    assert TEXT.startswith("".join(pieces))


@BOTH
async def test_a_connection_serves_the_next_request_after_a_refusal(protocol: Protocol) -> None:
    async with ModelServer([Fault("server_error"), "Better."]) as server:
        with pytest.raises(ModelError):
            await ask(server, protocol)
        assert (await ask(server, protocol)).text == "Better."
        assert server.connections == 1


# -- discretion -------------------------------------------------------------------------------


@BOTH
async def test_a_refusal_keeps_the_words_of_the_provider(protocol: Protocol) -> None:
    async with ModelServer([Fault("too_long_in_words")]) as server:
        with pytest.raises(ModelError, match=r"maximum") as raised:
            await ask(server, protocol)
    assert "You sent “…” with the key …." in str(raised.value)


@BOTH
@pytest.mark.parametrize("prompt", ["rosebud", 'A "quoted"\nline\tof Grüße', "x" * 100_000])
async def test_no_prompt_is_quoted_however_it_is_written(prompt: str, protocol: Protocol) -> None:
    async with ModelServer([Fault("bad_request")]) as server:
        with pytest.raises(ModelError) as raised:
            await ask(server, protocol, user(prompt))
    assert prompt[:100] not in str(raised.value)
    assert "…" in str(raised.value)


async def test_what_a_sink_raises_is_not_taken_for_a_fault_of_the_provider() -> None:
    class Full(list[str]):
        def append(self, _: str) -> None:
            raise OSError("no space left")

    async with ModelServer([Answer(TEXT)]) as server:
        with pytest.raises(OSError, match="no space"):
            await ask(server, OPENAI, pieces=Full())
