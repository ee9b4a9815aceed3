"""The second factor: who has one, who needs one, and how its secrets are kept."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from axes.handlers.proxy import AxesProxyHandler
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from agentops.accounts.models import User, with_rights
from agentops.accounts.roles import Role

KINDS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
# Who may do what cannot be undone, or look after everybody.
NEEDED_BY = frozenset({Role.APPROVER, Role.ADMINISTRATOR})


def has_one(user: User) -> bool:
    """Whether they sign in with a second factor."""
    return bool(Authenticator.objects.filter(user=user, type__in=KINDS).exists())


def is_required_of(user: User) -> bool:
    """Whether this installation wants one of them."""
    if not settings.AGENTOPS_MFA_REQUIRED:
        return False
    return user.is_superuser or not NEEDED_BY.isdisjoint(user.roles)


def is_missing(user: User) -> bool:
    """Whether they must set one up before anything else opens."""
    return is_required_of(user) and not has_one(user)


def take_away(user: User) -> int:
    """Remove every factor of somebody who lost theirs; they sign in with the password alone."""
    gone: tuple[int, object] = Authenticator.objects.filter(user=user).delete()
    return gone[0]


class People(ModelBackend):
    """Lets people sign in, and no service account."""

    def user_can_authenticate(self, user: Any) -> bool:
        """Whether this is an active person."""
        return super().user_can_authenticate(user) and not user.is_service

    def get_user(self, user_id: int) -> User | None:
        """Who a session belongs to, with their roles and teams as they are now."""
        user = with_rights(User.objects.filter(pk=user_id)).first()
        return user if user and self.user_can_authenticate(user) else None


class SignInAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by administrators; the console says in its own words what happened."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody makes an account for themselves."""
        return False

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Say it, except that signing in worked: one sees that."""
        if message_template != "account/messages/logged_in.txt":
            super().add_message(request, level, message_template, *args, **kwargs)


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals what generates codes, and keeps the last factor of those who need one."""

    def encrypt(self, text: str) -> str:
        """Sealed with the newest of AGENTOPS_FIELD_KEYS."""
        return _seal().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Opened with whichever of them sealed it."""
        return _seal().decrypt(encrypted_text.encode()).decode()

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whether it is not the last one that this person needs."""
        user = authenticator.user
        others = Authenticator.objects.filter(user=user, type__in=KINDS).exclude(
            pk=authenticator.pk
        )
        is_factor = authenticator.type in KINDS
        return not is_factor or others.exists() or not is_required_of(user)

    def _get_site_name(self) -> str:
        return str(settings.AGENTOPS_INSTANCE)


class _Throttled(BaseAuthenticateForm):  # type: ignore[misc]
    """Wrong codes count like wrong passwords, in the database, whatever process they meet."""

    def clean_code(self) -> str:
        """The code, if it is right. Raises ValidationError."""
        request = context.request
        who = {"username": self.user.get_username()}
        if not AxesProxyHandler.is_allowed(request, who):
            request.axes_locked_out = True
            raise ValidationError("Too many wrong codes.")
        try:
            return str(super().clean_code())
        except ValidationError:
            user_login_failed.send(sender=__name__, credentials=who, request=request)
            raise


class CodeForm(_Throttled, AuthenticateForm):  # type: ignore[misc]
    """The code at sign-in."""


class CodeAgainForm(_Throttled, ReauthenticateForm):  # type: ignore[misc]
    """The code before something that matters."""


def _seal() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEY])
