"""The Django admin: for administrators, behind the console's own sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import HttpRequest
from django.shortcuts import redirect

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from agentops.accounts.stepup import step_up

# What holds tokens, factors and sessions: the console's settings look after it, without a secret.
_KEPT_OUT = frozenset({"account", "mfa", "usersessions", "knox"})


class Site(admin.AdminSite):
    """Opens for whoever may administer. Its sign-in is the console's, so none gets around that."""

    site_header = site_title = "Administration"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person may administer."""
        if not isinstance(request.user, User) or not request.user.is_staff:
            return False
        return allows(actor_of(request), Action.ADMINISTER)

    # How Django calls it.
    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        """What changes something here asks once more who one is, after a while."""
        return super().admin_view(step_up(view), cacheable)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The console's sign-in, which knows of second factors and of guessing."""
        if request.user.is_authenticated:
            return redirect("overview")
        return redirect_to_login(request.GET.get("next") or request.get_full_path())

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The console's, which ends other sessions."""
        return redirect("password")

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take models in, unless what they hold is not to be seen or changed here."""
        one = isinstance(model_or_iterable, type) and issubclass(model_or_iterable, Model)
        models = [model_or_iterable] if one else list(model_or_iterable)
        shown = [model for model in models if model._meta.app_label not in _KEPT_OUT]
        super().register(shown, admin_class, **options)
