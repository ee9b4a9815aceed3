from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from agentops import Fatal, OutcomeUnknown, Retryable, RetryPolicy, ToolError
from agentops.sdk.retry import LONGEST_PAUSE_SECONDS, Certainty, judge


@dataclass
class Response:
    status_code: int
    headers: dict[str, str] = field(default_factory=dict)


class HttpError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.response = Response(status, {k.replace("_", "-"): v for k, v in headers.items()})


class ConnectError(Exception):
    """Called as httpx calls it."""


@pytest.mark.parametrize(
    ("error", "code", "retry", "certainty"),
    [
        (Retryable("x"), "retryable", True, Certainty.NOT_DONE),
        (Fatal("x"), "fatal", False, Certainty.NOT_DONE),
        (ToolError("x"), "tool_error", False, Certainty.NOT_DONE),
        (OutcomeUnknown("x"), "outcome_unknown", True, Certainty.AMBIGUOUS),
        (ConnectionRefusedError(), "connection_failed", True, Certainty.NOT_DONE),
        (ConnectError(), "connection_failed", True, Certainty.NOT_DONE),
        (TimeoutError(), "timeout", True, Certainty.AMBIGUOUS),
        (ConnectionResetError(), "error", True, Certainty.AMBIGUOUS),
        (ValueError(), "error", False, Certainty.AMBIGUOUS),
        (HttpError(404), "http_404", False, Certainty.NOT_DONE),
        (HttpError(429), "http_429", True, Certainty.NOT_DONE),
        (HttpError(408), "http_408", True, Certainty.AMBIGUOUS),
        (HttpError(503), "http_503", True, Certainty.AMBIGUOUS),
        (SystemExit(1), "error", False, Certainty.AMBIGUOUS),
    ],
)
def test_a_failure_is_judged_by_what_it_proves(
    error: BaseException, code: str, retry: bool, certainty: Certainty
) -> None:
    failure = judge(error)

    assert (failure.code, failure.retry, failure.certainty) == (code, retry, certainty)


def test_a_server_may_ask_for_a_pause_in_seconds_or_by_date() -> None:
    assert judge(HttpError(429, Retry_After="7")).after == 7
    assert judge(HttpError(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")).after == 0
    assert judge(HttpError(429, Retry_After="soon")).after is None
    assert judge(Retryable(after=3)).after == 3


@pytest.mark.parametrize("after", [float("inf"), 1e12, float("nan"), -5.0, None])
def test_no_pause_is_longer_than_a_day_whatever_is_asked_for(after: float | None) -> None:
    delay = RetryPolicy(attempts=3).delay(1, after, random.Random(1))

    assert 0 <= delay <= LONGEST_PAUSE_SECONDS


def test_pauses_grow_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=99, base_seconds=1, factor=2, cap_seconds=10)
    chance = random.Random(1)

    longest = [max(policy.delay(n, None, chance) for _ in range(300)) for n in (1, 2, 3, 9, 90)]

    assert longest[0] <= 1 < longest[1] <= 2 < longest[2] <= 4 < longest[3] <= 10
    assert 9 < longest[4] <= 10
