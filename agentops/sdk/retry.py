"""Which failures are tried again, and when."""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from agentops.sdk.errors import (
    AgentopsError,
    Fatal,
    ModelError,
    OutcomeUnknown,
    Retryable,
    ServerError,
    ToolError,
)

# Whatever a server asks for, a run looks again within a day.
LONGEST_PAUSE_SECONDS = 86_400.0


class Certainty(enum.Enum):
    """What is known after an attempt that did not return a result."""

    NOT_DONE = "not_done"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    Attempt n+1 starts after a random time between 0 and
    ``min(cap_seconds, base_seconds * factor ** (n - 1))``, and not before a ``Retry-After``.
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    attempts: int = 1
    base_seconds: float = 0.5
    factor: float = 2.0
    cap_seconds: float = 60.0

    def delay(self, attempt: int, after: float | None, chance: random.Random) -> float:
        """Seconds to wait after failed ``attempt`` (1, 2, …)."""
        bound = min(self.cap_seconds, self.base_seconds * self.factor ** min(attempt - 1, 60))
        asked = after if after is not None and after > 0 else 0.0
        return max(chance.uniform(0, bound), min(asked, LONGEST_PAUSE_SECONDS))


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, judged. ``retry``: trying again can help. ``after``: seconds asked for."""

    code: str
    message: str
    kind: str
    retry: bool
    certainty: Certainty
    after: float | None = None

    @property
    def speaks_of_target(self) -> bool:
        """Whether whatever the tool depends on is in trouble, rather than this one call."""
        return self.code in _TROUBLE or self.code.startswith("http_5")

    @property
    def shows_target_works(self) -> bool:
        """Whether the target answered, if only to say that this call is wrong."""
        return self.code in _ANSWERS

    @property
    def leave_alone(self) -> float | None:
        """The seconds for which the target wants to be left alone, by whoever it is."""
        # Authors raise Retryable(after=…) to look again later, which is no business of others.
        return None if self.code == "retryable" else self.after


_HOPELESS = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NameError,
    SyntaxError,
    ImportError,
    NotImplementedError,
    RecursionError,
    SystemExit,
    PermissionError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
)
_TROUBLE = frozenset(
    {
        "timeout",
        "connection_failed",
        "connection_lost",
        "server_error",
        "http_429",
        "retryable",
        "rate_limited",
        "overloaded",
        "provider_error",
        "cut_off",
    }
)
_ANSWERS = frozenset(
    {"http_400", "http_404", "http_409", "http_422"}
    | {"request_rejected", "context_overflow", "content_filtered"}
)
_NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "gaierror"})
_RETRY_STATUS = frozenset({408, 409, 425, 429})


def told(error: BaseException) -> str:
    """What an exception says, or its kind when it says nothing."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure itself
        text = ""
    return text or type(error).__name__


def judge(error: BaseException) -> Failure:
    """What an exception of an attempt means.

    An error is *ambiguous* unless it proves that the effect did not happen: our own Retryable,
    Fatal and ToolError, a connection that was never made, or an HTTP answer of 4xx. The proof
    matters only for ``once`` tools; for others ``retry`` decides.
    """
    kind = type(error).__name__
    message = told(error)
    if isinstance(error, Retryable):
        return Failure(error.code, message, kind, True, Certainty.NOT_DONE, error.after)
    if isinstance(error, OutcomeUnknown):
        return Failure(error.code, message, kind, True, Certainty.AMBIGUOUS)
    if isinstance(error, (ModelError, ServerError)):
        return _judge_told(error, message, kind)
    if isinstance(error, (Fatal, ToolError)):
        return Failure(error.code, message, kind, False, Certainty.NOT_DONE)
    if isinstance(error, AgentopsError):
        return Failure(error.code, message, kind, False, Certainty.AMBIGUOUS)
    status = _status(error)
    if status is not None:
        return _judge_status(error, status, message, kind)
    if isinstance(error, ConnectionRefusedError) or _is_unconnected(error):
        return Failure("connection_failed", message, kind, True, Certainty.NOT_DONE)
    if isinstance(error, TimeoutError):
        return Failure("timeout", message, kind, True, Certainty.AMBIGUOUS)
    return Failure("error", message, kind, not isinstance(error, _HOPELESS), Certainty.AMBIGUOUS)


def _judge_told(error: ModelError | ServerError, message: str, kind: str) -> Failure:
    certainty = Certainty.AMBIGUOUS if error.sent else Certainty.NOT_DONE
    return Failure(error.code, message, kind, error.retry, certainty, error.after)


def _judge_status(error: BaseException, status: int, message: str, kind: str) -> Failure:
    client_side = 400 <= status < 500
    return Failure(
        code=f"http_{status}",
        message=message,
        kind=kind,
        retry=status in _RETRY_STATUS or status >= 500,
        certainty=Certainty.NOT_DONE if client_side and status != 408 else Certainty.AMBIGUOUS,
        after=_retry_after(error),
    )


def _is_unconnected(error: BaseException) -> bool:
    return any(cls.__name__ in _NOT_CONNECTED for cls in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    """HTTP status of an exception of httpx, requests, openai, anthropic and their like."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("Retry-After") if isinstance(headers, Mapping) else None
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        return _seconds_until(str(value))


def _seconds_until(http_date: str) -> float | None:
    try:
        due = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (due - datetime.now(due.tzinfo)).total_seconds())
