"""Signing in and out, choosing a password, and taking a security key away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.views import LoginView, ReauthenticateView
from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import timezone

from agentops.accounts import members
from agentops.accounts.actors import actor_of


class SignIn(LoginView):  # type: ignore[misc]
    """Sign in, with a second factor if one has one, and go on to where one wanted to be."""

    template_name = "account/sign_in.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Our page asks for a name as everybody else's does: as ``username``."""
        kwargs: dict[str, Any] = super().get_form_kwargs()
        if "data" in kwargs:
            kwargs["data"] = kwargs["data"].copy()
            kwargs["data"]["login"] = kwargs["data"].get("username", "")
        return kwargs

    def form_valid(self, form: Any) -> HttpResponse:
        """Twelve hours later it ends, however much it was used; a second step does not add."""
        answer: HttpResponse = super().form_valid(form)
        end = timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE)
        self.request.session.set_expiry(end)
        return answer


class SignInAgain(ReauthenticateView):  # type: ignore[misc]
    """Say once more who one is, before something that matters."""

    template_name = "account/again.html"


class RemoveKey(RemoveWebAuthnView):  # type: ignore[misc]
    """Take away a security key of one's own, unless it is the last factor and one is needed."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Remove it, or say why it stays."""
        if get_adapter().can_delete_authenticator(self.get_object()):
            answer: HttpResponse = super().form_valid(form)
            return answer
        said = "Your roles need a second factor here. Add another one before you remove this key."
        messages.error(self.request, said, extra_tags="bad")
        return redirect("mfa_list_webauthn")


class SignOut(views.LogoutView):
    """Sign out."""


class Password(views.PasswordChangeView):
    """Choose a password of one's own. Other sessions of theirs end."""

    template_name = "account/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save it, and take note that nobody else has seen this one."""
        form.user.must_change_password = False
        answer = super().form_valid(form)
        # Under a new key since this moment.
        UserSession.objects.create_from_request(self.request)
        members.end_sessions(user=actor_of(self.request).user, but=self.request.session.session_key)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the labels in our words."""
        context = super().get_context_data(**kwargs)
        context["form"].fields["old_password"].label = "Present password"
        return context
