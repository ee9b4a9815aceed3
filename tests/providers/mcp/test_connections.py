"""What becomes of a call when its server fails: the rows of the table in the how-to."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentops import McpServer, ToolError, mcp_server
from agentops.providers.mcp import connections, wires
from agentops.sdk.errors import ServerError
from agentops.sdk.retry import Certainty, judge
from tests.mcpserver import OverHttp, Stage
from tests.providers.mcp.using import context

pytestmark = pytest.mark.slow
SECRET = "very-secret-token"


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await connections.close()


async def call(server: McpServer, tool: str, **arguments: object) -> object:
    return await connections.call(server, tool, arguments, context())


async def failure(server: McpServer, tool: str, **arguments: object) -> ServerError:
    with pytest.raises(ServerError) as raised:
        await call(server, tool, **arguments)
    return raised.value


async def test_a_tool_of_a_process_is_called(stage: Stage) -> None:
    found = await connections.definitions(stage.server(), fresh=True)
    assert sorted(found) == ["picture", "price", "refund", "secret", "speak"]
    assert found["price"].annotations == {"readOnlyHint": True}
    assert await call(stage.server(), "refund", order="7") == {"result": "refunded 7"}
    assert await call(stage.server(), "price", item="pear") == {"result": 4}
    assert stage.starts == 1


async def test_a_process_gets_what_is_named_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    monkeypatch.setenv("OTHER_KEY", "not for you")
    await call(stage.server(credential="SHOP_TOKEN"), "refund", order="1")
    found = set(stage.environment) - {"PATH", "LANG", "LC_CTYPE"}
    assert found == {"MCP_TEST_FOLDER", "PYTHONPATH", "SHOP_TOKEN"}


async def test_what_a_server_says_of_its_own_secret_is_left_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    server = stage.server(credential="SHOP_TOKEN")
    assert await call(server, "secret") == "The token is …."
    await connections.close()
    stage.says(start="fail")
    failed = await failure(server, "refund", order="1")
    assert "no shop here" in str(failed)
    assert SECRET not in str(failed)


async def test_a_secret_this_worker_does_not_have_is_named(stage: Stage) -> None:
    failed = await failure(stage.server(credential="NO_SUCH_TOKEN"), "refund", order="1")
    assert str(failed) == "NO_SUCH_TOKEN is not set for this worker."
    assert (failed.code, failed.sent, failed.retry) == ("authentication_failed", False, False)


async def test_a_program_that_is_not_there_was_not_called() -> None:
    failed = await failure(mcp_server("none", ["/no/such/program"]), "refund")
    assert (failed.code, failed.sent) == ("connection_failed", False)


async def test_a_server_that_died_between_calls_is_started_again(stage: Stage) -> None:
    await call(stage.server(), "refund", order="1")
    os.kill(stage.pid, 9)
    await asyncio.sleep(0.2)
    assert await call(stage.server(), "refund", order="2") == {"result": "refunded 2"}
    assert stage.done == ["refund 1", "refund 2"]
    assert stage.starts == 2


async def test_a_server_that_dies_during_a_call_leaves_it_in_doubt(stage: Stage) -> None:
    stage.says(during="die")
    failed = await failure(stage.server(), "refund", order="1")
    assert (failed.code, failed.sent, failed.retry) == ("connection_lost", True, True)
    assert judge(failed).certainty is Certainty.AMBIGUOUS
    stage.says(during="")
    assert await call(stage.server(), "refund", order="2") == {"result": "refunded 2"}


async def test_a_call_that_hangs_ends_with_its_time_and_the_next_gets_a_new_process(
    stage: Stage,
) -> None:
    stage.says(during="hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(stage.server(), "refund", order="1"), 3)
    stage.says(during="")
    assert await call(stage.server(), "refund", order="2") == {"result": "refunded 2"}
    assert stage.starts == 2


async def test_a_server_that_never_says_hello_is_given_up(stage: Stage) -> None:
    stage.says(start="hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(stage.server(), "refund", order="1"), 1.5)
    stage.says(start="")
    assert await call(stage.server(), "refund", order="2") == {"result": "refunded 2"}


async def test_garbage_between_messages_is_passed_over(stage: Stage) -> None:
    stage.says(during="garbage")
    assert await call(stage.server(), "refund", order="1") == {"result": "refunded 1"}


async def test_nothing_but_garbage_ends_the_connection(stage: Stage) -> None:
    stage.says(during="flood")
    failed = await failure(stage.server(), "refund", order="1")
    assert (failed.code, failed.sent, failed.retry) == ("invalid_answer", True, False)


async def test_what_the_tool_objects_to_is_told_and_not_tried_again(stage: Stage) -> None:
    with pytest.raises(ToolError, match="This order is closed"):
        await call(stage.server(), "refund", order="gone")
    with pytest.raises(ToolError):
        await call(stage.server(), "no_such_tool")


async def test_a_long_text_says_what_is_missing_and_a_huge_one_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = await call(stage.server(), "speak", size=300_000)
    assert isinstance(long, str)
    assert long.endswith("a… (300,000 characters; the rest is left out)")
    await connections.close()
    monkeypatch.setattr(wires, "LONGEST_ANSWER", 500_000)
    failed = await failure(stage.server("small", tools=["speak"]), "speak", size=3_000_000)
    assert (failed.code, failed.sent, failed.retry) == ("result_too_large", True, False)


async def test_what_is_not_text_is_named_and_not_dropped(stage: Stage) -> None:
    value = await call(stage.server(), "picture")
    assert isinstance(value, dict)
    text, picture, link, resource = value["content"]
    assert text == {"type": "text", "text": "Here:"}
    assert (picture["media_type"], picture["bytes"]) == ("image/png", len("hello"))
    assert link["uri"] == "file:///a.txt"
    assert resource == {"type": "resource", "uri": "file:///b.txt", "text": "the text"}


async def test_processes_end_with_their_loop(stage: Stage) -> None:
    await call(stage.server(), "refund", order="1")
    pid = stage.pid
    await connections.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# -- HTTP -------------------------------------------------------------------------------------


def shop(served: OverHttp, **how: Any) -> McpServer:
    return mcp_server("shop", url=served.url, credential="SHOP_TOKEN", **how)


@pytest.fixture
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)


@pytest.mark.usefixtures("_token")
async def test_a_tool_over_http_is_called_with_the_credential(
    over_http: OverHttp, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert await call(shop(over_http), "refund", order="7") == {"result": "refunded 7"}
    assert SECRET not in caplog.text
    assert SECRET not in repr(shop(over_http))


async def test_a_wrong_credential_was_refused_before_anything_happened(
    over_http: OverHttp, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "wrong")
    failed = await failure(shop(over_http), "refund", order="7")
    assert (failed.code, failed.sent, failed.retry) == ("authentication_failed", False, False)
    assert stage.done == []


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(
    ("status", "code", "sent"), [(429, "rate_limited", False), (503, "server_error", True)]
)
async def test_a_refusal_by_http_says_whether_it_may_have_happened(
    over_http: OverHttp, stage: Stage, status: int, code: str, sent: bool
) -> None:
    await connections.definitions(shop(over_http), fresh=True)
    stage.says(status=status)
    failed = await failure(shop(over_http), "refund", order="1")
    assert (failed.code, failed.sent) == (code, sent)


async def until_reached(server: McpServer, **arguments: object) -> object:
    """It forgot our session: nothing was done, and the next try begins a new one."""
    for _ in range(3):
        try:
            return await call(server, "refund", **arguments)
        except ServerError as error:
            if error.sent:
                raise
    raise AssertionError("It was not reached.")


@pytest.mark.usefixtures("_token")
async def test_a_server_that_is_away_was_not_called_and_is_found_when_it_is_back(
    over_http: OverHttp, stage: Stage
) -> None:
    await call(shop(over_http), "refund", order="1")
    over_http.kill()
    failed = await failure(shop(over_http), "refund", order="2")
    assert (failed.code, failed.sent) == ("connection_failed", False)
    over_http.again()
    assert await until_reached(shop(over_http), order="3") == {"result": "refunded 3"}
    assert stage.done == ["refund 1", "refund 3"]


@pytest.mark.usefixtures("_token")
async def test_a_server_that_hangs_up_during_a_call_leaves_it_in_doubt(
    over_http: OverHttp, stage: Stage
) -> None:
    stage.says(during="die")
    failed = await failure(shop(over_http), "refund", order="1")
    assert (failed.code, failed.sent) == ("connection_lost", True)
