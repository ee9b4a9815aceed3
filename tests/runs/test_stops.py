"""People throw stops and lift them; see Note [Stops]."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agentops.accounts.access import Actor, Forbidden, NotFound, PersonRequired
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from runs import attention, halted, listing, services, stops
from runs.engine import store
from runs.engine.statements import CLAIM
from runs.halted import Matter
from runs.labels import InvalidRequest
from runs.models import HELD_UNTIL, Journal, Run, RunStatus, Stop, WaitingFor
from tests import factories, people
from tests.runs.fake_worker import FakeWorker


@pytest.fixture
def ana(db: None) -> Actor:
    return Actor(people.person("ana", Role.OPERATOR))


@pytest.fixture
def bo(db: None) -> Actor:
    return Actor(people.person("bo", Role.OPERATOR))


def throw(actor: Actor, scope: str, target: str = "", reason: str = "it pays twice") -> Stop:
    return stops.throw(actor=actor, scope=scope, target=target, reason=reason).stop


# The clock of a claim stands still within the transaction of a test.
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def ready(owner: User | None = None, **fields: Any) -> Run:
    return factories.run(owner, ready_at=LONG_AGO, **fields)


def claimed(worker: FakeWorker) -> set[int]:
    """The runs a worker gets, with the statement workers say."""
    cursor = psycopg.RawCursor(connection.connection)
    return {row[0] for row in cursor.execute(CLAIM.sql, ("default", 10, worker.row.pk))}


def sweep() -> None:
    with connection.cursor() as cursor:
        store.hold_stopped(cursor)
        store.free_unstopped(cursor, by="sweep")


# -- who may, and what has to be said --------------------------------------------------------


def test_an_operator_stops_everything_alone_and_by_token(ana: Actor) -> None:
    program = Actor(ana.user, scopes=frozenset({Scope.RUNS_OPERATE, Scope.RUNS_READ}))
    stop = throw(program, "everything")
    assert (stop.by, stop.reason, stop.lifted_at) == ("ana", "it pays twice", None)


@pytest.mark.parametrize("roles", [(), (Role.VIEWER,), (Role.APPROVER,), (Role.AUDITOR,)])
def test_who_does_not_operate_neither_stops_nor_lifts(
    ana: Actor, db: None, roles: tuple[Role, ...]
) -> None:
    eve = Actor(people.person("eve", *roles))
    with pytest.raises(Forbidden, match="operator"):
        throw(eve, "everything")
    stop = throw(ana, "everything")
    with pytest.raises(Forbidden):
        stops.lift(actor=eve, public_id=stop.public_id, reason="all good")
    assert list(halted.holding()) == [stop]


def test_no_token_lifts(ana: Actor) -> None:
    stop = throw(ana, "agent", "echo")
    program = Actor(ana.user, scopes=frozenset(Scope))
    with pytest.raises(PersonRequired):
        stops.lift(actor=program, public_id=stop.public_id, reason="all good")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\0b"])
def test_both_need_a_reason(ana: Actor, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="reason: say why"):
        throw(ana, "everything", reason=reason)
    stop = throw(ana, "agent", "echo")
    with pytest.raises(InvalidRequest, match="reason: say why"):
        stops.lift(actor=ana, public_id=stop.public_id, reason=reason)


@pytest.mark.parametrize(
    ("scope", "target", "told"),
    [
        ("all", "", "scope is one of everything"),
        ("everything", "echo", "names no target"),
        ("agent", "", "name the agent"),
        ("agent", "stepz", "no agent is called"),
        ("agent_version", "echo", "name@version"),
        ("agent_version", "echo@99", "name@version"),
        ("person", "nobody", "nobody has the user name"),
        ("credential", "gmail", "there is no credential"),
        ("tool", "x" * 256, "name the tool"),
    ],
)
def test_what_is_not_there_cannot_be_stopped(
    ana: Actor, scope: str, target: str, told: str
) -> None:
    """A stop of nothing would calm for nothing."""
    with pytest.raises(InvalidRequest, match=told):
        throw(ana, scope, target)
    assert not Stop.objects.exists()


def test_a_run_is_stopped_by_who_sees_it_and_while_it_lives(ana: Actor, bo: Actor) -> None:
    run = factories.run(bo.user)
    with pytest.raises(NotFound):
        throw(ana, "run", run.public_id)
    throw(bo, "run", run.public_id)
    over = factories.run(bo.user, status=RunStatus.SUCCEEDED, stop_reason="completed")
    with pytest.raises(InvalidRequest, match="has ended"):
        throw(bo, "run", over.public_id)


def test_thrown_again_it_holds_already(ana: Actor, bo: Actor) -> None:
    first = stops.throw(actor=ana, scope="tool", target="pay", reason="it pays twice")
    second = stops.throw(actor=bo, scope="tool", target=" pay ", reason="me too")
    assert (first.created, second.created) == (True, False)
    assert second.stop == first.stop
    assert second.stop.by == "ana"


# -- lifting ---------------------------------------------------------------------------------


def test_one_person_lifts_a_narrow_stop_with_a_reason(ana: Actor, bo: Actor) -> None:
    stop = throw(ana, "agent", "echo")
    after = stops.lift(actor=bo, public_id=stop.public_id, reason="mended in 15")
    assert after.lifted_at is not None
    assert (after.lifted_by, after.lifted_reason) == (bo.user, "mended in 15")
    with pytest.raises(stops.NotHolding):
        stops.lift(actor=bo, public_id=stop.public_id, reason="again")
    assert throw(ana, "agent", "echo") != stop


def test_everything_goes_on_when_two_people_say_so(ana: Actor, bo: Actor) -> None:
    stop = throw(ana, "everything")
    half = stops.lift(actor=ana, public_id=stop.public_id, reason="mended")
    assert half.lifted_at is None
    assert half.first_by == ana.user
    with pytest.raises(stops.SecondPersonNeeded):
        stops.lift(actor=ana, public_id=stop.public_id, reason="mended, really")
    whole = stops.lift(actor=bo, public_id=stop.public_id, reason="I looked as well")
    assert whole.lifted_at is not None
    assert (whole.first_by, whole.lifted_by) == (ana.user, bo.user)
    assert (whole.first_reason, whole.lifted_reason) == ("mended", "I looked as well")


def test_the_first_word_is_good_for_an_hour(ana: Actor, bo: Actor) -> None:
    stop = throw(ana, "everything")
    stops.lift(actor=ana, public_id=stop.public_id, reason="mended")
    Stop.objects.update(first_at=timezone.now() - timedelta(minutes=61))
    later = stops.lift(actor=bo, public_id=stop.public_id, reason="mended")
    assert (later.lifted_at, later.first_by) == (None, bo.user)


def test_the_word_of_somebody_who_may_no_more_does_not_count(ana: Actor, bo: Actor) -> None:
    stop = throw(ana, "everything")
    stops.lift(actor=ana, public_id=stop.public_id, reason="mended")
    ana.user.groups.clear()
    after = stops.lift(actor=bo, public_id=stop.public_id, reason="mended")
    assert (after.lifted_at, after.first_by) == (None, bo.user)


def test_an_unknown_stop_is_not_lifted(ana: Actor) -> None:
    with pytest.raises(halted.NoSuchStop):
        stops.lift(actor=ana, public_id="stp_nothing", reason="mended")


# -- what is held ----------------------------------------------------------------------------


def test_ready_runs_wait_for_the_lift_and_no_others(ana: Actor, bo: Actor) -> None:
    queued = factories.run()
    due = factories.run(status=RunStatus.WAITING, waiting_for=WaitingFor.TIMER)
    asleep = factories.run(
        status=RunStatus.WAITING,
        waiting_for=WaitingFor.TIMER,
        ready_at=timezone.now() + timedelta(hours=1),
    )
    capped = factories.run(ready_at=HELD_UNTIL)
    asking = factories.run(status=RunStatus.WAITING, waiting_for=WaitingFor.APPROVAL, ready_at=None)
    uncertain = factories.run(
        status=RunStatus.WAITING, waiting_for=WaitingFor.OPERATOR, waiting_detail="uncertain:pay#1"
    )
    others = factories.run(agent="else")
    stop = throw(ana, "agent", "invoice-clerk")
    untouched = (asleep, capped, asking, uncertain, others)
    before = {run.pk: (run.status, run.waiting_for, run.waiting_detail) for run in untouched}
    for run in (queued, due):
        run.refresh_from_db()
        assert (run.status, run.waiting_for) == ("waiting", "operator")
        assert run.waiting_detail == f"stop:{stop.public_id}"
        assert run.ready_at is None
    for run in untouched:
        run.refresh_from_db()
        assert (run.status, run.waiting_for, run.waiting_detail) == before[run.pk]
    stops.lift(actor=bo, public_id=stop.public_id, reason="mended")
    for run in (queued, due):
        run.refresh_from_db()
        assert (run.status, run.waiting_detail) == ("queued", "")
        lines = Journal.objects.filter(run=run).order_by("seq")
        assert [line.kind for line in lines] == ["run.waiting", "run.resumed"]
        assert lines[1].meta == {"by": "bo", "after": "stop"}


@pytest.mark.parametrize(
    ("scope", "target", "held"),
    [
        ("everything", "", {"mine", "other", "child", "root"}),
        ("agent", "invoice-clerk", {"mine", "root"}),
        ("agent_version", "invoice-clerk@14", {"mine", "root"}),
        ("agent_version", "invoice-clerk@13", set()),
        ("person", "olga", {"mine"}),
        ("run", "root", {"root", "child"}),
        ("tool", "pay", set()),
    ],
)
def test_what_each_kind_of_stop_keeps_from_being_claimed(
    ana: Actor, worker: FakeWorker, owner: User, scope: str, target: str, held: set[str]
) -> None:
    """Of a stopped tool, runs go on until they call it."""
    root = ready(ana.user, title="root")
    runs = {
        "mine": ready(owner),
        "other": ready(agent="else"),
        "root": root,
        "child": ready(agent="below", parent=root, root=root, parent_key="c#1"),
    }
    named = root.public_id if target == "root" else target
    Stop.objects.create(scope=scope, target=named, reason="because", by="ana")
    assert claimed(worker) == {run.pk for name, run in runs.items() if name not in held}
    sweep()
    detail = Run.objects.filter(waiting_detail__startswith="stop:")
    assert {run.pk for run in detail} == {runs[name].pk for name in held}


def test_two_stops_hold_until_both_are_lifted(ana: Actor, worker: FakeWorker) -> None:
    run = ready()
    wide, narrow = throw(ana, "tool", "pay"), throw(ana, "agent", "invoice-clerk")
    other = Stop.objects.create(
        scope="agent_version", target="invoice-clerk@14", reason="x", by="y"
    )
    stops.lift(actor=ana, public_id=narrow.public_id, reason="mended")
    assert claimed(worker) == set()
    sweep()
    run.refresh_from_db()
    assert run.waiting_detail == f"stop:{other.public_id}"
    stops.lift(actor=ana, public_id=other.public_id, reason="mended")
    Run.objects.filter(status="queued").update(ready_at=LONG_AGO)
    assert claimed(worker) == {run.pk}
    assert list(halted.holding()) == [wide]


def test_a_run_that_parked_itself_in_the_moment_of_the_lift_goes_on(ana: Actor) -> None:
    stop = throw(ana, "tool", "pay")
    stops.lift(actor=ana, public_id=stop.public_id, reason="mended")
    run = factories.run(
        status=RunStatus.WAITING,
        waiting_for=WaitingFor.OPERATOR,
        waiting_detail=f"stop:{stop.public_id}",
        ready_at=None,
    )
    sweep()
    run.refresh_from_db()
    assert run.status == "queued"


def test_a_held_run_cannot_be_resumed_but_cancelled(ana: Actor) -> None:
    run = factories.run()
    stop = throw(ana, "agent", "invoice-clerk")
    with pytest.raises(store.IsStopped, match=stop.public_id):
        services.resume_run(run=run, actor="ana")
    assert services.cancel_run(run=run, actor="ana", by_operator=True).status == "cancelled"


def test_a_run_paused_before_stays_paused_by_who_paused_it(ana: Actor) -> None:
    run = services.pause_run(run=factories.run(), actor="olga")
    stop = throw(ana, "agent", "invoice-clerk")
    stops.lift(actor=ana, public_id=stop.public_id, reason="mended")
    run.refresh_from_db()
    assert run.waiting_detail == "paused:olga"


def test_what_a_stop_holds_needs_nobody_but_who_lifts_it(ana: Actor) -> None:
    """Neither the tab nor the Overview counts ten thousand runs that one person lets go on."""
    run = factories.run()
    throw(ana, "agent", "invoice-clerk")
    assert not Run.objects.filter(listing.VIEWS["person"].condition).exists()
    assert Run.objects.get(listing.VIEWS["stopped"].condition) == run
    needs, _ = attention.live_cards(Run.objects.all(), timezone.now())
    assert (needs.count, needs.parts) == (0, [])


# -- what is asked of it ---------------------------------------------------------------------


def test_what_a_stop_concerns(ana: Actor, owner: User) -> None:
    root = factories.run(owner)
    child = factories.run(parent=root, root=root, parent_key="c#1")
    thrown = [
        throw(ana, "tool", "pay"),
        Stop.objects.create(scope="run", target=root.public_id, reason="x", by="y"),
        throw(ana, "person", "olga"),
        throw(ana, "agent", "echo"),
    ]

    def about(run: Run, **changed: object) -> list[str]:
        values = {
            "run_id": run.pk,
            "agent": "a",
            "agent_version": "1",
            "owner_id": run.owner_id,
            **changed,
        }
        return [stop.scope for stop in halted.concerning(Matter(**values))]  # type: ignore[arg-type]

    assert about(child) == ["run"]
    assert about(root) == ["person", "run"]
    assert about(child, tool="pay") == ["tool", "run"]
    assert about(factories.run(), agent="echo") == ["agent"]
    assert about(factories.run()) == []
    assert [stop.pk for stop in halted.holding()] == [
        thrown[3].pk, thrown[0].pk, thrown[2].pk, thrown[1].pk
    ]  # fmt: skip


def test_nothing_but_one_look_while_nothing_is_stopped(ana: Actor) -> None:
    run = factories.run()
    with CaptureQueriesContext(connection) as asked:
        assert halted.concerning(Matter(run.pk, "a", "1", None, "pay")) == []
    assert len(asked) == 1
