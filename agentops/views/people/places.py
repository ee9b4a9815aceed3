"""The tabs of the settings."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from approvals import policies


@dataclass(frozen=True, slots=True)
class SettingsPlace:
    """One tab: a link, and whether the page shown is it or lies in it."""

    label: str
    href: str
    current: bool


_OWN = (
    ("profile", "Profile"),
    ("mfa_index", "Security"),
    ("sessions", "Sessions"),
    ("notifications", "Notifications"),
    ("tokens", "Tokens"),
    ("keys", "Keys"),
)
_ADMINISTRATORS = (
    ("members", "Members"),
    ("services", "Services"),
    ("escalation", "Escalation"),
    ("mails", "Mail"),
)


def settings_places(request: HttpRequest) -> list[SettingsPlace]:
    """The settings this person has: their own, and those of everybody if they look after them."""
    named: tuple[tuple[str, str], ...] = _OWN
    if isinstance(request.user, User) and policies.may_read(actor_of(request)):
        named += (("policies", "Policies"),)
    if isinstance(request.user, User) and allows(actor_of(request), Action.ADMINISTER):
        named += _ADMINISTRATORS
    return [
        SettingsPlace(label, href, request.path.startswith((href, *_within(name))))
        for name, label in named
        for href in [reverse(name)]
    ]


def _within(name: str) -> tuple[str, ...]:
    """Pages of a tab whose addresses do not lie below it."""
    return (reverse("password"),) if name == "mfa_index" else ()
