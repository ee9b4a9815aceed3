"""One form for every error: code, message, suggestions, retryable, error_id."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from agentops.api.codes import CODES
from agentops.api.repeating import Answered
from agentops.sdk.errors import AgentopsError, InvalidInput, UnknownAgent
from agentops.sdk.forms import InvalidAnswer

log = structlog.get_logger(__name__)

_FRAMEWORK: dict[type[Exception], str] = {
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_token",
    exceptions.PermissionDenied: "permission_denied",
    PermissionDenied: "permission_denied",
    exceptions.NotFound: "not_found",
    Http404: "not_found",
    ObjectDoesNotExist: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.ParseError: "malformed_request",
    exceptions.ValidationError: "invalid_request",
    exceptions.Throttled: "rate_limit_exceeded",
    OperationalError: "service_unavailable",
    InterfaceError: "service_unavailable",
}


@dataclass
class Problem:
    """What the caller is told."""

    code: str
    message: str
    suggestions: list[str] = field(default_factory=list)
    retry_after: float | None = None
    detail: str = ""
    meta: dict[str, object] = field(default_factory=dict)


def handle(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler: every error leaves in the same form."""
    if isinstance(error, Answered):
        return error.response
    set_rollback()
    problem = _problem(error)
    error_id = f"err_{secrets.token_hex(8)}"
    code = CODES[problem.code]
    if code.status >= 500:
        log.error("api.failed", error_id=error_id, code=problem.code, exc_info=error)
    else:
        log.info("api.refused", error_id=error_id, code=problem.code, status=code.status)
    response = Response(_body(problem, error_id, context), status=code.status)
    _set_headers(response, error, problem)
    return response


def _body(problem: Problem, error_id: str, context: Mapping[str, Any]) -> dict[str, object]:
    code = CODES[problem.code]
    body: dict[str, object] = {
        "code": problem.code,
        "message": problem.message,
        "suggestions": [*problem.suggestions, *code.suggestions],
        "retryable": code.retryable,
        "error_id": error_id,
    }
    if problem.meta:
        body["meta"] = problem.meta
    user = getattr(context.get("request"), "user", None)
    if problem.detail and getattr(user, "is_staff", False):
        body["detail"] = problem.detail
    return body


def _set_headers(response: Response, error: Exception, problem: Problem) -> None:
    challenge = getattr(error, "auth_header", None)
    if challenge:
        response["WWW-Authenticate"] = challenge
    wait = problem.retry_after or CODES[problem.code].retry_after_seconds
    if wait is not None:
        response["Retry-After"] = str(max(1, math.ceil(wait)))


def _problem(error: Exception) -> Problem:
    if isinstance(error, AgentopsError):
        return _from_domain(error)
    if isinstance(error, exceptions.ValidationError):
        fields = _fields(error.detail)
        return Problem("invalid_request", _first(fields), meta={"fields": fields})
    for kind, code in _FRAMEWORK.items():
        if isinstance(error, kind):
            return _from_framework(error, code)
    return Problem(
        "internal_error",
        "Something went wrong on our side. It has been recorded.",
        detail=f"{type(error).__name__}: {error}",
    )


def _from_domain(error: AgentopsError) -> Problem:
    code = error.code if error.code in CODES else "internal_error"
    problem = Problem(code, error.message)
    if isinstance(error, (InvalidInput, InvalidAnswer)):
        problem.meta = {"path": error.path, "reason": error.reason}
    if isinstance(error, UnknownAgent):
        problem.suggestions = [f"Did you mean “{name}”?" for name in error.suggestions]
    problem.retry_after = getattr(error, "wait_seconds", None)
    until = getattr(error, "until", None)
    if until is not None:
        problem.meta = {"until": until}
    return problem


def _from_framework(error: Exception, code: str) -> Problem:
    if code == "service_unavailable":
        message = "The database does not answer at this moment. Nothing was changed; try again."
        return Problem(code, message, detail=str(error))
    said = str(getattr(error, "detail", "")) or "There is no such thing, or it is not yours to see."
    return Problem(code, said, retry_after=getattr(error, "wait", None))


def _fields(detail: object, path: str = "") -> dict[str, list[str]]:
    """Messages by JSON pointer, from the tree that serializers make of them."""
    if isinstance(detail, Mapping):
        parts = {f"{path}/{name}": value for name, value in detail.items()}
    elif isinstance(detail, list) and any(isinstance(item, (Mapping, list)) for item in detail):
        parts = {f"{path}/{index}": value for index, value in enumerate(detail) if value}
    else:
        messages = detail if isinstance(detail, list) else [detail]
        pointer = path.removesuffix("/non_field_errors") or "/"
        return {pointer: [str(message) for message in messages]}
    return {name: said for at, value in parts.items() for name, said in _fields(value, at).items()}


def _first(fields: Mapping[str, list[str]]) -> str:
    pointer, messages = next(iter(fields.items()), ("/", ["The request is not valid."]))
    return messages[0] if pointer == "/" else f"{pointer}: {messages[0]}"
