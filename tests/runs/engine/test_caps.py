"""At most so many runs of an agent, or of a person, hold workers at once; see Note [Caps]."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.accounts.models import User
from agentops.sdk import catalog
from runs import services, worker
from runs.engine import caps, statements
from runs.engine.caps import CLAIM_CAPPED
from runs.engine.host import Host
from runs.models import HELD_UNTIL, AgentLimit, Run, RunStatus
from tests import factories
from tests.runs.engine import agents
from tests.runs.engine.conftest import ended, eventually, start


@pytest.fixture(autouse=True)
def _gate() -> Iterator[None]:
    agents.GO_ON.clear()
    yield
    agents.GO_ON.set()


def held() -> int:
    return sum(run.is_held for run in Run.objects.filter(status="queued"))


def running(**which: Any) -> int:
    return Run.objects.filter(status="running", **which).count()


class Watch:
    """Counts, all the time, how many runs hold workers at once."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(worker.options().conninfo, autocommit=True) as wire:
            while not self._over.is_set():
                found = wire.execute(
                    "SELECT agent, count(*) FROM run WHERE status = 'running' GROUP BY 1 "
                    "UNION ALL SELECT 'of ' || owner_id, count(*) FROM run "
                    "WHERE status = 'running' AND owner_id IS NOT NULL GROUP BY 1"
                )
                for name, count in found:
                    self.most[name] = max(self.most[name], count)


def test_two_workers_never_run_more_of_an_agent_than_it_declared(
    make_host: Callable[..., Host],
) -> None:
    """Whoever claims first, and however often: 40 runs, two at a time, all done in the end."""
    runs = [start("narrow") for _ in range(40)]
    others = [start("counts") for _ in range(10)]
    with Watch() as watch:
        one, two = make_host(), make_host()
        eventually(lambda: running(agent="narrow") == 2 and held() == 38)
        # Nobody who is not capped waits behind those that are.
        assert all(ended(run).status == "succeeded" for run in others)
        agents.GO_ON.set()
        for run in runs:
            one.ring()
            two.ring()
            assert ended(run).status == "succeeded"
    assert watch.most["narrow"] == 2


def test_it_says_what_it_waits_for_and_starts_in_order(host: Host) -> None:
    runs = [start("narrow") for _ in range(4)]
    eventually(lambda: held() == 2)
    runs[3].refresh_from_db()
    assert (runs[3].status, runs[3].waiting_detail) == ("queued", "waits for 2 others of narrow")
    agents.GO_ON.set()
    over = [ended(run) for run in runs]
    assert [run.waiting_detail for run in over] == ["", "", "", ""]
    begun = sorted(over, key=lambda run: run.started_at or run.created_at)
    assert {run.pk for run in begun[:2]} == {runs[0].pk, runs[1].pk}


def test_a_family_of_one_place_comes_to_an_end(host: Host) -> None:
    """A parent that waits for its child holds no worker, so its child finds the place free."""
    with Watch() as watch:
        assert ended(start("only-one", below=3)).status == "succeeded"
    assert watch.most["only-one"] == 1
    assert Run.objects.filter(agent="only-one", status="succeeded").count() == 4


def test_one_person_leaves_room_for_others(make_host: Callable[..., Host]) -> None:
    ana, bo = User.objects.create(username="ana"), User.objects.create(username="bo")
    for person in (ana, ana, ana, bo):
        services.start_run(agent="stays", input={}, owner=person, started_by="test")
    with Watch() as watch:
        make_host(most_per_person=2), make_host(most_per_person=2)
        eventually(lambda: running(owner=ana) == 2 and running(owner=bo) == 1 and held() == 1)
        waits = Run.objects.get(status="queued")
        assert waits.waiting_detail == "waits for 2 others of the same person"
        agents.GO_ON.set()
        eventually(lambda: Run.objects.filter(status="succeeded").count() == 4)
    assert watch.most[f"of {ana.pk}"] == 2


def test_what_an_operator_sets_goes_before_what_is_declared(host: Host) -> None:
    for _ in range(3):
        start("narrow")
    eventually(lambda: held() == 1)
    AgentLimit.objects.create(agent="narrow", max_running=None)
    eventually(lambda: running(agent="narrow") == 3)
    AgentLimit.objects.update(max_running=1)
    eventually(lambda: caps.in_force({"narrow": 1}) == host.caps._known)
    start("narrow")
    eventually(lambda: held() == 1)
    assert running(agent="narrow") == 3
    agents.GO_ON.set()
    eventually(lambda: Run.objects.filter(status="succeeded").count() == 4)


def test_a_dead_worker_leaves_no_count_behind(make_host: Callable[..., Host]) -> None:
    gone = factories.worker(state="dead")
    for _ in range(2):
        factories.run(agent="narrow", status=RunStatus.RUNNING, worker=gone)
    start("narrow")
    agents.GO_ON.set()
    make_host()
    eventually(lambda: Run.objects.filter(agent="narrow", status="succeeded").count() >= 1)


def test_a_held_run_is_cancelled_at_once(host: Host) -> None:
    runs = [start("narrow") for _ in range(3)]
    eventually(lambda: held() == 1)
    services.cancel_run(run=runs[2], actor="test", by_operator=True)
    assert ended(runs[2]).status == "cancelled"


# -- what it costs ---------------------------------------------------------------------------


def test_without_caps_the_claim_is_the_one_statement_it_always_was(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.configure(("tests.runs.agents",))
    host = make_host()
    asked: list[str] = []
    before = host.writer._execute

    async def counted(statement: statements.Statement, values: Any) -> Any:
        asked.append(statement.name.decode())
        return await before(statement, values)

    monkeypatch.setattr(host.writer, "_execute", counted)
    ended(start("echo", ticket="one"))
    assert "claim" in asked
    assert "claim_capped" not in asked


def many(count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO run (public_id, agent, ready_at) SELECT 'run_' || lpad(n::text, 20, '0'),"
            " 'narrow', now() - interval '1 hour' FROM generate_series(1, %s) n",
            [count],
        )
        cursor.execute(
            "INSERT INTO run_payload (run_id, input, input_digest) SELECT id, '{}', '' FROM run"
        )
        cursor.execute("ANALYZE run, run_payload")


def rows_read(plan: dict[str, Any]) -> int:
    """The rows that the scans of a plan looked at."""
    own = 0
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        seen = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        own = round(seen * plan["Actual Loops"])
    return own + sum(rows_read(part) for part in plan.get("Plans", []))


def read_most(plan: dict[str, Any]) -> str:
    """The scans of a plan that read much, for the message of a failure."""
    told = [read_most(part) for part in plan.get("Plans", [])]
    if rows_read({**plan, "Plans": []}) > 100:
        names = ("Node Type", "Relation Name", "Alias", "Index Name", "Index Cond", "Filter")
        told.append(str({name: plan.get(name) for name in names}))
    return "\n".join(filter(None, told))


def explained(wire: psycopg.Connection[Any], sql: bytes, *values: object) -> dict[str, Any]:
    wire.execute("BEGIN")
    found = wire.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, values).fetchone()
    wire.execute("ROLLBACK")
    assert found is not None
    plan = found[0] if isinstance(found[0], list) else json.loads(found[0])
    return dict(plan[0]["Plan"])


@pytest.mark.slow
def test_a_claim_reads_a_few_rows_however_many_are_held(transactional_db: None) -> None:
    """20,000 runs of an agent with one place: the claim reads what it may hold or take."""
    many(20_000)
    at = factories.worker()
    with psycopg.connect(
        worker.options().conninfo, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as wire:
        plain = explained(wire, statements.CLAIM.sql, "default", 64, at.pk)
        assert rows_read(plain) < 1000, read_most(plain)
        Run.objects.update(ready_at=HELD_UNTIL)
        wire.execute("ANALYZE run")
        values = ("default", 64, at.pk, ["narrow"], [1], 3)
        due = explained(wire, statements.NEXT_DUE.sql, ["default"])
        assert rows_read(due) < 1000, read_most(due)
        capped = explained(wire, CLAIM_CAPPED.sql, *values)
        assert rows_read(capped) < 1000, read_most(capped)
        factories.run(agent="narrow", status=RunStatus.RUNNING, worker=at)
        full = explained(wire, CLAIM_CAPPED.sql, *values)
        assert rows_read(full) < 1000, read_most(full)


# -- any history -----------------------------------------------------------------------------

AGENTS = ("a", "b", "free")
# The clock of a claim stands still within the transaction of a test.
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.sampled_from(AGENTS), st.integers(0, 2)),
        st.tuples(st.just("claim"), st.integers(1, 5), st.just(0)),
        st.tuples(
            st.sampled_from(("finish", "wait", "die", "wake")), st.integers(0, 9), st.just(0)
        ),
    ),
    max_size=40,
)


class World:
    """Runs as a worker moves them, over one connection."""

    def __init__(self, most: dict[str, int], person: int) -> None:
        self.most, self.person = most, person
        self.people = [User.objects.get_or_create(username=f"p{n}")[0] for n in range(2)]
        self.worker = factories.worker()

    def start(self, agent: str, owner: int) -> None:
        factories.run(self.people[owner - 1] if owner else None, agent=agent,
                      ready_at=LONG_AGO)  # fmt: skip

    def claim(self, room: int) -> int:
        with connection.cursor() as cursor:
            wire = cursor.connection
            raw = psycopg.RawCursor(wire)
            raw.execute(
                CLAIM_CAPPED.sql,
                ("default", room, self.worker.pk, list(self.most), list(self.most.values()),
                 self.person),
            )  # fmt: skip
            found = raw.fetchall()
        return int(found[0][0]) + sum(row[1] is not None for row in found)

    def act(self, what: str, which: int) -> None:
        status = "waiting" if what == "wake" else "running"
        rows = list(Run.objects.filter(status=status).order_by("pk"))
        if not rows:
            return
        chosen = Run.objects.filter(pk=rows[which % len(rows)].pk)
        told: dict[str, Any] = {
            "finish": {"status": "succeeded", "stop_reason": "completed", "worker": None},
            "wait": {"status": "waiting", "waiting_for": "timer", "worker": None},
            "die": {"status": "queued", "worker": None},
            "wake": {},
        }[what]
        moment = LONG_AGO
        told["ready_at"] = None if what in {"finish", "wait"} else moment
        if what == "finish":
            told["finished_at"] = moment
        chosen.update(**told)

    def check(self) -> None:
        held_by = Counter(Run.objects.filter(status="running").values_list("agent", flat=True))
        assert all(held_by[agent] <= most for agent, most in self.most.items()), held_by
        of = Counter(
            Run.objects.filter(status="running", owner__isnull=False).values_list(
                "owner", flat=True
            )
        )
        assert not self.person or all(n <= self.person for n in of.values()), of


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(history=STEPS, most_a=st.integers(1, 3), person=st.integers(0, 2))
def test_no_history_passes_a_cap_and_every_run_gets_its_turn(
    db: None, history: list[tuple[str, Any, int]], most_a: int, person: int
) -> None:
    Run.objects.filter(payload__isnull=False).delete()
    world = World({"a": most_a, "b": 1}, person)
    for what, first, second in history:
        if what == "start":
            world.start(first, second)
        elif what == "claim":
            world.claim(first)
        else:
            world.act(what, first)
        world.check()
    Run.objects.filter(status="waiting").update(ready_at=LONG_AGO)
    for _ in range(200):
        while world.claim(3):
            world.check()
        live = Run.objects.filter(finished_at__isnull=True)
        if not live.exists():
            return
        assert live.filter(status="running").exists(), "Nothing runs and something waits."
        world.act("finish", 0)
    raise AssertionError("Somebody never got a turn.")
