"""Signing in and out, and choosing a password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpResponse
from django.urls import reverse_lazy


class SignIn(views.LoginView):
    """Sign in, and go on to where one wanted to be."""

    template_name = "account/sign_in.html"
    redirect_authenticated_user = True


class SignOut(views.LogoutView):
    """Sign out."""


class Password(views.PasswordChangeView):
    """Choose a password of one's own."""

    template_name = "account/password.html"
    success_url = reverse_lazy("runs")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save it, and take note that nobody else has seen this one."""
        form.user.must_change_password = False
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the labels in our words."""
        context = super().get_context_data(**kwargs)
        context["form"].fields["old_password"].label = "Present password"
        return context
