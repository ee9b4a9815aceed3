"""People. The project has a user model of its own from the first migration on."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import AbstractUser, Group
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import OuterRef, Q
from django.db.models.functions import Lower
from knox.settings import CONSTANTS

from agentops.accounts.roles import Role, Scope
from agentops.sdk.ids import new_id

LONGEST_NAME = 80


def new_token_id() -> str:
    """A name for a token that is no secret."""
    return new_id("tok")


def new_delegation_id() -> str:
    """A name for a delegation that is no secret."""
    return new_id("dlg")


class Team(models.Model):
    """People who look after the same runs."""

    name = models.CharField(max_length=80, unique=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        "User", through="Membership", related_name="teams"
    )

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person in a team. What they may do there, their roles say."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey("User", on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="accounts_member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class User(AbstractUser):
    """A person who signs in, or a service that acts with a token."""

    # For passwords that somebody else has seen, such as the one printed at the first start.
    must_change_password = models.BooleanField(default=False)
    # A program with tokens of its own; nobody signs in as it.
    is_service = models.BooleanField(default=False, db_default=False)

    class Meta(AbstractUser.Meta):
        constraints = [
            # Mail that answers "who is this?" must have one answer.
            models.UniqueConstraint(
                Lower("email"), name="accounts_user_email_once", condition=~Q(email="")
            ),
        ]

    @property
    def roles(self) -> list[Role]:
        """The roles among this user's groups, in the order of their trust."""
        names = {group.name for group in self.groups.all()}
        return [role for role in Role if role in names]

    def set_password(self, raw_password: str | None) -> None:
        """Choosing a password is what the mark asks for; setting one for somebody marks anew."""
        super().set_password(raw_password)
        self.must_change_password = False


def with_rights(people: models.QuerySet[User]) -> models.QuerySet[User]:
    """People together with the names of their groups and the keys of their teams.

    So every page knows with one query who is there and what they may, and not with three.
    """
    groups = Group.objects.filter(user=OuterRef("pk")).values("name")
    teams = Membership.objects.filter(user=OuterRef("pk")).values("team_id")
    return people.annotate(known_groups=ArraySubquery(groups), known_teams=ArraySubquery(teams))


class Delegation(models.Model):
    """The word of a person that a service may act for them for a while.

    The service shows a signed text that names this row; taking the row away ends it at once.
    """

    public_id = models.CharField(max_length=24, unique=True, default=new_delegation_id)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="delegations")
    service = models.ForeignKey(User, on_delete=models.CASCADE, related_name="acts_for")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "idempotency_key"], name="accounts_delegation_given_once"
            ),
            models.CheckConstraint(
                name="accounts_nobody_delegates_to_themselves",
                condition=~Q(person=models.F("service")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} for {self.person}"


class ApiToken(models.Model):
    """What a program shows to act as somebody. Only its hash is kept.

    Its ``user`` is the person or service that acts; with ``delegation`` the service acts for that
    person. ``only`` is what a token for a browser opens: public ids, and ``tag:`` with a tag.

    The first five fields are those of knox's tokens, under its names.
    """

    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, primary_key=True)
    # How it begins: finds its row, and tells tokens apart in lists.
    token_key = models.CharField(max_length=25, db_index=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="auth_token_set")
    created = models.DateTimeField(auto_now_add=True)
    expiry = models.DateTimeField(null=True, blank=True)

    public_id = models.CharField(max_length=24, unique=True, default=new_token_id)
    name = models.CharField(max_length=LONGEST_NAME, blank=True)
    scopes = ArrayField(models.CharField(max_length=30, choices=[(s, s) for s in Scope]))
    only = ArrayField(models.CharField(max_length=120), null=True, blank=True)
    # Whoever takes away a token takes away what was made with it.
    made_with = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True)
    delegation = models.ForeignKey(Delegation, on_delete=models.CASCADE, null=True, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    # To the minute.
    last_used_at = models.DateTimeField(null=True, blank=True)
    # What a request showed besides the token; not kept.
    shown_delegation: Delegation | None = None

    class Meta:
        constraints = [
            # Repeating a request makes no second one.
            models.UniqueConstraint(
                fields=["user", "idempotency_key"], name="accounts_token_made_once"
            ),
            models.CheckConstraint(
                name="accounts_token_is_for_something", condition=Q(scopes__len__gt=0)
            ),
            models.CheckConstraint(
                name="accounts_token_of_a_browser_ends",
                condition=Q(only__isnull=True) | Q(expiry__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.token_key} of {self.user}"

    def is_expired(self, now: datetime) -> bool:
        """Whether it opens nothing any more."""
        return self.expiry is not None and self.expiry <= now
