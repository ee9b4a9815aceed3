"""Watch a sample agent do real work, from the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import NoReverseMatch, reverse

from agentops.accounts.models import User
from agentops.launcher import home, lock
from agentops.sdk.errors import AgentopsError
from runs import queries, services
from runs.models import Journal, Run, RunStatus, StopReason

AUDIT, DESK, DIGEST = "dependency-audit", "support-desk", "research-digest"
POLL_SECONDS = 0.25
UNCLAIMED_SECONDS = 10.0
_AT_ONCE = 500


class Command(BaseCommand):
    """Start a sample as a run, follow it, and say what came of it."""

    help = (
        "Runs a sample agent: dependency-audit (unless another is named) audits the Python "
        "packages of a folder, or of the environment the worker runs in; support-desk answers a "
        "ticket; research-digest answers a question from texts. Needs a worker: start one with "
        "bin/up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("agent", nargs="?", help=f"{AUDIT}, {DESK} or {DIGEST}; or a folder")
        parser.add_argument(
            "folder", nargs="?", help="a project, environment or site-packages; a folder of texts"
        )
        parser.add_argument("--input", help="the whole input as JSON")
        parser.add_argument("--policy", type=Path, help="a JSON file with the rules to audit by")
        parser.add_argument("--mail-to", action="append", help="who gets the audit by mail")
        parser.add_argument("--timeout", type=float, default=300, help="seconds to wait for it")

    def handle(
        self,
        *args: object,
        agent: str | None,
        folder: str | None,
        timeout: float,
        **options: object,
    ) -> None:
        if agent is not None and agent not in {AUDIT, DESK, DIGEST}:
            if folder is not None:
                raise CommandError(
                    f"No sample is called {agent}. There are {AUDIT}, {DESK}, {DIGEST}."
                )
            agent, folder = AUDIT, agent
        run = self._start(agent or AUDIT, _input(folder, options))
        self.stdout.write(f"Started {run.public_id}: {run.title}")
        self._address("run", run)
        self.watch(run, timeout)

    def watch(self, run: Run, timeout: float) -> None:
        """Print what happens to the run, and its result.

        Raises CommandError unless it succeeds within ``timeout`` seconds; the run goes on then.
        """
        try:
            self._follow(run, timeout)
        except KeyboardInterrupt:
            raise CommandError(f"No longer watching; {run.public_id} goes on.") from None
        self._finish(run)

    def _start(self, agent: str, given: dict[str, object]) -> Run:
        owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        try:
            started = services.start_run(
                agent=agent, input=given, owner=owner, started_by="manage.py demo"
            )
        except AgentopsError as error:
            raise CommandError(error.message) from error
        return started.run

    def _follow(self, run: Run, timeout: float) -> None:
        """Print what happens until the run is final."""
        told, seen, since = False, 0, time.monotonic()
        patience = min(UNCLAIMED_SECONDS, timeout / 2)
        while True:
            run.refresh_from_db()
            for event in _new_events(run, seen):
                seen = event.seq
                self._tell(event)
            if run.is_final:
                return
            if run.waiting_for == "operator":
                raise CommandError(f"{run.public_id} waits for an operator: {run.waiting_detail}")
            waited = time.monotonic() - since
            if waited > timeout:
                raise CommandError(f"{run.public_id} is still {run.status}; it goes on without me.")
            if not told and run.status == RunStatus.QUEUED and waited > patience:
                told = True
                self.stderr.write("No worker has taken it yet. Start one with bin/up.")
            time.sleep(POLL_SECONDS)

    def _tell(self, event: Journal) -> None:
        line = _line(event)
        if line:
            self.stdout.write(f"{event.at:%H:%M:%S}  {line}")

    def _finish(self, run: Run) -> None:
        payload = queries.payload(run=run)
        if run.status != RunStatus.SUCCEEDED:
            error = payload.error if isinstance(payload.error, dict) else {}
            reason = error.get("message") or StopReason(run.stop_reason).label
            raise CommandError(f"{run.public_id} {run.status}: {reason}")
        output = payload.output if isinstance(payload.output, dict) else {}
        for line in _RESULTS.get(run.agent, _audited)(output):
            self.stdout.write(line)
        if "report" in output:
            self._address("report", run)

    def _address(self, name: str, run: Run) -> None:
        """Where to look in the console, when it is known where that answers."""
        state = lock.read_state(home.here())
        base = settings.AGENTOPS_PUBLIC_URL or (state.url if state else "")
        try:
            path = reverse(name, args=[run.public_id])
        except NoReverseMatch:
            return
        if base:
            self.stdout.write(f"  {base.rstrip('/')}{path}")


def _input(folder: str | None, options: dict[str, object]) -> dict[str, object]:
    given: dict[str, object] = {}
    whole, policy, mail_to = (options.get(name) for name in ("input", "policy", "mail_to"))
    if whole is not None:
        given = _json("--input", str(whole))
    if folder:
        given["folder"] = str(Path(folder).resolve())
    if mail_to:
        given["mail_to"] = mail_to
    if isinstance(policy, Path):
        try:
            given["policy"] = _json(f"--policy {policy}", policy.read_text())
        except OSError as error:
            raise CommandError(f"--policy {policy}: {error}") from error
    return given


def _json(option: str, text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error
    if not isinstance(value, dict):
        raise CommandError(f"{option}: give a JSON object.")
    return value


def _new_events(run: Run, after: int) -> Iterator[Journal]:
    while batch := queries.events(run=run, after=after, limit=_AT_ONCE):
        yield from batch
        after = batch[-1].seq


def _line(event: Journal) -> str:
    """What a person wants to know of an event; most steps are nobody's news."""
    meta: dict[str, Any] = event.meta or {}
    problem = (meta.get("error") or {}).get("message", "")
    if event.kind == "run.progress":
        fraction = meta.get("fraction")
        share = f"{fraction:4.0%}  " if isinstance(fraction, float) else ""
        return f"{share}{meta.get('text', '')}"
    if event.kind in {"step.retrying", "step.failed", "step.uncertain"}:
        return f"{event.name}: {event.kind.removeprefix('step.')}: {problem}"
    return {
        "run.started": "A worker took it",
        "run.recovered": "Another worker took over after a crash",
    }.get(event.kind, "")


def _audited(output: dict[str, Any]) -> list[str]:
    """Verdict and places, from what dependency-audit returned."""
    mailed = output.get("mailed")
    lines = ["", str(output.get("verdict", "")), *_files(output)]
    if mailed:
        place = "" if mailed["place"] == "smtp" else f" (kept in {mailed['place']})"
        return [*lines, f"  mailed to {', '.join(mailed['to'])}{place}"]
    return [*lines, f"  not mailed: {output.get('not_mailed_because', '')}"]


def _answered(output: dict[str, Any]) -> list[str]:
    """What support-desk did."""
    lines = ["", str(output.get("summary", ""))]
    lines += [f"  refunded {r['amount']} € of order {r['order']}" for r in output["refunds"]]
    if output.get("person_should_look"):
        lines.append(f"  a person should look: {output.get('because', '')}")
    return [*lines, _models(output)]


def _digested(output: dict[str, Any]) -> list[str]:
    """What research-digest found."""
    return ["", str(output.get("answer", "")), *_files(output), _models(output)]


def _files(output: dict[str, Any]) -> list[str]:
    report = output.get("report") or {}
    return [f"  {report.get('markdown', '')}", f"  {report.get('json', '')}"]


def _models(output: dict[str, Any]) -> str:
    names = list(output.get("answered_by") or [])
    return (
        "  scripted: no provider of models has a key"
        if names == ["scripted"]
        else (f"  by {', '.join(names)}")
    )


_RESULTS = {AUDIT: _audited, DESK: _answered, DIGEST: _digested}
