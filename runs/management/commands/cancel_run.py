"""Stop a run and everything it started."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser

from runs import services
from runs.management.people import operator, run_called


class Command(BaseCommand):
    """Stop a run."""

    help = "Stops a run and everything it started. Stopping it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run, or an unambiguous beginning of it")
        parser.add_argument("--note", default="", help="why, for the record")

    def handle(self, *args: object, run: str, note: str, **options: object) -> None:
        stopped = services.cancel_run(
            run=run_called(run), actor=operator(), by_operator=True, note=note
        )
        asked = " (its worker has been asked to stop)" if stopped.status == "running" else ""
        self.stdout.write(f"{stopped.public_id} is {stopped.status}{asked}")
