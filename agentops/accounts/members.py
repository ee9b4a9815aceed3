"""What administrators do to people: let them in, say what they are trusted with, let them go."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import structlog
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet

from agentops.accounts import factors, tokens
from agentops.accounts.actors import Actor
from agentops.accounts.models import Delegation, Membership, Team, User
from agentops.accounts.roles import Role
from agentops.sdk.errors import AgentopsError

# No letters that look alike: it is read from a screen and typed.
_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"
log = structlog.get_logger(__name__)


class LastAdministrator(AgentopsError):
    """Nobody would be left who can administer. Make somebody else an administrator first."""

    code = "last_administrator"


class NotYourOwn(AgentopsError):
    """Nobody changes how far they themselves are trusted. Ask another administrator."""

    code = "not_your_own"


def everybody() -> QuerySet[User]:
    """People, with what the list shows of them."""
    people = User.objects.filter(is_service=False)
    return people.prefetch_related("groups", "teams").order_by("-is_active", "username")


def services() -> QuerySet[User]:
    """Service accounts, with what the list shows of them."""
    accounts = User.objects.filter(is_service=True)
    return accounts.prefetch_related("groups", "teams").order_by("-is_active", "username")


@transaction.atomic
def let_in(*, user: User, roles: Iterable[Role], teams: Iterable[Team], by: Actor) -> str:
    """Save a new person. Answers with the password they use once, to choose their own."""
    password = one_time_password()
    user.set_password(password)
    user.must_change_password = True
    user.save()
    _trust(user, roles, teams)
    log.info("member.added", user=user.username, roles=sorted(user.roles), by=by.name)
    return password


@transaction.atomic
def add_service(*, user: User, roles: Iterable[Role], teams: Iterable[Team], by: Actor) -> None:
    """Save a new service account. Nobody signs in as it; it has tokens."""
    user.is_service = True
    user.set_unusable_password()
    user.save()
    _trust(user, roles, teams)
    log.info("service.added", user=user.username, roles=sorted(user.roles), by=by.name)


@transaction.atomic
def entrust(*, user: User, roles: Iterable[Role], teams: Iterable[Team], by: Actor) -> None:
    """Say what somebody is trusted with and where. Raises NotYourOwn and LastAdministrator."""
    wanted = set(roles)
    if wanted != set(user.roles):
        _refuse_oneself(user, by)
    before = sorted(user.roles)
    wanted_teams = list(teams)
    _trust(user, wanted, wanted_teams)
    _keep_an_administrator()
    log.info(
        "member.entrusted", user=user.username, by=by.name, roles=sorted(wanted), before=before,
        teams=sorted(team.name for team in wanted_teams),
    )  # fmt: skip


@transaction.atomic
def let_go(*, user: User, by: Actor) -> None:
    """Somebody leaves: sessions, tokens and delegations end now; what they did stays theirs.

    Raises NotYourOwn and LastAdministrator.
    """
    _refuse_oneself(user, by)
    User.objects.filter(pk=user.pk).update(is_active=False)
    _keep_an_administrator()
    tokens.revoke_all(user=user, revoked_by=by.name)
    Delegation.objects.filter(Q(person=user) | Q(service=user)).delete()
    end_sessions(user=user)
    log.info("member.left", user=user.username, by=by.name)


def take_back(*, user: User, by: Actor) -> None:
    """Somebody returns. Tokens and delegations of before do not."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    log.info("member.returned", user=user.username, by=by.name)


@transaction.atomic
def new_password(*, user: User, by: Actor) -> str:
    """A password for somebody who lost theirs, to use once; their sessions end.

    Raises NotYourOwn: one's own is changed with the present one.
    """
    _refuse_oneself(user, by)
    password = one_time_password()
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password"])
    end_sessions(user=user)
    log.info("member.password_reset", user=user.username, by=by.name)
    return password


def forget_factors(*, user: User, by: Actor) -> None:
    """Somebody lost phone or key: they sign in with the password, and their sessions end.

    Raises NotYourOwn: one's own are removed with one of them at hand.
    """
    _refuse_oneself(user, by)
    rescue(user=user, by=by.name)


@transaction.atomic
def rescue(*, user: User, by: str) -> None:
    """The same from a terminal, for the only administrator too."""
    factors.take_away(user)
    end_sessions(user=user)
    log.info("member.factors_removed", user=user.username, by=by)


def add_team(*, name: str, by: Actor) -> Team:
    """A new team, with nobody in it yet."""
    team = Team.objects.create(name=name)
    log.info("team.added", team=name, by=by.name)
    return team


def end_sessions(*, user: User, but: str | None = None) -> int:
    """Sign somebody out everywhere, except in the session ``but``. Their sockets close too."""
    ended = 0
    for session in UserSession.objects.filter(user=user).exclude(session_key=but or ""):
        session.end()
        ended += 1
    return ended


def one_time_password() -> str:
    """Eighty random bits that can be read aloud."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def _refuse_oneself(user: User, by: Actor) -> None:
    if user.pk == by.user.pk:
        raise NotYourOwn


def _trust(user: User, roles: Iterable[Role], teams: Iterable[Team]) -> None:
    user.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    wanted = {team.pk for team in teams}
    Membership.objects.filter(user=user).exclude(team__in=wanted).delete()
    Membership.objects.bulk_create(
        (Membership(user=user, team_id=pk) for pk in wanted), ignore_conflicts=True
    )
    # The admin site asks for this mark as well.
    User.objects.filter(pk=user.pk, is_superuser=False).update(
        is_staff=Role.ADMINISTRATOR in set(roles)
    )


def _keep_an_administrator() -> None:
    """Raise LastAdministrator unless somebody can still administer; one change at a time."""
    # Two who take it from each other at once: the second waits here, and then sees the first.
    list(Group.objects.select_for_update().filter(name=Role.ADMINISTRATOR))
    can = Q(is_superuser=True) | Q(groups__name=Role.ADMINISTRATOR)
    if not User.objects.filter(can, is_active=True, is_service=False).exists():
        raise LastAdministrator
