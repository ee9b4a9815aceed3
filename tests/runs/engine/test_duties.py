"""Duties of other apps: each for itself, whoever sweeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from agentops import checks
from agentops.accounts.models import Team
from runs import tasks, worker
from runs.engine import duties
from runs.engine.sweeper import sweep_from_django
from runs.models import Duty

HERE = f"{__name__}."
_in_a_transaction: list[bool] = []


def writes() -> None:
    _in_a_transaction.append(connection.in_atomic_block)
    Team.objects.get_or_create(name="written")


def breaks() -> None:
    Team.objects.create(name="half")
    raise ValueError("the rota has no\x00 zone")


@pytest.fixture(autouse=True)
def _names(settings: Any) -> Iterator[None]:
    settings.AGENTOPS_DUTIES = [f"{HERE}breaks", f"{HERE}gone", f"{HERE}writes"]
    yield
    _in_a_transaction.clear()


@pytest.mark.django_db
def test_a_duty_that_raises_is_undone_remembered_and_stops_nothing() -> None:
    swept = sweep_from_django(thorough=False)

    assert swept.failed_duties == 2
    assert list(Team.objects.values_list("name", flat=True)) == ["written"]
    broken = Duty.objects.get(name=f"{HERE}breaks")
    assert (broken.error, broken.done_at) == ("ValueError: the rota has no\ufffd zone", None)
    assert "gone" in Duty.objects.get(name=f"{HERE}gone").error
    assert Duty.objects.get(name=f"{HERE}writes").done_at is not None


@pytest.mark.django_db
def test_a_duty_that_works_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_from_django(thorough=False)
    monkeypatch.setitem(globals(), "breaks", writes)
    sweep_from_django(thorough=False)
    mended = Duty.objects.get(name=f"{HERE}breaks")
    assert mended.error == ""
    assert mended.failed_at is not None
    assert mended.done_at is not None


@pytest.mark.django_db
def test_a_duty_that_another_process_is_at_is_left_to_it() -> None:
    name = f"{HERE}writes"
    keys = (duties._SPACE, duties._number(name))
    with psycopg.connect(worker.conninfo()) as elsewhere:
        elsewhere.execute("SELECT pg_advisory_xact_lock(%s, %s)", keys)
        done = duties.run([name])
    assert (done.skipped, done.failed) == (1, [])
    assert not Team.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_every_duty_has_a_transaction_of_its_own(settings: Any) -> None:
    settings.AGENTOPS_DUTIES = [f"{HERE}writes", f"{HERE}breaks"]
    sweep_from_django(thorough=False)
    assert _in_a_transaction == [True]
    assert list(Team.objects.values_list("name", flat=True)) == ["written"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sweeper", [worker.sweep, tasks.sweep], ids=["keeper", "beat"])
def test_workers_and_beat_do_the_duties_in_their_threads(sweeper: Any) -> None:
    thread = threading.Thread(target=sweeper)
    thread.start()
    thread.join(30)
    assert Team.objects.filter(name="written").exists()


@pytest.mark.django_db(transaction=True)
def test_the_command_does_the_duties_and_counts_what_failed() -> None:
    out = StringIO()
    call_command("sweep", stdout=out)
    assert "failed duties: 2" in out.getvalue()
    assert Team.objects.filter(name="written").exists()


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_stops_no_later_sweep(settings: Any) -> None:
    settings.AGENTOPS_DUTIES = [f"{HERE}loses_the_server", f"{HERE}writes"]
    done = duties.run(settings.AGENTOPS_DUTIES)
    assert done.failed == [f"{HERE}loses_the_server"]
    assert Team.objects.filter(name="written").exists()


def loses_the_server() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_check_names_a_duty_that_is_not_there() -> None:
    (message,) = checks.duties_import()
    assert message.id == "agentops.E004"
    assert f"{HERE}gone" in message.msg
