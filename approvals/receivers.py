"""Who is meant by the receivers of a step, at one moment, and whether they could do anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from agentops.accounts.access import Action, Actor, allows
from agentops.accounts.models import User
from agentops.accounts.roles import ALLOWS
from approvals import eligibility, rotas
from approvals.chains import Target
from approvals.models import Kind, Request, Rota

# Whoever is told must be able to do this with it.
_NEEDED = {
    Kind.APPROVAL: Action.DECIDE,
    Kind.QUESTION: Action.RESPOND,
    Kind.ATTENTION: Action.OPERATE,
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who is meant; ``why_not`` says why telling them would be pointless."""

    person: User
    why_not: str = ""
    # The rota that names them has no hours now.
    quiet_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The receivers of a step, each once, and the receivers that are nobody now."""

    people: list[Receiver]
    nobody: list[str]


def resolve(request: Request, targets: Sequence[Target], at: datetime) -> Found:
    """Who is meant at this moment, with whether they may act on this request."""
    quiet: dict[int, datetime | None] = {}
    people: dict[int, User] = {}
    nobody = []
    for target in targets:
        meant = list(_meant(request, target, at))
        if not meant:
            nobody.append(target.words)
        for user, until in meant:
            people[user.pk] = user
            known = quiet.get(user.pk, until)
            quiet[user.pk] = None if until is None or known is None else min(until, known)
    barred = _barred(request, people.values())
    rows = [Receiver(user, barred[pk], quiet[pk]) for pk, user in sorted(people.items())]
    return Found(rows, nobody)


def _meant(
    request: Request, target: Target, at: datetime
) -> Iterator[tuple[User, datetime | None]]:
    if target.kind == "rota":
        row = Rota.objects.filter(name=target.name).first()
        if row is not None:
            duty = rotas.on_duty(rotas.read(row.plan), at)
            for user in _people().filter(username=duty.person):
                yield user, duty.quiet_until
        return
    for user in _named(request, target):
        yield user, None


def _named(request: Request, target: Target) -> Iterable[User]:
    if target.kind == "person":
        return _people().filter(username=target.name)
    if target.kind == "team":
        return _people().filter(teams__name=target.name)
    if target.kind == "role":
        return _within(request, _people().filter(groups__name=target.name))
    return _deciders(request)


def _deciders(request: Request) -> Iterable[User]:
    """Whoever could decide, answer or look after it. A question goes to whom the run is for."""
    if request.kind == Kind.QUESTION:
        own = list(_people().filter(pk=request.owner_id or 0))
        if own:
            return own
    action = _NEEDED[Kind(request.kind)]
    roles = [role.value for role, actions in ALLOWS.items() if action in actions]
    able = _people().filter(Q(groups__name__in=roles) | Q(is_superuser=True)).distinct()
    barred = _barred(request, able)
    return [user for user in able if not barred[user.pk]]


def _within(request: Request, people: QuerySet[User]) -> QuerySet[User]:
    """Those of the request's team; where it is no team's, all."""
    return people if request.team_id is None else people.filter(teams=request.team_id)


def _people() -> QuerySet[User]:
    return User.objects.filter(is_active=True, is_service=False).order_by("pk")


def _barred(request: Request, people: Iterable[User]) -> dict[int, str]:
    """Why each of them could do nothing about it; empty where they could."""
    users = list(people)
    if request.kind == Kind.APPROVAL:
        # Nothing is asked about yet where a settings page asks who would be.
        newest = request.revisions.order_by("-number").first() if request.pk else None
        about = eligibility.case(request, newest)
        found = eligibility.standings([user.pk for user in users], about)
        return {pk: "" if standing.factors else standing.why_not for pk, standing in found.items()}
    action = _NEEDED[Kind(request.kind)]
    return {
        user.pk: "" if allows(Actor(user), action, request) else f"May not {action.value} it."
        for user in users
    }


def barred(request: Request, person: User) -> str:
    """Why this person could do nothing about it; empty where they could."""
    return _barred(request, [person])[person.pk]
