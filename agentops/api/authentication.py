"""Who calls: a token in the Authorization header, or the console's session."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

_SCHEMES = (b"bearer", b"token")


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]
    """A token made with ``manage.py api_token``, sent as ``Authorization: Bearer …``.

    One query per request. Tokens that expired are refused here and deleted by nobody on the way.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() not in _SCHEMES:
            return None
        if not token or b" " in token or not token.isascii():
            raise AuthenticationFailed
        user, credential = self.authenticate_credentials(token)
        return user, credential

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _cleanup_token(self, auth_token: Any) -> bool:
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
