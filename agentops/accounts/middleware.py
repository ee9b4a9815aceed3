"""What must be done before anything opens: a password of one's own, a second factor.

Views of the API ask for themselves (``ConsoleSession``), in the form of its answers.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect
from django.urls import ResolverMatch, reverse
from django.utils.deprecation import MiddlewareMixin

from agentops.accounts import factors, passwords
from agentops.accounts.models import User

# Where everybody may go meanwhile: choose a password, or leave.
_CHOOSE = "password"
_OPEN = (_CHOOSE, "logout", "account_logout", "signed-out", "theme", "admin:logout")


class ChoosePasswordMiddleware(MiddlewareMixin):
    """Sends people with a one-time password to the page where they choose their own."""

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        user = request.user
        if not (user.is_authenticated and user.must_change_password):
            return None
        request.had_to_choose = True  # type: ignore[attr-defined]
        match = request.resolver_match
        if match is None or match.view_name in _OPEN or _asks_for_itself(match):
            return None
        return _lead(request, _CHOOSE, "Choose your own password in the console first.")

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Forget the printed password once its owner has chosen another."""
        user = request.user
        chosen = user.is_authenticated and not user.must_change_password
        if chosen and getattr(request, "had_to_choose", False):
            passwords.forget_printed()
        return response


class SecondFactorMiddleware(MiddlewareMixin):
    """Sends people of whom a second factor is wanted to where they set one up."""

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        if not settings.AGENTOPS_MFA_REQUIRED or not isinstance(request.user, User):
            return None
        match = request.resolver_match
        if match is None or _sets_up_a_factor(match.view_name) or _asks_for_itself(match):
            return None
        if not factors.is_missing(request.user):
            return None
        return _lead(request, "mfa_index", "Set up a second factor in the console first.")


def _sets_up_a_factor(name: str) -> bool:
    return name.startswith("mfa_") or name in {*_OPEN, "account_reauthenticate"}


def _asks_for_itself(match: ResolverMatch) -> bool:
    return hasattr(match.func, "cls")


def _lead(request: HttpRequest, name: str, why: str) -> HttpResponse:
    """Send a page there; tell a region of a page, and a program."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": reverse(name)})
    if request.headers.get("accept", "").startswith("application/json"):
        return HttpResponseForbidden(why)
    return redirect(reverse(name))
