"""A worker inside the test's process: the real host on the real database."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from agentops.sdk import catalog
from runs import services, worker
from runs.engine.host import Host
from runs.engine.options import Options
from runs.models import Journal, Run


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> object:
    """What ``condition`` returns as soon as it is true. Fails after a while."""
    border = time.monotonic() + seconds
    while time.monotonic() < border:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("It did not happen in time.")


def start(agent: str, **input: object) -> Run:
    """Start a run as the services do."""
    return services.start_run(agent=agent, input=input, owner=None, started_by="test").run


def ended(run: Run) -> Run:
    """The run once it is over."""

    def look() -> bool:
        run.refresh_from_db()
        return run.is_final

    eventually(look)
    return run


def stands_at(run: Run, status: str, waiting_for: str = "") -> Run:
    """The run once it has this status."""

    def look() -> bool:
        run.refresh_from_db()
        return (run.status, run.waiting_for) == (status, waiting_for)

    eventually(look)
    return run


def kinds(run: Run) -> list[str]:
    """Event kinds in order, without those that depend on the machine's speed.

    Fails when the numbers have a gap.
    """
    rows = list(Journal.objects.filter(run=run).order_by("seq").values_list("seq", "kind"))
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1)), rows
    return [kind for _, kind in rows if kind != "step.started"]


def cut_connections(host: Host) -> None:
    """Terminate the connections of a worker's writer and keeper."""
    wire, kept = host.writer._wire, host.keeper._connection
    assert wire is not None
    assert kept is not None
    with connection.cursor() as cursor:
        for pid in (wire._pg.backend_pid, kept.info.backend_pid):
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.fixture
def options(transactional_db: None) -> Options:
    """Options of a worker that is quick to notice things."""
    return dataclasses.replace(
        worker.options(), heartbeat_seconds=0.2, tick_seconds=0.1, drain_seconds=3.0
    )


@pytest.fixture
def make_host(options: Options) -> Iterator[Callable[..., Host]]:
    """Starts workers; those left are stopped at the end of the test."""
    catalog.configure(("tests.runs.engine.agents",))
    made: list[Host] = []

    def make(**changed: object) -> Host:
        host = Host(dataclasses.replace(options, **changed))  # type: ignore[arg-type]
        made.append(host)
        host.start()
        return host

    yield make
    for host in made:
        if not host._gone:
            host.stop()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """A worker at work."""
    return make_host()
