"""The server that plays the providers: it counts, waits and breaks when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.modelserver import Answer, Asked, Call, Count, Fault, ModelServer
from tests.modelserver.behaviours import behave, fitting
from tests.modelserver.server import Script

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [
    {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}},
                                    "required": ["at"]}},
    {"name": "answer", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}},
                                      "required": ["n"]}},
]  # fmt: skip


def _openai(*said: dict[str, Any], model: str = "plain", tools: int = 0) -> dict[str, Any]:
    offered = [{"type": "function", "function": tool} for tool in TOOLS[:tools]]
    return {"model": model, "messages": list(said), "tools": offered}


def _said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server as a process, and its address."""
    command = [sys.executable, "-m", "tests.modelserver", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()
            assert process.wait(10) == 0


# -- in the test's own process ----------------------------------------------------------------


async def test_a_script_is_answered_in_turn_and_says_when_it_is_over() -> None:
    script: Script = ["One.", Answer(calls=(Call("look", {"at": "sky"}),))]
    async with ModelServer(script) as server, httpx.AsyncClient() as client:
        address = f"{server.openai}/chat/completions"
        bodies = [(await client.post(address, json=_openai(_said("Hi")))).json() for _ in "123"]
        assert bodies[0]["choices"][0]["message"]["content"] == "One."
        assert bodies[1]["choices"][0]["finish_reason"] == "tool_calls"
        assert "no more answers" in bodies[2]["error"]["message"]
        assert [asked.n for asked in server.asked] == [1, 2, 3]
        assert server.connections == 1


async def test_a_function_sees_what_it_answers() -> None:
    def answer(asked: Asked) -> str:
        return f"{asked.messages[-1]['content']} to you"

    async with ModelServer(answer) as server, httpx.AsyncClient() as client:
        said = await client.post(
            f"{server.anthropic}/v1/messages", json={"model": "m", "messages": [_said("Hello")]}
        )
    assert said.json()["content"] == [{"type": "text", "text": "Hello to you"}]


async def test_requests_of_many_connections_that_come_in_pieces_are_whole() -> None:
    body = json.dumps(_openai(_said("x" * 300_000))).encode()

    async def pieces() -> Any:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with ModelServer(["Fine."]) as server, httpx.AsyncClient() as client:
        headers = {"content-length": str(len(body))}
        at = f"{server.openai}/chat/completions"
        assert (await client.post(at, content=pieces(), headers=headers)).status_code == 200
        assert server.asked[0].messages[0]["content"] == "x" * 300_000


async def test_a_delay_holds_an_answer_back_and_not_those_of_others() -> None:
    async with ModelServer(delay=0.3) as server, httpx.AsyncClient() as client:
        at, begun = f"{server.openai}/chat/completions", time.monotonic()
        await asyncio.gather(*(client.post(at, json=_openai(_said("Hi"))) for _ in range(20)))
        assert 0.3 <= time.monotonic() - begun < 20 * 0.3
        assert len(server.asked) == 20


async def test_a_fault_is_chosen_by_number_by_header_or_by_the_name_of_the_model() -> None:
    faults = {2: Fault("unpaid")}
    async with ModelServer(faults=faults) as server, httpx.AsyncClient() as client:
        at = f"{server.openai}/chat/completions"
        plain, named = _openai(_said("Hi")), _openai(_said("Hi"), model="fault-no_model")
        slow = _openai(_said("Hi"), model="fault-rate_limited:9")
        answers = [
            await client.post(at, json=plain),
            await client.post(at, json=plain),
            await client.post(at, json=named),
            await client.post(at, json=slow),
            await client.post(at, json=plain, headers={"x-fault": "unauthorised"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 402, 404, 429, 401]
    assert answers[3].headers["retry-after"] == "9"


def test_an_unknown_fault_is_an_error_where_it_is_written() -> None:
    with pytest.raises(KeyError):
        Fault.read("no-such-fault")


# -- what it answers by itself ----------------------------------------------------------------


def _asked(body: dict[str, Any], path: str = "/v1/chat/completions") -> Asked:
    return Asked(1, path, {}, body)


def test_a_loop_calls_the_first_tool_until_it_is_enough() -> None:
    said: list[dict[str, Any]] = [_said("Begin")]
    used = []
    for _ in range(9):
        answer = behave(_asked(_openai(*said, model="loop-3", tools=1)))
        assert isinstance(answer, Answer)
        if not answer.calls:
            break
        [call] = answer.calls
        used.append((call.name, call.arguments))
        said.append({"role": "assistant", "tool_calls": [{"id": call.id}]})
        said.append({"role": "tool", "tool_call_id": call.id, "content": "seen"})
    assert isinstance(answer, Answer)
    assert used == [("look", {"at": f"value {n}"}) for n in range(3)]
    assert answer.text == "Done after 3 turns."


def test_a_loop_counts_the_turns_of_anthropic_alike() -> None:
    turn = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
    ]
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    body = {"model": "loop-2", "tools": tools, "messages": [_said("Begin"), *turn]}
    first = behave(_asked(body, "/v1/messages"))
    body["messages"] = [_said("Begin"), *turn, *turn]
    last = behave(_asked(body, "/v1/messages"))
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert (len(first.calls), last.text) == (1, "Done after 2 turns.")


def test_a_new_word_of_the_user_begins_a_new_loop() -> None:
    old = [_said("Begin"), {"role": "assistant", "tool_calls": [{"id": "c"}]}]
    answer = behave(_asked(_openai(*old, _said("Again"), model="loop-1", tools=1)))
    assert isinstance(answer, Answer)
    assert len(answer.calls) == 1


def test_a_fan_calls_at_once_and_the_last_answer_fits_its_form() -> None:
    first = behave(_asked(_openai(_said("Go"), model="fan-3", tools=2)))
    used = {"role": "assistant", "tool_calls": [{"id": "c"}]}
    last = behave(_asked(_openai(_said("Go"), used, model="fan-3", tools=2)))
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert len({call.id for call in first.calls}) == 3
    assert [(call.name, call.arguments) for call in last.calls] == [("answer", {"n": 0})]


def test_values_fit_the_schema_they_are_for() -> None:
    schema = {
        "$defs": {"Colour": {"enum": ["red", "blue"]}},
        "properties": {
            "colour": {"$ref": "#/$defs/Colour"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "left_out": {"type": "string"},
        },
        "required": ["colour", "deep", "maybe"],
    }
    assert fitting(schema, 2) == {"colour": "red", "deep": {"n": 2}, "maybe": True}


# -- in a process of its own ------------------------------------------------------------------


def test_requests_are_counted_across_processes_and_restarts(tmp_path: Path) -> None:
    log = tmp_path / "asked.jsonl"
    for prompt in ("First", "Second"):
        with _process("--log", str(log), "--fault", "2=unavailable") as (_, address):
            at = f"{address}/v1/chat/completions"
            assert httpx.post(at, json=_openai(_said(prompt))).status_code == 200
            assert httpx.post(at, json=_openai(_said(prompt))).status_code == 503
    found = Count(log).read()
    assert [asked.messages[0]["content"] for asked in found] == ["First", "First"] + ["Second"] * 2
    assert all(asked.headers["content-type"] == "application/json" for asked in found)
    assert found[0].at <= found[-1].at


def test_a_log_that_is_just_being_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    log = tmp_path / "asked.jsonl"
    assert Count(log).read() == []
    whole = {"n": 1, "path": "/v1/messages", "headers": {}, "body": {}, "at": 1.0}
    log.write_text(json.dumps(whole) + '\n{"n": 2, "pa')
    assert [asked.n for asked in Count(log).read()] == [1]
