"""Log lines: one form for all, and no secret in a traceback."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from agentops import logs


def line(form: str, error: BaseException | None = None) -> str:
    record = logging.LogRecord("runs", logging.ERROR, __file__, 1, "it failed", (), None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return logs._formatter(form).format(record)


def failure() -> ValueError:
    password = "hunter2-in-a-local"  # noqa: F841 - what must not be shown
    try:
        raise ValueError("refused")
    except ValueError as error:
        return error


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_values(form: str) -> None:
    said = line(form, failure())
    assert "refused" in said
    assert said.count("hunter2-in-a-local") <= said.count('password = "hunter2-in-a-local"')
    assert "password = 'hunter2" not in said


def test_a_line_of_a_library_is_json_like_ours() -> None:
    said = json.loads(line("json"))
    assert (said["event"], said["level"], said["logger"]) == ("it failed", "error", "runs")
    assert said["timestamp"].endswith("Z")


def test_a_request_is_told_once() -> None:
    with pytest.raises(structlog.DropEvent):
        logs._drop_beginnings(None, "info", {"event": "request_started"})
    assert logs._drop_beginnings(None, "info", {"event": "request_finished"})
