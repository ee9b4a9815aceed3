"""Say what became of a step whose outcome is uncertain."""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.sdk.errors import AgentopsError
from runs import services
from runs.management.people import operator, run_called
from runs.services import Verdict


class Command(BaseCommand):
    """Say what became of a step whose outcome is uncertain."""

    help = (
        "Settles a step that promised an effect and whose end nobody saw. Look at the outside "
        "world first: say that it happened (and its result), that it did not, that it stays "
        "unknown (the agent is told so), or stop the run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run, or an unambiguous beginning of it")
        parser.add_argument("key", help="key of the step, for example send_mail#1")
        parser.add_argument("verdict", choices=[verdict.value for verdict in Verdict])
        parser.add_argument("--result", default="null", help="what it returned, in JSON")
        parser.add_argument("--reference", default="", help="how you know, for the record")

    def handle(
        self,
        *args: object,
        run: str,
        key: str,
        verdict: str,
        result: str,
        reference: str,
        **options: object,
    ) -> None:
        try:
            settled = services.settle_step(
                run=run_called(run),
                key=key,
                verdict=Verdict(verdict),
                actor=operator(),
                result=json.loads(result),
                reference=reference,
            )
        except json.JSONDecodeError as error:
            raise CommandError(f"--result is not JSON: {error}") from error
        except AgentopsError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{key} of {settled.public_id}: {verdict}; the run is {settled.status}")
