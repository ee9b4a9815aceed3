"""Which stops hold, and what they are about. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Case, Q, QuerySet, Value, When
from django.utils import timezone

from agentops.accounts.access import Action, Actor, allows
from agentops.accounts.models import User
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs.engine import store
from runs.models import Run, RunStatus, Stop, StopScope

_PUBLIC_ID = re.compile(r"stp_[0-9a-z]{1,20}")
LONGEST_REASON = 500
LONGEST_TARGET = 255
# How long the first of two people's word is good.
WORD_LASTS = timedelta(hours=1)


class NoSuchStop(AgentopsError):
    """There is no such stop."""

    code = "not_found"


def holding() -> QuerySet[Stop]:
    """The stops that hold, what they are about from the widest to the narrowest, oldest first."""
    ranks = [When(scope=scope, then=Value(rank)) for rank, scope in enumerate(StopScope.values)]
    return _all().filter(lifted_at__isnull=True).order_by(Case(*ranks), "id")


def any_hold() -> bool:
    """Whether any stop holds. Asked of every decision, so in the fewest words."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM stop WHERE lifted_at IS NULL)")
        (found,) = cursor.fetchone() or (True,)
    return bool(found)


def lifted() -> QuerySet[Stop]:
    """The stops that hold no more, the last one first."""
    return _all().filter(lifted_at__isnull=False).order_by("-lifted_at", "-id")


def _all() -> QuerySet[Stop]:
    return Stop.objects.select_related("thrown_by", "first_by", "lifted_by")


def shown_to(viewer: Actor) -> list[Stop]:
    """The stops that hold, as far as they may be told: of others' runs, operators hear."""
    everybody = {StopScope.EVERYTHING, StopScope.AGENT, StopScope.AGENT_VERSION, StopScope.TOOL}
    if allows(viewer, Action.OPERATE):
        return list(holding())
    own = Q(scope=StopScope.PERSON, target=viewer.user.get_username())
    return list(holding().filter(Q(scope__in=everybody) | own))


def known(public_id: str) -> str:
    """The id, if it can be one. Raises NoSuchStop."""
    if not _PUBLIC_ID.fullmatch(public_id):
        raise NoSuchStop
    return public_id


def get(*, public_id: str) -> Stop:
    """A stop by its id. Raises NoSuchStop."""
    found = _all().filter(public_id=known(public_id)).first()
    if found is None:
        raise NoSuchStop
    return found


def has_first_word(stop: Stop) -> bool:
    """Whether one of two people said that it may be lifted, and their word still counts."""
    if stop.first_by is None or stop.first_at is None:
        return False
    is_fresh = timezone.now() - stop.first_at < WORD_LASTS
    return is_fresh and allows(Actor(stop.first_by), Action.OPERATE)


@dataclass(frozen=True, slots=True)
class Matter:
    """A run, and a tool where it is about a call of one, as stops see it."""

    run_id: int
    agent: str
    agent_version: str
    owner_id: int | None
    tool: str = ""


def concerning(matter: Matter, stops: Iterable[Stop] | None = None) -> list[Stop]:
    """The stops that hold this; nothing may begin and nothing be decided of it."""
    found = list(holding() if stops is None else stops)
    if not found:
        return []
    families = _families([stop for stop in found if stop.scope == StopScope.RUN], matter.run_id)
    return [stop for stop in found if _is_about(stop, matter, families)]


def _is_about(stop: Stop, matter: Matter, families: set[str]) -> bool:
    if stop.scope == StopScope.PERSON:
        return User.objects.filter(username=stop.target, pk__in=[matter.owner_id or 0]).exists()
    version = f"{matter.agent}@{matter.agent_version}"
    named = {
        StopScope.EVERYTHING: {""},
        StopScope.AGENT: {matter.agent},
        StopScope.AGENT_VERSION: {version},
        StopScope.TOOL: {matter.tool},
        StopScope.RUN: families,
    }
    return stop.target in named.get(StopScope(stop.scope), set())


def _families(stops: list[Stop], run_id: int) -> set[str]:
    """The public ids of a run and of those above it, if any run is stopped at all."""
    found: set[str] = set()
    above: int | None = run_id if stops else None
    while above is not None:
        row = Run.objects.filter(pk=above).values_list("public_id", "parent_id").first()
        if row is None:
            break
        found.add(row[0])
        above = row[1]
    return found


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a stop is about: what goes on now, and what waits."""

    running: int
    queued: int
    waiting: int


def extent(scope: str, target: str) -> Extent:
    """How many live runs a stop is about, at this moment; of a tool, all that might call it."""
    live = Run.objects.filter(_runs_of(scope, target), finished_at__isnull=True).order_by()
    count = {status: live.filter(status=status).count() for status in
             (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.WAITING)}  # fmt: skip
    return Extent(*count.values())


def _runs_of(scope: str, target: str) -> Q:
    agent, _, version = target.rpartition("@")
    using = [it.name for it in catalog().agents() if target in {tool.name for tool in it.tools}]
    return {
        StopScope.AGENT: Q(agent=target),
        StopScope.AGENT_VERSION: Q(agent=agent, agent_version=version),
        StopScope.TOOL: Q(agent__in=using),
        StopScope.PERSON: Q(owner__username=target),
        StopScope.RUN: Q(public_id=target) | Q(root__public_id=target),
    }.get(StopScope(scope), Q())


def held_by(stop: Stop) -> int:
    """How many runs wait for the lift of this stop."""
    return Run.objects.filter(
        status=RunStatus.WAITING, waiting_detail=f"{store.STOPPED}{stop.public_id}"
    ).count()


def known_tools() -> list[str]:
    """The tools that agents here declare."""
    return sorted({tool.name for agent in catalog().agents() for tool in agent.tools})


def family(public_id: str) -> list[int]:
    """A run and all below it."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, {"run": public_id})
        return [pk for (pk,) in cursor.fetchall()]


_FAMILY = """
WITH RECURSIVE family AS (
    SELECT id FROM run WHERE public_id = %(run)s
    UNION
    SELECT c.id FROM run c JOIN family f ON c.parent_id = f.id
)
SELECT id FROM family
"""
