"""People. The project has a user model of its own from the first migration on."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower


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

    def set_password(self, raw_password: str | None) -> None:
        """Choosing a password is what the mark asks for; setting one for somebody marks anew."""
        super().set_password(raw_password)
        self.must_change_password = False
