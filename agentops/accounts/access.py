"""Who may do what to which object. Every door asks here, and only here."""

from __future__ import annotations

import enum
from typing import Protocol, TypeVar

import structlog
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, QuerySet

from agentops.accounts.models import User
from agentops.sdk.errors import AgentopsError

log = structlog.get_logger(__name__)

Actor = User | AnonymousUser
M = TypeVar("M", bound=Model)


class Action(enum.StrEnum):
    """What somebody wants to do."""

    VIEW = "view"
    # Start, stop, talk to, fork.
    CONTROL = "control"
    # Settle an uncertain outcome, let a parked run go on.
    OPERATE = "operate"


class Owned(Protocol):
    """Something that belongs to a person, or to nobody."""

    owner_id: int | None


class NotFound(AgentopsError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


def is_operator(actor: Actor) -> bool:
    """Whether ``actor`` looks after everybody's runs."""
    return actor.is_active and actor.is_staff


def authorize(actor: Actor, action: Action, target: Owned) -> None:
    """Return if ``actor`` may do ``action`` with ``target``.

    Raises NotFound, so that strangers do not learn that it exists. Owners may do everything with
    what is theirs, operators with everything.
    """
    is_owner = isinstance(actor, User) and actor.is_active and target.owner_id == actor.pk
    if not is_owner and not is_operator(actor):
        log.info("access.denied", action=action, actor=actor.pk, target=str(target))
        raise NotFound


def visible_to(actor: Actor, objects: QuerySet[M]) -> QuerySet[M]:
    """Those of the objects that ``actor`` may see. They have an ``owner``."""
    if not actor.is_active:
        return objects.none()
    return objects if is_operator(actor) else objects.filter(owner_id=actor.pk)
