"""One id per request, the caller's or ours, in every log line and in the answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

_USABLE = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class RequestIdMiddleware:
    """Takes ``X-Request-Id`` in, makes one where it is missing or unusable, and sends it back.

    Stands before the middleware that binds the id to log lines, which reads the same header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _USABLE.fullmatch(given) else str(uuid.uuid4())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response
