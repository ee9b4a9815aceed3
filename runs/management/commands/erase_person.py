"""Erase what is remembered of a person."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.accounts.models import User
from runs import memories
from runs.management.people import operator
from runs.models import Run


class Command(BaseCommand):
    """Erase what is remembered of a person."""

    help = (
        "Deletes the whole memory of a person at once, and says what else of theirs is kept. "
        "The account, runs, conversations and the memory of agents and teams stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name they sign in with")

    def handle(self, *args: object, name: str, **options: object) -> None:
        person = User.objects.filter(username=name).first()
        if person is None:
            raise CommandError(f"There is no person called {name}.")
        gone = memories.erase(person=person, by=operator())
        self.stdout.write(f"erased: {gone.entries} entries of the memory of {name}")
        self.stdout.write(
            f"kept until their retention ends: {gone.runs} runs with what they read and wrote, "
            f"{gone.conversations} conversations"
        )
        self.stdout.write(f"kept: the account {name}; what agents and teams remember themselves")
        live = Run.objects.filter(owner=person, finished_at__isnull=True)
        for public_id in live.values_list("public_id", flat=True)[:20]:
            self.stdout.write(f"still going, may remember anew: {public_id}")
