"""Make a token for the REST API."""

from __future__ import annotations

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from knox.models import AuthToken

from agentops.accounts.models import User


class Command(BaseCommand):
    """Make a token for the REST API."""

    help = "Makes a token with which a program acts as a person. It is shown once, here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--days", type=float, help="days it is valid; without, for ever")

    def handle(self, *args: object, username: str, days: float | None, **options: object) -> None:
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user {username}.") from error
        expiry = None if days is None else timedelta(days=days)
        _, token = AuthToken.objects.create(user, expiry=expiry)
        self.stdout.write(token)
