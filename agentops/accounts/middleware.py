"""A password that somebody else has seen opens nothing but the page to choose another."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

from agentops.accounts import passwords

# Where a marked user may go: choose a password, or leave.
_CHOOSE = "password"
_OPEN = (_CHOOSE, "logout", "signed-out", "theme", "admin:password_change", "admin:logout")


class ChoosePasswordMiddleware(MiddlewareMixin):
    """Sends people with a one-time password to the page where they choose their own."""

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        user = request.user
        if not (user.is_authenticated and user.must_change_password):
            return None
        request.had_to_choose = True  # type: ignore[attr-defined]
        match = request.resolver_match
        if match and (match.view_name in _OPEN or request.path.startswith(settings.STATIC_URL)):
            return None
        if request.headers.get("accept", "").startswith("application/json"):
            return HttpResponseForbidden("Choose your own password in the console first.")
        return redirect(reverse(_CHOOSE))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Forget the printed password once its owner has chosen another."""
        user = request.user
        chosen = user.is_authenticated and not user.must_change_password
        if chosen and getattr(request, "had_to_choose", False):
            passwords.forget_printed()
        return response
