"""Memory with a worker at work: written with the record of the step, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from agentops.accounts.models import Team, User
from agentops.sdk.memory import note
from runs import services
from runs.engine import memories
from runs.engine.host import Host
from runs.engine.memories import Namespace, Writer
from runs.engine.transactions import _Job
from runs.models import Journal, Memory, MemoryKind, Run
from tests.runs.engine.conftest import ended, start


@pytest.fixture
def ana(transactional_db: None) -> User:
    return User.objects.create_user("ana", password="x")


def started(owner: User | None, agent: str = "keeps-notes", **given: Any) -> Run:
    return services.start_run(agent=agent, input=given, owner=owner, started_by="test").run


def output(run: Run) -> object:
    from runs import queries

    return queries.payload(run=run).output


def test_what_one_run_writes_the_next_one_reads(host: Host, ana: User) -> None:
    first = ended(started(ana, says="green"))
    second = ended(started(ana, says="blue"))

    assert (output(first), output(second)) == ([None, 1, 1], ["green", 2, 1])
    row = Memory.objects.get()
    assert (row.kind, row.owner, row.revision) == (MemoryKind.PERSON, ana, 2)
    assert (row.run, row.step) == (second.public_id, "memory.put#1")


def test_a_plain_agent_and_a_tool_of_a_model_write_too(host: Host, ana: User) -> None:
    run = ended(started(ana, "keeps-notes-plainly"))
    assert output(run) == ["Remembered colour.", [["colour", "green"]], True]


def test_nobodys_run_keeps_to_the_memory_of_the_agent(host: Host) -> None:
    ended(start("keeps-notes", says="green"))
    assert Memory.objects.get().agent == "keeps-notes"


def test_a_team_it_does_not_have_is_named(host: Host, ana: User) -> None:
    run = ended(started(ana, says="x", scope="team"))
    assert run.status == "failed"
    record = Journal.objects.get(run=run, kind="step.failed")
    assert (record.meta or {})["error"]["code"] == "no_such_memory"


def test_a_team_shares_its_memory(host: Host, ana: User) -> None:
    team = Team.objects.create(name="finance")
    for owner in (ana, User.objects.create_user("bo")):
        run = services.start_run(
            agent="keeps-notes", input={"says": "x", "scope": "team"}, owner=owner, team=team,
            started_by="test",
        ).run  # fmt: skip
        ended(run)
    assert Memory.objects.get().revision == 2


def test_a_connection_cut_between_write_and_record_leaves_one_write(
    host: Host, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[int] = []
    record = _Job._take_number

    def dies(job: _Job) -> None:
        if not cut:
            cut.append(connection.connection.info.backend_pid)
            thread = threading.Thread(target=_terminate, args=(cut[0],))
            thread.start()
            thread.join()
        record(job)

    monkeypatch.setattr(_Job, "_take_number", dies)
    run = ended(started(ana, says="green"))

    assert cut
    assert (run.status, output(run)) == ("succeeded", [None, 1, 1])
    assert Memory.objects.get().revision == 1


def _terminate(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    connections.close_all()


def test_many_runs_of_two_workers_write_one_key_without_a_gap(
    make_host: Callable[..., Host], ana: User
) -> None:
    make_host()
    make_host()
    runs = [ended(run) for run in [started(ana, says=f"{n}", times=5) for n in range(8)]]

    revisions = sorted(revision for run in runs for revision in _revisions(run))
    assert revisions == list(range(1, 41))
    row = Memory.objects.get()
    assert row.revision == 40
    last = next(run for run in runs if 40 in _revisions(run))
    assert row.run == last.public_id


def _revisions(run: Run) -> list[int]:
    rows = Journal.objects.filter(run=run, name="memory.put", kind="step.completed")
    return [int(bytes(row.data or b"")) for row in rows]


def test_an_erasing_and_writers_at_once_leave_whole_entries(ana: User) -> None:
    space = Namespace(MemoryKind.PERSON, owner=ana.pk)
    entries = [note(f"k{n % 3}", n, None, None) for n in range(40)]

    def write() -> None:
        for entry in entries:
            memories.put(space, entry, Writer("w"))
        connections.close_all()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(10):
        memories.erase_person(ana.pk)
    for writer in writers:
        writer.join()
    assert {row.key for row in space.rows} <= {"k0", "k1", "k2"}
    memories.erase_person(ana.pk)
    assert not space.rows.exists()
