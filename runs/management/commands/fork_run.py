"""Start a new run from what another one recorded."""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.sdk.errors import AgentopsError
from runs import services
from runs.management.people import operator, run_called


class Command(BaseCommand):
    """Start a new run from what another one recorded."""

    help = "Starts a new run that begins with what a run had recorded up to an event."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run, or an unambiguous beginning of it")
        parser.add_argument("at_seq", type=int, help="number of the last event to keep")
        parser.add_argument("--input", help="another input, in JSON")

    def handle(
        self, *args: object, run: str, at_seq: int, input: str | None, **options: object
    ) -> None:
        source = run_called(run)
        try:
            forked = services.fork_run(
                run=source,
                at_seq=at_seq,
                actor=operator(),
                owner=source.owner,
                input=None if input is None else json.loads(input),
            )
        except json.JSONDecodeError as error:
            raise CommandError(f"--input is not JSON: {error}") from error
        except AgentopsError as error:
            raise CommandError(error.message) from error
        self.stdout.write(forked.run.public_id)
