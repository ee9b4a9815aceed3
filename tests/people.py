"""People with roles and teams, as administrators make them."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from agentops.accounts import tokens
from agentops.accounts.models import Membership, Team, User
from agentops.accounts.roles import Role, Scope


def person(name: str, *roles: Role, team: Team | None = None) -> User:
    """Somebody with these roles, in this team."""
    made = User.objects.create_user(name, password="x")
    made.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    if team is not None:
        Membership.objects.create(team=team, user=made)
    return made


def administrator(name: str) -> User:
    """Somebody who looks after the whole installation and its runs."""
    made = person(name, Role.ADMINISTRATOR)
    User.objects.filter(pk=made.pk).update(is_staff=True)
    made.refresh_from_db()
    return made


def token(user: User, *scopes: Scope, days: float | None = None) -> str:
    """What a program shows to act as ``user``; for everything a token can do unless named."""
    ends = None if days is None else timezone.now() + timedelta(days=days)
    wanted = scopes or tuple(Scope)
    return tokens.make_token(user=user, made_by="test", scopes=wanted, expires_at=ends).secret
