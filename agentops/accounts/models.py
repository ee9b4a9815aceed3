"""People. The project has a user model of its own from the first migration on."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from agentops.accounts.roles import Role


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
