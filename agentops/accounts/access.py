"""Who may do what to which object. Every door asks here, and only here."""

from __future__ import annotations

from typing import Protocol, TypeVar

import structlog
from django.db.models import Model, Q, QuerySet

from agentops.accounts.actors import Actor, Reach
from agentops.accounts.roles import ALLOWS, OWN, Action
from agentops.sdk.errors import AgentopsError

__all__ = [
    "Action", "Actor", "Forbidden", "NotFound", "Owned", "PersonRequired", "allows", "authorize",
    "authorize_new", "authorize_person", "visible_to",
]  # fmt: skip

TAG = "tag:"
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


class PersonRequired(AgentopsError):
    """Only somebody who signs in may do this; no token may."""

    code = "person_required"


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


def authorize_new(actor: Actor) -> None:
    """Return if ``actor`` may begin something of their own, such as a run. Raises Forbidden."""
    may = actor.is_active and actor.token_allows(Action.CONTROL)
    if not may or actor.only is not None:
        log.info("access.denied", action="begin", actor=actor.name)
        raise Forbidden(_who_may(actor, Action.CONTROL))


def authorize_person(actor: Actor) -> None:
    """Return if this is somebody who signed in; what tokens could do, a thief of one could.

    Raises PersonRequired.
    """
    if actor.scopes is not None or not actor.is_active:
        log.info("access.denied", action="act_in_person", actor=actor.name)
        raise PersonRequired


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
        objects = objects.filter(_named(objects.model, reach.only))
    return objects if reach.everything else objects.filter(_within(reach))


def _named(model: type[Model], names: frozenset[str]) -> Q:
    """What a token for a browser opens: itself, what is of its conversation, what has its tag."""
    fields = {field.name for field in model._meta.get_fields()}
    named = Q(public_id__in=names)
    if "conversation" in fields:
        named |= Q(conversation__public_id__in=names)
    if "tags" in fields:
        tags = [name.removeprefix(TAG) for name in names if name.startswith(TAG)]
        named |= Q(tags__overlap=tags)
    return named


def _is_named(target: Owned, names: frozenset[str]) -> bool:
    """The same for one thing at hand."""
    tags = {f"{TAG}{tag}" for tag in getattr(target, "tags", None) or ()}
    if target.public_id in names or not names.isdisjoint(tags):
        return True
    conversation = getattr(target, "conversation", None)
    return conversation is not None and conversation.public_id in names


def _within(reach: Reach) -> Q:
    mine = Q(owner_id=reach.owner)
    return mine | Q(team_id__in=reach.teams) if reach.teams else mine


def _sees(actor: Actor, target: Owned) -> bool:
    reach = actor.reach
    if not actor.is_active or not actor.token_allows(Action.VIEW):
        return False
    if reach.only is not None and not _is_named(target, reach.only):
        return False
    mine = target.owner_id is not None and target.owner_id == reach.owner
    return reach.everything or mine or target.team_id in reach.teams


def _who_may(actor: Actor, action: Action) -> str:
    if not actor.token_allows(action) or actor.only is not None:
        return f"This token may not be used to {_words(action)}."
    roles = " or ".join(role for role, actions in ALLOWS.items() if action in actions)
    return f"To {_words(action)} needs the role {roles}. Ask an administrator."


def _words(action: Action) -> str:
    return action.value.replace("_", " ")
