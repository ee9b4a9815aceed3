"""What a client of a provider raised, in the words of the product."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_ai import exceptions as theirs

from agentops.providers.discretion import discreet
from agentops.sdk.errors import ModelError
from agentops.sdk.messages import Message

# Subclasses come before what they are subclasses of.
_CODES: Sequence[tuple[type[Exception], str]] = (
    (theirs.ModelRateLimitError, "rate_limited"),
    (theirs.ModelQuotaExceededError, "quota_exceeded"),
    (theirs.ModelOverloadedError, "overloaded"),
    (theirs.ModelUnavailableError, "overloaded"),
    (theirs.ModelServerError, "provider_error"),
    (theirs.ModelTimeoutError, "timeout"),
    (theirs.ModelRequestTimeout, "timeout"),
    (theirs.ModelConnectionError, "connection_failed"),
    (theirs.ModelAuthenticationError, "authentication_failed"),
    (theirs.ModelNotFoundError, "model_not_found"),
    (theirs.ModelContextWindowExceededError, "context_overflow"),
    (theirs.ContentFilterError, "content_filtered"),
    (theirs.ModelRequestRejectedError, "request_rejected"),
)
_STATUSES = {408: "timeout", 409: "provider_error", 413: "context_overflow", 425: "provider_error"}
# How those say it that have no status for it.
_FILTERED = frozenset({"content_filter", "content_policy_violation"})
_FILTERING = "content filtering policy"
CUT_OFF = "The answer broke off."
_SAYS = {
    "timeout": "There was no answer in time.",
    "connection_failed": "The endpoint could not be reached, or hung up without an answer.",
    "cut_off": CUT_OFF,
    "provider_error": "What came is not an answer.",
}
# Said with a status, before any work.
_REFUSED = frozenset(
    {
        "rate_limited",
        "quota_exceeded",
        "overloaded",
        "authentication_failed",
        "model_not_found",
        "context_overflow",
        "request_rejected",
    }
)
_UNSENT = frozenset({"pool", "connect"})


def told(error: Exception, *, begun: bool, key: str, said: Sequence[Message]) -> ModelError:
    """What to raise for what a client raised. ``begun``: a part of the answer had come."""
    code = _code(error)
    if begun and code in {"connection_failed", "timeout"}:
        code = "cut_off"
    sent = begun or _may_be_paid(error, code)
    words = discreet(_words(error, code, sent=sent), key=key, said=said)
    return ModelError(code, words, after=getattr(error, "retry_after", None), sent=sent)


def _may_be_paid(error: Exception, code: str) -> bool:
    """Whether the provider may have worked: not if it never got the request, or refused it."""
    if isinstance(error, theirs.UserError) or getattr(error, "phase", None) in _UNSENT:
        return False
    # What it blocked it may have written before.
    refused = code in _REFUSED and isinstance(error, theirs.ModelHTTPError)
    return not refused or bool(getattr(error, "in_stream", False))


def _code(error: Exception) -> str:
    said = getattr(error, "provider_error_code", None) or ""
    if said in _FILTERED or _FILTERING in _message(error).lower():
        return "content_filtered"
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    status = getattr(error, "status_code", 0)
    return _STATUSES.get(status, "request_rejected" if 400 <= status < 500 else "provider_error")


def _words(error: Exception, code: str, *, sent: bool) -> str:
    """What the provider says is wrong, or what we know; never an answer as it came."""
    status, said = getattr(error, "status_code", None), _message(error)
    if status is not None:
        return f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if isinstance(error, theirs.UserError):
        return error.message
    if code == "timeout" and not sent:
        return _SAYS["connection_failed"]
    if code == "provider_error" and not said:
        return f"{_SAYS[code]} ({type(error).__name__})"
    return said or _SAYS.get(code, _SAYS["provider_error"])


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    return str(inner.get("message") or "") if isinstance(inner, dict) else ""
