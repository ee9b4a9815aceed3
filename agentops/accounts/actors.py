"""Who acts: a person, or a service on behalf of one, with the rights of that moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from django.http import HttpRequest
from rest_framework.request import Request

from agentops.accounts.models import ApiToken, Delegation, User
from agentops.accounts.roles import ALLOWS, SCOPES_OF, Action, Role, Scope


@dataclass(frozen=True)
class Reach:
    """Whose things somebody sees. Two with the same reach see the same lists."""

    owner: int | None
    teams: frozenset[int] = frozenset()
    everything: bool = False
    # A token for a browser opens only these: public ids, and ``tag:`` with a tag.
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Actor:
    """Somebody at a door. Rights are read once; make a new one to look again.

    ``user`` is the person whose things and rights count. ``service`` is the account of a program
    that acts for them; what it may do is then the intersection of both. ``scopes`` are those of a
    token (``None``: a signed-in person), ``only`` what a browser's token is for.
    """

    user: User
    service: User | None = None
    scopes: frozenset[Scope] | None = None
    only: frozenset[str] | None = None
    # How they came, to look again whether they still may: a token, a delegation, a session.
    token: ApiToken | None = field(default=None, compare=False)
    delegation: Delegation | None = field(default=None, compare=False)
    session_key: str | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """How journals and audit records call them."""
        person = self.user.get_username()
        return f"{self.service.get_username()} for {person}" if self.service else person

    @property
    def is_active(self) -> bool:
        """Whether they may do anything at all."""
        return self.user.is_active and (self.service is None or self.service.is_active)

    def ready(self) -> Actor:
        """The same, with its rights read: for places that cannot ask the database later."""
        _ = self.reach, self.allowed
        return self

    @cached_property
    def _trusted(self) -> frozenset[Action]:
        """What the roles of the person, and of the service if there is one, say."""
        roles = _actions(self.user)
        return roles if self.service is None else roles & _actions(self.service)

    @cached_property
    def allowed(self) -> frozenset[Action]:
        """What roles and token let them do within their reach."""
        return frozenset(action for action in self._trusted if self.token_allows(action))

    def token_allows(self, action: Action) -> bool:
        """Whether the token, if that is how they came, is meant for this."""
        return self.scopes is None or not self.scopes.isdisjoint(SCOPES_OF.get(action, ()))

    @cached_property
    def reach(self) -> Reach:
        """Whose things they see."""
        if not self.is_active:
            return Reach(None, only=frozenset())
        if Action.ADMINISTER in self._trusted:
            return Reach(None, everything=True, only=self.only)
        shares = Action.VIEW in self._trusted
        return Reach(self.user.pk, self._teams() if shares else frozenset(), only=self.only)

    def _teams(self) -> frozenset[int]:
        """The teams of the person; of a service that acts for them, those of both."""
        teams = _teams_of(self.user)
        if self.service is None or Action.ADMINISTER in _actions(self.service):
            return teams
        return teams & _teams_of(self.service)


def actor_of(request: HttpRequest | Request) -> Actor:
    """Who is at this door; for doors that have refused everybody who is nobody.

    Rights are read once per request.
    """
    inner = request._request if isinstance(request, Request) else request
    known = getattr(inner, "actor", None)
    if isinstance(known, Actor):
        return known
    actor = _actor(request)
    inner.actor = actor  # type: ignore[attr-defined]
    return actor


def actor_with(token: ApiToken, delegation: Delegation | None = None) -> Actor:
    """Who acts with this token; with a delegation, for whoever gave it."""
    given = delegation or token.delegation
    return Actor(
        user=given.person if given else token.user,
        service=token.user if given else None,
        scopes=frozenset(scope for scope in Scope if scope in token.scopes),
        only=None if token.only is None else frozenset(token.only),
        token=token,
        delegation=given,
    )


def _actor(request: HttpRequest | Request) -> Actor:
    token = getattr(request, "auth", None)
    if isinstance(token, ApiToken):
        return actor_with(token, token.shown_delegation)
    assert isinstance(request.user, User)  # noqa: S101 - narrows the type
    session = getattr(request, "session", None)
    return Actor(request.user, session_key=session.session_key if session else None)


def _teams_of(user: User) -> frozenset[int]:
    known: list[int] | None = getattr(user, "known_teams", None)
    return frozenset(user.teams.values_list("pk", flat=True) if known is None else known)


def roles_of(user: User) -> frozenset[Role]:
    """The roles of somebody; a superuser has every one."""
    if user.is_superuser:
        return frozenset(Role)
    known: list[str] | None = getattr(user, "known_groups", None)
    return frozenset(user.roles if known is None else [role for role in Role if role in known])


def _actions(user: User) -> frozenset[Action]:
    return frozenset(action for role in roles_of(user) for action in ALLOWS[role])
