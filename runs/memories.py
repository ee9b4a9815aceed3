"""Memory as people and programs see and change it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import QuerySet

from agentops.accounts.access import (
    Action,
    Actor,
    NotFound,
    authorize,
    authorize_new,
    visible_to,
)  # fmt: skip
from agentops.accounts.models import Team, User
from agentops.sdk import memory
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from agentops.sdk.memory import MOST_FOUND
from runs.engine import memories
from runs.engine.memories import Namespace, Writer
from runs.models import Conversation, Memory, MemoryKind, Run

__all__ = [
    "Erased", "MemoryTaken", "StaleMemory", "add", "erase", "find", "list_memories", "may_erase",
    "namespace", "one", "remove", "revise", "value_of",
]  # fmt: skip

log = structlog.get_logger(__name__)
_PUBLIC_ID = re.compile(r"mem_[0-9a-z]{20}")


class StaleMemory(AgentopsError):
    """The entry was changed since you read it. Nothing was written; read it again."""

    code = "memory_changed"


class MemoryTaken(AgentopsError):
    """There is an entry of this key already. Change that one by its id."""

    code = "memory_exists"


@dataclass(frozen=True, slots=True)
class Erased:
    """How many entries of a person went, and what else of theirs is kept."""

    entries: int
    runs: int
    conversations: int


# -- reading -------------------------------------------------------------------------------------


def list_memories(
    *, viewer: Actor, scope: str = "", agent: str = "", person: str = "", team: str = ""
) -> QuerySet[Memory]:
    """The entries ``viewer`` may see, newest first; ``person`` and ``team`` are names."""
    wanted = {
        "kind": scope,
        "agent": agent,
        "owner__username": person,
        "team__name": team,
    }
    rows = visible_to(viewer, Memory.objects.select_related("owner", "team"))
    chosen = rows.filter(**{name: value for name, value in wanted.items() if value})
    return memories.alive(chosen).order_by("-created_at", "-id")


def find(*, rows: QuerySet[Memory], query: str, limit: int) -> list[Memory]:
    """Those of ``rows`` that have most to do with ``query``, best first."""
    return memories.search(rows, memory.printable(query), min(limit, MOST_FOUND))


def one(*, public_id: str, viewer: Actor, action: Action = Action.VIEW) -> Memory:
    """The entry called ``public_id``. Raises NotFound or Forbidden unless ``viewer`` may."""
    found = None
    if _PUBLIC_ID.fullmatch(public_id):
        rows = memories.alive(Memory.objects.select_related("owner", "team"))
        found = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound(f"There is no memory {public_id[:40]}, or it is not yours to see.")
    authorize(viewer, action, found)
    return found


def value_of(row: Memory) -> object:
    """The value of an entry."""
    return memories.remembered(row).value


# -- changing ------------------------------------------------------------------------------------


def namespace(*, actor: Actor, scope: str, agent: str = "", team: str = "") -> Namespace:
    """The memory ``actor`` may write to: their own, that of their team, or that of an agent.

    Raises NotFound for teams that are not theirs, UnknownAgent, or Forbidden.
    """
    if scope == MemoryKind.AGENT:
        authorize(actor, Action.ADMINISTER)
        return Namespace(MemoryKind.AGENT, agent=catalog().agent(agent).name)
    authorize_new(actor)
    if scope == MemoryKind.PERSON:
        return Namespace(MemoryKind.PERSON, owner=actor.user.pk)
    found = Team.objects.filter(name=memory.printable(team)).first()
    reach = actor.reach
    if found is None or not (reach.everything or found.pk in reach.teams):
        raise NotFound(f"There is no team “{team[:80]}”, or it is not yours.")
    authorize(actor, Action.CONTROL)
    return Namespace(MemoryKind.TEAM, team=found.pk)


def add(
    *,
    space: Namespace,
    key: str,
    value: object,
    by: str,
    text: str | None = None,
    expires_at: datetime | None = None,
) -> Memory:
    """Write a new entry. Raises MemoryTaken, Misuse, PayloadError or PayloadTooLarge."""
    entry = memory.note(key, value, None, text)
    written = memories.add(space, entry, Writer(by), expires_at)
    if written is None:
        raise MemoryTaken
    log.info("memory.written", memory=written.public_id, by=by)
    return Memory.objects.select_related("owner", "team").get(public_id=written.public_id)


def revise(
    *,
    row: Memory,
    revision: int,
    value: object,
    by: str,
    text: str | None = None,
    expires_at: datetime | None = None,
) -> Memory:
    """Write over the entry, if it still has the ``revision`` that was read.

    Raises StaleMemory, PayloadError or PayloadTooLarge; then nothing is written.
    """
    entry = memory.note(row.key, value, None, text)
    new = memories.revise(
        row.public_id, revision, value=entry.value, text=entry.text, expires_at=expires_at, by=by
    )
    if new is None:
        raise StaleMemory
    log.info("memory.written", memory=row.public_id, by=by)
    return Memory.objects.select_related("owner", "team").get(pk=row.pk)


def remove(*, row: Memory, by: str, revision: int | None = None) -> None:
    """Delete the entry, if it still has the ``revision``; any, when None. Raises StaleMemory."""
    if not memories.remove(row.public_id, revision) and revision is not None:
        raise StaleMemory
    log.info("memory.deleted", memory=row.public_id, by=by)


def may_erase(*, actor: Actor, name: str) -> User:
    """The person called ``name``, if ``actor`` may erase their memory. Raises NotFound, Forbidden.

    Everybody may erase their own, administrators that of everybody.
    """
    if name == actor.user.get_username():
        authorize_new(actor)
        return actor.user
    found = User.objects.filter(username=memory.printable(name)).first()
    if found is None or not actor.reach.everything:
        raise NotFound(f"There is no person “{name[:150]}”, or it is not yours to erase.")
    authorize(actor, Action.ADMINISTER)
    return found


def erase(*, person: User, by: str) -> Erased:
    """Delete all that is remembered of a person, and say what else of theirs is kept.

    A run of theirs that is at work may write again.
    """
    entries = memories.erase_person(person.pk)
    log.info("memory.erased", person=person.get_username(), entries=entries, by=by)
    return Erased(
        entries,
        Run.objects.filter(owner=person).count(),
        Conversation.objects.filter(owner=person).count(),
    )
