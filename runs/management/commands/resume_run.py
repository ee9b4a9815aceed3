"""Let a parked run go on."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.sdk.errors import AgentopsError
from runs import services
from runs.management.people import operator, run_called


class Command(BaseCommand):
    """Let a parked run go on."""

    help = "Lets a run go on that was parked for a crash loop, changed code or a payload."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run, or an unambiguous beginning of it")

    def handle(self, *args: object, run: str, **options: object) -> None:
        try:
            resumed = services.resume_run(run=run_called(run), actor=operator())
        except AgentopsError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{resumed.public_id} is {resumed.status}")
