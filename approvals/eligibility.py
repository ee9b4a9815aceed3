"""Who may decide what: roles, teams, deputies, and whoever must not because it is their own.

# Note [Eligibility]
Asked of the database under the lock of the request, when somebody votes and again of all voters
when the last vote closes it: who left a team in between does not count. Whoever decides holds the
role of an approver and has signed in; a token, a service account or an agent never does. Nobody
decides about a run that is for them or that they started, and where several have to agree, nobody
about arguments they edited. Who stands in for somebody must be allowed themselves, does so only
for what the other one could decide, and is bound by what binds either of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q

from agentops.accounts.access import Action, Actor
from agentops.accounts.roles import ALLOWS, Role
from approvals import quorum
from approvals.models import Deputy, Request, Revision, Vote

NEEDS_ROLE = "Deciding needs the role approver. Ask an administrator."
PERSONS_ONLY = "Only somebody who signed in decides; no token and no service does."
OWN = "The run is for you. Somebody else has to decide."
STARTED = "You started the run. Somebody else has to decide."
EDITED = "You edited what is asked about. Somebody else has to decide."
SEATED = "You have voted already, or whom you stand in for has."


@dataclass(frozen=True)
class Person:
    """Somebody with the rights of this moment, as the database has them."""

    pk: int
    username: str
    is_able: bool
    roles: frozenset[str]
    teams: frozenset[int]
    team_names: frozenset[str]
    sees_all: bool


@dataclass(frozen=True)
class Standing:
    """How somebody stands to a request: the factors they may fill, and for whom; or why none."""

    factors: frozenset[int]
    deputy: Deputy | None = None
    why_not: str = ""

    @property
    def seats(self) -> Iterable[int]:
        """The other person whose place is taken by their vote."""
        return () if self.deputy is None else (self.deputy.person_id,)


@dataclass(frozen=True)
class Case:
    """A request with all that bears on who may decide it."""

    request: Request
    revision: Revision | None
    starters: frozenset[str]

    @property
    def separation(self) -> Mapping[str, object]:
        said = self.request.rule.get("separation")
        return said if isinstance(said, dict) else {}


def case(request: Request, revision: Revision | None) -> Case:
    """The request, and who started its run and the one above all."""
    with connection.cursor() as cursor:
        cursor.execute(_STARTERS, {"run": request.run_id})
        starters = {name.rpartition(" for ")[2] for (name,) in cursor.fetchall() if name}
    return Case(request, revision, frozenset(starters))


def may_decide(actor: Actor, request: Request) -> str | None:
    """Why ``actor`` may not decide this, in a sentence for them; None: they may.

    Says nothing of whether it is still open, nor of what they have voted.
    """
    if actor.scopes is not None or actor.service is not None:
        return PERSONS_ONLY
    newest = request.revisions.order_by("-number").first()
    standing = standings([actor.user.pk], case(request, newest))[actor.user.pk]
    return standing.why_not or None


def standings(people: Sequence[int], about: Case) -> dict[int, Standing]:
    """How each of these people stands to it at this moment."""
    known = _load(people)
    found = {pk: _own(known[pk], about) if pk in known else _nobody() for pk in people}
    for pk in people:
        if pk in known and not found[pk].factors and known[pk].is_able:
            found[pk] = _in_place_of_another(known[pk], about) or found[pk]
    return found


def bars_editors(request: Request) -> bool:
    """Whether who edits what is asked about is no voice on it: where several have to agree.

    Where one person decides, their edit is what they approve.
    """
    said = request.rule.get("separation")
    strict = not isinstance(said, dict) or bool(said.get("editor", True))
    return strict and quorum.total(request.factors) > 1


def taken(votes: Iterable[Vote]) -> set[int]:
    """Whose word is given already: voters, and those they stood in for."""
    rows = list(votes)
    others = {vote.deputy.person_id for vote in rows if vote.deputy is not None}
    return {vote.voter_id for vote in rows} | others


def _load(people: Iterable[int]) -> dict[int, Person]:
    """Roles and teams of all of them, with one question."""
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"people": list(people)})
        return {row[0]: _person(*row) for row in cursor.fetchall()}


# In words of SQL: every decision asks these, and putting them together costs more than the answer.
_STARTERS = """
SELECT started_by FROM run WHERE id = %(run)s
UNION SELECT f.started_by FROM run r JOIN run f ON f.id = r.root_id WHERE r.id = %(run)s
"""
_PEOPLE = """
SELECT u.id, u.username, u.is_active AND NOT u.is_service, u.is_superuser,
       ARRAY(SELECT g.name FROM accounts_user_groups o JOIN auth_group g ON g.id = o.group_id
              WHERE o.user_id = u.id),
       ARRAY(SELECT m.team_id FROM accounts_membership m WHERE m.user_id = u.id),
       ARRAY(SELECT t.name FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
              WHERE m.user_id = u.id)
  FROM accounts_user u WHERE u.id = ANY(%(people)s)
"""


def _person(
    pk: int,
    username: str,
    is_able: bool,  # noqa: FBT001 - a row of the statement above
    has_all: bool,  # noqa: FBT001
    groups: list[str],
    teams: list[int],
    names: list[str],
) -> Person:
    roles = set(Role) if has_all else {Role(name) for name in groups if name in _ROLES}
    allowed = {action for role in roles for action in ALLOWS[role]}
    return Person(
        pk=pk,
        username=username,
        is_able=is_able and Action.DECIDE in allowed,
        roles=frozenset(roles),
        teams=frozenset(teams),
        team_names=frozenset(names),
        sees_all=Action.ADMINISTER in allowed,
    )


_ROLES = frozenset(Role)


def _nobody() -> Standing:
    return Standing(frozenset(), why_not=NEEDS_ROLE)


def _own(person: Person, about: Case) -> Standing:
    if not person.is_able:
        return _nobody()
    barred = _barred(person, about)
    if barred:
        return Standing(frozenset(), why_not=barred)
    factors = quorum.factors_of(about.request.factors)
    able = frozenset(at for at, one in enumerate(factors) if _fills(person, one, about.request))
    asked = quorum.words(about.request.factors)
    return Standing(able, why_not="" if able else f"It asks for {asked}; you are none of them.")


def _fills(person: Person, factor: Mapping[str, object], request: Request) -> bool:
    """A team decides by its members; a role where the run is theirs to see, or is no team's."""
    if factor.get("team"):
        return factor["team"] in person.team_names
    near = request.team_id is None or request.team_id in person.teams or person.sees_all
    return near and factor.get("role", Role.APPROVER) in person.roles


def _barred(person: Person, about: Case) -> str:
    """Why this is too much their own, by the separation of duties the rule asks for."""
    request, said = about.request, about.separation
    if said.get("owner", True) and request.owner_id == person.pk:
        return OWN
    if said.get("starter", True) and person.username in about.starters:
        return STARTED
    edited = about.revision is not None and about.revision.made_by_id == person.pk
    return EDITED if edited and bars_editors(request) else ""


def _in_place_of_another(person: Person, about: Case) -> Standing | None:
    """For whom they may decide who have made them a deputy, if for anybody."""
    if _barred(person, about):
        return None
    for_it = Q(tools=[]) | Q(tools__contains=[about.request.name])
    mine = Deputy.objects.in_force().filter(for_it, deputy_id=person.pk)
    deputies = list(mine.order_by("pk"))
    others = _load(row.person_id for row in deputies)
    for row in deputies:
        standing = _own(others[row.person_id], about)
        if standing.factors:
            return Standing(standing.factors, deputy=row)
    return None
