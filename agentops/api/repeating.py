"""``Idempotency-Key`` on every POST: the same request twice is done once.

Asked as the last of what decides whether a request goes on, after it is known who asks and that
they may. Views that keep keys of their own, with a unique constraint, say ``keeps_keys``; views
that change nothing say ``changes_nothing``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agentops.accounts.actors import Actor, actor_of
from agentops.sdk.errors import PayloadTooLarge
from runs import replies
from runs.models import Reply

if TYPE_CHECKING:
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("Content-Type", "Location", "Retry-After")


class Answered(Exception):
    """The request was answered before; this is what it was answered."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("answered before")
        self.response = response


class Repetition(BaseThrottle):
    """Lets a request with a key through once. Raises Answered, or the refusals of ``claim``."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None or not _is_ours(view):
            return True
        if not request.user.is_authenticated:
            return True
        found = replies.claim(
            scope=_scope(actor_of(request)), key=key, digest=_digest(request._request)
        )
        if isinstance(found, Reply):
            raise Answered(_again(found))
        request._request.claimed = found  # type: ignore[attr-defined]
        return True


def _is_ours(view: APIView) -> bool:
    return not (getattr(view, "keeps_keys", False) or getattr(view, "changes_nothing", False))


def _scope(actor: Actor) -> str:
    """Who asks, with what rights of a token: others never get this answer."""
    scopes = "*" if actor.scopes is None else ",".join(sorted(actor.scopes))
    only = "" if actor.only is None else ",".join(sorted(actor.only))
    service = actor.service.pk if actor.service else ""
    return f"{actor.user.pk}/{service}/{scopes}/{hashlib.sha256(only.encode()).hexdigest()[:16]}"


def _digest(request: HttpRequest) -> bytes:
    """Equal for the same request, however its JSON is written."""
    try:
        body = request.body
    except RequestDataTooBig as error:
        raise PayloadTooLarge("The body is larger than what is allowed.") from error
    try:
        body = json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):
        """The view says what is wrong with it."""
    return hashlib.sha256(f"{request.get_full_path()}\n".encode() + body).digest()


def _again(reply: Reply) -> HttpResponse:
    response = HttpResponse(bytes(reply.body or b""), status=reply.status)
    for name, value in reply.headers.items():
        response[name] = value
    response[REPLAYED] = "true"
    return response


class RepeatingMiddleware:
    """Keeps the answer of a request that had the key, or gives the key back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        claimed = getattr(request, "claimed", None)
        if isinstance(claimed, replies.Claimed):
            try:
                _settle(claimed, response)
            except DatabaseError as error:
                # The answer is right; only its repetition has to wait until the claim ends.
                log.warning("api.reply_not_kept", error=str(error))
        return response


def _settle(claimed: replies.Claimed, response: HttpResponseBase) -> None:
    """What was refused, streams, or must not be kept (a secret is in it) is not kept."""
    secret = "no-store" in response.headers.get("Cache-Control", "")
    if response.status_code >= 400 or secret or not isinstance(response, HttpResponse):
        replies.release(claimed)
        return
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    replies.keep(claimed, status=response.status_code, headers=headers, body=response.content)
