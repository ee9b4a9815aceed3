"""Make a token for the REST API."""

from __future__ import annotations

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from agentops.accounts import tokens
from agentops.accounts.models import LONGEST_NAME, User
from agentops.accounts.roles import USUAL_SCOPES, Scope
from agentops.sdk.errors import AgentopsError
from runs.management.people import operator


class Command(BaseCommand):
    """Make a token for the REST API."""

    help = (
        "Makes a token with which a program acts as a person or as a service account. It is shown "
        "once, here."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="what it is for; shown in lists")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[scope.value for scope in Scope],
            help=f"what it may be used for; without, {' and '.join(USUAL_SCOPES)}",
        )
        parser.add_argument("--days", type=float, help="days it is valid; without, for ever")

    def handle(
        self,
        *args: object,
        username: str,
        name: str,
        scope: list[str] | None,
        days: float | None,
        **options: object,
    ) -> None:
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user {username}.") from error
        if len(name) > LONGEST_NAME:
            raise CommandError(f"--name has more than {LONGEST_NAME} characters.")
        ends = None if days is None else timezone.now() + timedelta(days=days)
        wanted = [Scope(value) for value in scope] if scope else USUAL_SCOPES
        try:
            made = tokens.make_token(
                user=user, name=name, scopes=wanted, expires_at=ends, made_by=operator()
            )
        except AgentopsError as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(made.secret)
