"""Chains and rotas as they are kept: saved whole, in versions, with who changed them and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max, QuerySet

from agentops.accounts.access import Action, Actor, authorize, authorize_person
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals import chains, notices, preferences, receivers, rotas
from approvals.chains import InvalidChain, Target, Telling
from approvals.models import Chain, ChainVersion, Kind, Record, Request, Rota
from approvals.rotas import InvalidRota

LONGEST_NOTE = 200
log = structlog.get_logger(__name__)


# -- saving --------------------------------------------------------------------------------------


def save_chain(
    *, name: str, steps: Sequence[chains.Step], actor: Actor, note: str = "", is_usual: bool = False
) -> ChainVersion:
    """The next version of a chain; what waits already keeps the one it began with.

    Raises PersonRequired, Forbidden, or InvalidChain, which names the step and what to do.
    """
    _administers(actor)
    for telling in chains.plan(steps):
        for target in telling.tell:
            _check(target, telling.step)
    with transaction.atomic():
        chain, _ = Chain.objects.get_or_create(name=name)
        Chain.objects.select_for_update().get(pk=chain.pk)
        if is_usual:
            Chain.objects.exclude(pk=chain.pk).filter(is_usual=True).update(is_usual=False)
        Chain.objects.filter(pk=chain.pk).update(is_usual=is_usual)
        last = chain.versions.aggregate(last=Max("number"))["last"] or 0
        made = ChainVersion.objects.create(
            chain=chain, number=last + 1, steps=list(steps), note=note[:LONGEST_NOTE],
            made_by=actor.user,
        )  # fmt: skip
        _record(actor, "chain.saved", name=name, version=made.number, usual=is_usual, note=note)
    return made


def drop_chain(*, chain: Chain, actor: Actor) -> None:
    """Take a chain away. What waits already keeps it; rules that name it use the usual one."""
    _administers(actor)
    with transaction.atomic():
        _record(actor, "chain.dropped", name=chain.name)
        chain.delete()


def save_rota(*, name: str, plan: Mapping[str, object], actor: Actor) -> Rota:
    """Keep a rota's plan. Raises PersonRequired, Forbidden or InvalidRota."""
    _administers(actor)
    read = rotas.read(plan)
    named = {*read.turns, *(one.person for one in read.instead)}
    known = set(_people().filter(username__in=named).values_list("username", flat=True))
    if missing := sorted(named - known):
        raise InvalidRota(f"turns: there is no person called {missing[0]} who signs in here.")
    with transaction.atomic():
        rota, _ = Rota.objects.update_or_create(name=name, defaults={"plan": dict(plan)})
        _record(actor, "rota.saved", name=name)
    return rota


def drop_rota(*, rota: Rota, actor: Actor) -> None:
    """Take a rota away, unless a chain names it. Raises InvalidRota."""
    _administers(actor)
    for chain in everything():
        if any(Target("rota", rota.name) in telling.tell for telling in chain.tellings):
            raise InvalidRota(f"{rota.name}: chain {chain.chain.name} tells it; change that first.")
    with transaction.atomic():
        _record(actor, "rota.dropped", name=rota.name)
        rota.delete()


def _administers(actor: Actor) -> None:
    authorize_person(actor)
    authorize(actor, Action.ADMINISTER)


def _record(actor: Actor, event: str, **detail: object) -> None:
    Record.objects.create(event=event, by=actor.name, person=actor.user, detail=detail)
    log.info(event, by=actor.name, about=detail.get("name", ""))


def _check(target: Target, step: int) -> None:
    """Whoever is named must be there; a name that means nobody would be noticed too late."""
    known = {
        "person": _people().filter(username=target.name),
        "team": Team.objects.filter(name=target.name),
        "rota": Rota.objects.filter(name=target.name),
    }
    rows = known.get(target.kind)
    missing = target.name not in set(Role) if rows is None else not rows.exists()
    if target.kind != "deciders" and missing:
        raise InvalidChain(f"step {step}: there is no {target.kind} called {target.name}.")


def _people() -> QuerySet[User]:
    return User.objects.filter(is_active=True, is_service=False)


# -- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChainNow:
    """A chain with its newest version. ``broken`` says what cannot be read of it."""

    chain: Chain
    version: ChainVersion | None
    tellings: tuple[Telling, ...] = ()
    broken: str = ""


def everything() -> list[ChainNow]:
    """All chains, the usual one first."""
    found = Chain.objects.prefetch_related("versions__made_by").order_by("-is_usual", "name")
    return [now_of(chain) for chain in found]


def now_of(chain: Chain) -> ChainNow:
    """What a chain says now."""
    version = max(chain.versions.all(), key=lambda one: one.number, default=None)
    try:
        return ChainNow(chain, version, chains.plan(version.steps if version else []))
    except InvalidChain as wrong:
        return ChainNow(chain, version, broken=str(wrong))


@dataclass(frozen=True)
class Somebody:
    """Who would be told, when, or why not."""

    person: User
    why_not: str = ""
    quiet_until: datetime | None = None


@dataclass(frozen=True)
class Then:
    """One telling as it would be, if something had to be decided from now on."""

    telling: Telling
    after: timedelta
    people: list[Somebody] = field(default_factory=list)
    nobody: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return chains.words(self.telling)

    @property
    def is_told(self) -> bool:
        """Whether anybody would hear of it."""
        return any(not one.why_not for one in self.people)


def who_now(tellings: Iterable[Telling], now: datetime, team: Team | None = None) -> Iterator[Then]:
    """Who would be asked now, for an action of nobody's run in this team, if nobody decides."""
    request = Request(kind=Kind.APPROVAL, team=team, run_id=0)
    after = timedelta(0)
    for number, telling in enumerate(tellings):
        at = now + after
        found = receivers.resolve(request, telling.tell, at)
        wishes = preferences.of(one.person.pk for one in found.people)
        event = "escalated" if number else "asked"
        people = []
        for one in found.people:
            wanted = wishes[one.person.pk]
            why_not = one.why_not or preferences.why_not(one.person, wanted, event)
            until = notices.quiet_until(one, wanted, at, is_urgent=telling.is_urgent)
            people.append(Somebody(one.person, why_not, until))
        yield Then(telling, after, people, found.nobody)
        after += telling.wait
