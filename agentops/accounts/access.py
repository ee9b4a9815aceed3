"""Who may do what to which object. Every door asks here, and only here."""

from __future__ import annotations

from typing import Protocol, TypeVar

import structlog
from django.db.models import Model, Q, QuerySet

from agentops.accounts.actors import Actor, Reach
from agentops.accounts.roles import ALLOWS, OWN, Action
from agentops.sdk.errors import AgentopsError

__all__ = ["Action", "Actor", "Forbidden", "NotFound", "Owned", "allows", "authorize", "visible_to"]

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Model)


class Owned(Protocol):
    """Something that belongs to a person, a team, both or nobody."""

    owner_id: int | None
    team_id: int | None

    @property
    def public_id(self) -> str: ...


class NotFound(AgentopsError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


class Forbidden(AgentopsError):
    """You may see it, but not do this with it."""

    code = "permission_denied"


def authorize(actor: Actor, action: Action, target: Owned | None = None) -> None:
    """Return if ``actor`` may do ``action`` with ``target``, or at all if that names nothing.

    Raises NotFound for what they may not even see, so that strangers do not learn that it exists,
    and Forbidden, with who may, for what they may see but not touch.
    """
    if target is not None and not _sees(actor, target):
        log.info("access.denied", action=action, actor=actor.name, target=str(target))
        raise NotFound
    if not allows(actor, action, target):
        log.info("access.denied", action=action, actor=actor.name, target=str(target or ""))
        raise Forbidden(_who_may(actor, action))


def allows(actor: Actor, action: Action, target: Owned | None = None) -> bool:
    """Whether ``actor`` may do ``action``; what a button asks before it is drawn."""
    if not actor.is_active or not actor.token_allows(action):
        return False
    if target is None:
        return action in actor.allowed
    if not _sees(actor, target):
        return False
    own = target.owner_id == actor.user.pk and action in OWN
    return own or action in actor.allowed


def visible_to(actor: Actor, objects: QuerySet[M]) -> QuerySet[M]:
    """Those of the objects that ``actor`` may see. They have an ``owner`` and a ``team``."""
    reach = actor.reach
    if not actor.is_active or not actor.token_allows(Action.VIEW):
        return objects.none()
    if reach.only is not None:
        objects = objects.filter(public_id__in=reach.only)
    return objects if reach.everything else objects.filter(_within(reach))


def _within(reach: Reach) -> Q:
    mine = Q(owner_id=reach.owner)
    return mine | Q(team_id__in=reach.teams) if reach.teams else mine


def _sees(actor: Actor, target: Owned) -> bool:
    reach = actor.reach
    if not actor.is_active or not actor.token_allows(Action.VIEW):
        return False
    if reach.only is not None and target.public_id not in reach.only:
        return False
    mine = target.owner_id is not None and target.owner_id == reach.owner
    return reach.everything or mine or target.team_id in reach.teams


def _who_may(actor: Actor, action: Action) -> str:
    if not actor.token_allows(action):
        return f"This token may not be used to {_words(action)}."
    roles = " or ".join(role for role, actions in ALLOWS.items() if action in actions)
    return f"To {_words(action)} needs the role {roles}. Ask an administrator."


def _words(action: Action) -> str:
    return action.value.replace("_", " ")
