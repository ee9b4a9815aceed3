"""Check that recorded runs still fit the code, before a deploy or in CI."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.execution.checking import Fit, check
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs.engine.history import claim_of, history_of
from runs.management.people import run_called
from runs.models import Run, RunStatus


class Command(BaseCommand):
    """Check that recorded runs still fit the code, before a deploy or in CI."""

    help = (
        "Replays stored journals on the code of this checkout, without doing or writing anything. "
        "Exits with 1 if a run no longer fits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("runs", nargs="*", help="ids of runs, or unambiguous beginnings")
        parser.add_argument("--agent", help="the newest runs of this agent")
        parser.add_argument("--last", type=int, default=20, help="how many of them (default 20)")

    def handle(
        self, *args: object, runs: list[str], agent: str | None, last: int, **options: object
    ) -> None:
        if not runs and agent is None:
            raise CommandError("Name runs, or an agent with --agent.")
        chosen = [run_called(name) for name in runs]
        if agent is not None:
            chosen += Run.objects.filter(agent=agent).order_by("-created_at")[:last]
        unfit = [run for run in chosen if not self._fits(run)]
        self.stdout.write(f"{len(chosen)} replayed, {len(unfit)} no longer fit")
        if unfit:
            raise CommandError("Resume them on the old version, add ctx.patched(…), or fork them.")

    def _fits(self, run: Run) -> bool:
        try:
            definition = catalog().agent(run.agent)
        except AgentopsError as error:
            raise CommandError(error.message) from error
        final = run.status == RunStatus.SUCCEEDED
        fit = check(definition, claim_of(run), history_of(run), final=final)
        self.stdout.write(_line(run, fit))
        return fit.fits


def _line(run: Run, fit: Fit) -> str:
    if fit.fits:
        return f"{run.public_id}  fits, {fit.delivered} steps replayed"
    asked = ", ".join(fit.asked)
    where = f"recorded {fit.expected}, the code asks for {asked}"
    return f"{run.public_id}  PARTS after {fit.delivered} steps: {where}"
