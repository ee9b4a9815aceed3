"""Who calls: a token in the Authorization header, or the console's session."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.authentication import (
    BasicAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.request import Request

from agentops.accounts import delegations, factors, tokens
from agentops.accounts.delegations import InvalidDelegation
from agentops.accounts.models import ApiToken, Delegation, User

_SCHEMES = (b"bearer", b"token")
ON_BEHALF_OF = "X-On-Behalf-Of"
_NO_MATCH = "That name and password do not match."
_NOT_A_SERVICE = f"{ON_BEHALF_OF} is for service accounts with a token of their own."


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]
    """A token sent as ``Authorization: Bearer …``; of a service, also for whom it acts.

    One query per request, and once a minute a write that it was used. Tokens that expired are
    refused here and deleted by nobody on the way.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() not in _SCHEMES:
            return None
        if not token or b" " in token or not token.isascii():
            raise AuthenticationFailed("Send Authorization: Bearer <token>, in one piece.")
        found = _token(token.decode())
        found.shown_delegation = _delegation(request, found)
        tokens.used(found, timezone.now())
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Password(BasicAuthentication):
    """Name and password, for the few doors at which somebody without a token gets one.

    Guessing is throttled like at the sign-in page. A password that somebody else has seen, and one
    that needs a second factor, open nothing here.
    """

    def authenticate_credentials(
        self, userid: str, password: str, request: Any = None
    ) -> tuple[User, None]:
        inner = request._request
        if "\0" in userid:
            raise AuthenticationFailed(_NO_MATCH)
        user = authenticate(request=inner, username=userid, password=password)
        if getattr(inner, "axes_locked_out", False):
            # We answer in our own form; the middleware would answer with a page.
            inner.axes_locked_out = False
            raise Throttled(wait=settings.AXES_COOLOFF_TIME * 3600)
        if not isinstance(user, User) or user.is_service:
            raise AuthenticationFailed(_NO_MATCH)
        self.check(user)
        return user, None

    def check(self, user: User) -> None:
        """Refuse what name and password alone do not open. Raises PermissionDenied."""
        if factors.has_one(user) or factors.is_required_of(user):
            raise PermissionDenied(
                "This account signs in with a second factor, which cannot be sent here. Sign in "
                "to the console and make the token at /settings/tokens/."
            )
        if user.must_change_password:
            raise PermissionDenied(
                "Somebody else has seen this password. Choose your own first: "
                'POST /api/v1/password with {"new_password": "…"}, or in the console.'
            )


class SeenPassword(Password):
    """The same, for the door at which one chooses another password."""

    def check(self, user: User) -> None:
        """A password that somebody has seen is what brings people here; a factor still counts."""
        if factors.has_one(user):
            super().check(user)


class ConsoleSession(SessionAuthentication):
    """The console's session, with a CSRF token for whatever changes something."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if request.headers.get(ON_BEHALF_OF):
            raise AuthenticationFailed(_NOT_A_SERVICE)
        found = super().authenticate(request)
        if found is not None:
            _refuse_unready(found[0])
        return found


def _refuse_unready(user: Any) -> None:
    """What the console sends people to do first, in the form of the API."""
    if user.must_change_password:
        raise PermissionDenied("Choose your own password in the console first.")
    if factors.is_missing(user):
        raise PermissionDenied(
            "Your roles need a second factor here. Set one up in the console first, at "
            "/settings/security/."
        )


def _token(text: str) -> ApiToken:
    """The token that says ``text``, if it still opens something."""
    digest = hash_token(text)
    key = text[: CONSTANTS.TOKEN_KEY_LENGTH]
    for token in tokens.known().filter(token_key=key):
        if compare_digest(digest, token.digest):
            why = tokens.why_useless(token, timezone.now())
            if why:
                raise AuthenticationFailed(why)
            return token
    raise AuthenticationFailed("This token is unknown, or it was revoked.")


def _delegation(request: Request, token: ApiToken) -> Delegation | None:
    text = request.headers.get(ON_BEHALF_OF)
    if text is None:
        return None
    service: User = token.user
    if not service.is_service or token.only is not None:
        raise AuthenticationFailed(_NOT_A_SERVICE)
    try:
        return delegations.read(text, service=service, now=timezone.now())
    except InvalidDelegation as refused:
        raise AuthenticationFailed(str(refused)) from refused
