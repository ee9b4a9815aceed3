"""What an operator can do at a terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from runs import queries, services
from runs.models import Run
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db


def command(name: str, *arguments: object, **options: Any) -> str:
    out = StringIO()
    call_command(name, *map(str, arguments), stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def run(owner: User, worker: FakeWorker) -> Run:
    run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    worker.claims(run)
    worker.intends(run, "pay#1")
    return worker.suspends(run, "operator", "uncertain:pay#1")


def test_sweep_says_what_it_found() -> None:
    assert "reclaimed: 0" in command("sweep")


def test_cancel_run_takes_a_short_id(run: Run) -> None:
    assert "is cancelled" in command("cancel_run", run.public_id[:12], note="wrong")
    with pytest.raises(CommandError, match="There is no run"):
        command("cancel_run", "run_nothing")


def test_a_short_id_must_mean_one_run(run: Run, owner: User) -> None:
    services.start_run(agent="anything", input={}, owner=owner, started_by="x")
    with pytest.raises(CommandError, match="More than one"):
        command("cancel_run", "run_")


def test_settle_step_records_a_result(run: Run) -> None:
    said = command("settle_step", run.public_id, "pay#1", "happened", result='{"id": 7}')
    assert "the run is queued" in said
    with pytest.raises(CommandError, match="no uncertain outcome"):
        command("settle_step", run.public_id, "pay#1", "happened")


def test_settle_step_says_until_when_to_wait(run: Run) -> None:
    with pytest.raises(CommandError, match="may still act until"):
        command("settle_step", run.public_id, "pay#1", "did_not_happen")
    with pytest.raises(CommandError, match="not JSON"):
        command("settle_step", run.public_id, "pay#1", "happened", result="{")


def test_resume_run_explains_why_not(run: Run) -> None:
    with pytest.raises(CommandError, match="Settle it"):
        command("resume_run", run.public_id)
    Run.objects.filter(pk=run.pk).update(waiting_detail="crash_loop")
    assert "is queued" in command("resume_run", run.public_id)


def test_fork_run_prints_the_new_id(run: Run, owner: User) -> None:
    made = command("fork_run", run.public_id, 2, input='{"value": 9}').strip()
    copy = queries.get_run(public_id=made, viewer=Actor(owner))
    assert queries.payload(run=copy).input == {"value": 9}
    with pytest.raises(CommandError, match="from 1 to"):
        command("fork_run", run.public_id, 99)
