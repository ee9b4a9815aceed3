"""Remove the second factors of somebody who lost them."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.accounts import members
from agentops.accounts.models import User
from runs.management.people import operator


class Command(BaseCommand):
    """Remove the second factors of somebody who lost them."""

    help = (
        "Removes authenticator app, security keys and recovery codes of somebody who lost them, "
        "and signs them out everywhere. They sign in with the password alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: object, username: str, **options: object) -> None:
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user {username}.") from error
        members.rescue(user=user, by=operator())
        self.stdout.write(f"{username} signs in with the password alone.")
