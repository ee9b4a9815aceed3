"""The W3C trace context: taken in, given back, and stored with every run a request starts."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NOTHING = re.compile(r"0+")


def continued(given: str) -> str:
    """Our own place in the caller's trace, or in a new one where ``given`` names none."""
    found = _TRACEPARENT.fullmatch(given)
    if found is None or _NOTHING.fullmatch(found[1]) or _NOTHING.fullmatch(found[2]):
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return f"00-{found[1]}-{secrets.token_hex(8)}-{found[3]}"


class TraceMiddleware:
    """Puts the trace into ``META["HTTP_TRACEPARENT"]``, log lines and the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        here = continued(request.META.get("HTTP_TRACEPARENT", ""))
        request.META["HTTP_TRACEPARENT"] = here
        with structlog.contextvars.bound_contextvars(trace_id=here[3:35]):
            response = self.get_response(request)
        response["traceparent"] = here
        return response
