"""T9: fifty people, clocks and editors at one request at once, each with a connection of their own.

Whatever the order, it comes to one end, what may happen happens once, and nothing is told twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk.errors import AgentopsError
from approvals import deciding, duties, editing, grants, matters, moves, queries
from approvals.models import Grant, Record, Request, State, Verdict, Vote
from approvals.moves import By
from approvals.refusals import RequestChanged
from runs.models import Inbox
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)

VOTERS = 50
GATE = By("worker")
Job = Callable[[], object]


def together(jobs: Sequence[Job]) -> Counter[str]:
    """Do all of this at the same moment. Answers with how often each refusal was met.

    Each has a connection of its own, beside the pool; what is no refusal of ours fails the test.
    """
    gate = threading.Barrier(len(jobs), timeout=30)
    met: Counter[str] = Counter()
    broken: list[BaseException] = []

    def one(job: Job) -> None:
        own = _unpooled()
        try:
            own.ensure_connection()
            gate.wait()
            job()
        except AgentopsError as refused:
            met[refused.code] += 1
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            broken.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not broken, broken[:3]
    return met


def _unpooled() -> Any:
    """A connection of this thread that no other one waits for."""
    usual = connections["default"]
    settings = {**usual.settings_dict, "OPTIONS": dict(usual.settings_dict["OPTIONS"])}
    settings["OPTIONS"].pop("pool", None)
    connections["default"] = type(usual)(settings, "default")
    return connections["default"]


def votes(request: Request, who: User, verdict: Verdict, **said: Any) -> Job:
    """Somebody who opened the page a moment ago and now says their word."""
    given = {"verdict": verdict, **making.shown(request), **said}
    return lambda: deciding.decide(request=request, actor=Actor(who), **given)


def edits(request: Request, who: User, amount: str) -> Job:
    arguments = {**making.REFUND, "amount": amount}
    return votes(request, who, Verdict.APPROVE, arguments=arguments)


def votes_on_whatever_stands_there(request: Request, who: User) -> Job:
    """Somebody who reads again when told that it changed, a few times."""

    def job() -> None:
        for _ in range(5):
            try:
                votes(request, who, Verdict.APPROVE)()
            except RequestChanged:
                continue
            return

    return job


def runs_it(request: Request, effects: list[bytes]) -> Job:
    """What a worker's gate does: look until it is over, and take what was approved, once."""

    def job() -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until and _looks(request.pk, effects):
            time.sleep(0.002)

    return job


def _looks(pk: int, effects: list[bytes]) -> bool:
    with transaction.atomic():
        held = moves.locked(pk)
        newest = queries.newest(held)
        ready = held.state == State.APPROVED and matters.is_over(held.ready_at)
        if ready and newest is not None:
            moves.move(held, State.CONSUMED, GATE, digest=bytes(newest.digest), tells=False,
                       changes={"consumed_at": timezone.now()})  # fmt: skip
            effects.append(bytes(newest.digest))
    return held.state in {State.PENDING, State.APPROVED}


MIXES = {
    # How many approve, reject and edit, and after about how many milliseconds it is too late.
    "all approve": (1.0, 0, 1000),
    "one in ten rejects": (0.9, 0, 1000),
    "many edit": (1.0, 15, 1000),
    "time runs out": (1.0, 0, 80),
    "everything at once": (0.9, 3, 300),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mix", MIXES)
def test_t9_fifty_voters_editors_clocks_and_workers_come_to_one_end(mix: str, seed: int) -> None:
    approving, editors, milliseconds = MIXES[mix]
    chance = random.Random(f"{mix}/{seed}")
    owner = person("olga", Role.APPROVER)
    two = [{"role": "approver", "count": 2}]
    request = making.approval(making.waiting_run(owner), factors=two)
    crowd = [making.approver(f"voter-{n}") for n in range(VOTERS)]
    effects: list[bytes] = []
    jobs: list[Job] = [
        votes(request, who, Verdict.APPROVE if chance.random() < approving else Verdict.REJECT)
        for who in crowd
    ]
    jobs += [votes(request, crowd[n], Verdict.APPROVE) for n in range(5)]
    jobs += [votes(request, owner, Verdict.APPROVE) for _ in range(2)]
    jobs += [votes(request, person("vic", Role.VIEWER), Verdict.APPROVE)]
    jobs += [edits(request, making.approver(f"editor-{n}"), f"{n}.00") for n in range(editors)]
    jobs += [
        votes_on_whatever_stands_there(request, making.approver(f"late-{n}"))
        for n in range(editors)
    ]
    jobs += [
        sweeps(request),
        sweeps(request),
        times_out(request, milliseconds * chance.uniform(0.2, 2)),
    ]
    jobs += [runs_it(request, effects) for _ in range(3)]
    chance.shuffle(jobs)
    together(jobs)
    _check(request, effects, owner)


def sweeps(request: Request) -> Job:
    """A process that sweeps, until there is nothing to wait for."""

    def job() -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until and Request.objects.get(pk=request.pk).is_open:
            duties.sweep()
            time.sleep(0.005)

    return job


def times_out(request: Request, milliseconds: float) -> Job:
    """The time to decide is over, this long after all began."""

    def job() -> None:
        time.sleep(milliseconds / 1000)
        Request.objects.filter(pk=request.pk).update(decide_by=timezone.now())

    return job


def _check(request: Request, effects: list[bytes], owner: User) -> None:
    request.refresh_from_db()
    assert request.state in {State.CONSUMED, State.REJECTED, State.EXPIRED}
    steps = [
        (record.event, record.detail["from"], record.detail["to"])
        for record in request.records.order_by("id")
        if "from" in record.detail
    ]
    path = [before for _, before, _ in steps] + [request.state]
    assert path == ["pending"] + [to for _, _, to in steps], steps
    ended = [to for _, before, to in steps if before == "pending"]
    assert len(ended) == 1, steps
    assert len(effects) == (request.state == State.CONSUMED)
    assert request.records.filter(event="approval.executed").count() == len(effects)
    told = Inbox.objects.filter(run=request.run_id, name=f"decided:{request.public_id}")
    assert told.count() == 1
    assert Vote.objects.filter(voter=owner).count() == 0
    if effects:
        _check_consent(request, effects[0])


def _check_consent(request: Request, ran: bytes) -> None:
    newest = queries.newest(request)
    assert newest is not None
    assert ran == bytes(newest.digest)
    counted = Vote.objects.filter(revision=newest, verdict=Verdict.APPROVE, factor__isnull=False)
    assert counted.count() == 2
    assert newest.made_by_id not in set(counted.values_list("voter", flat=True))
    assert {bytes(shown) for shown in counted.values_list("shown", flat=True)} == {ran}
    assert editing.read(newest)["revision"] == newest.number


def test_t9_one_person_at_twenty_tabs_has_one_vote() -> None:
    owner = person("olga")
    two = [{"role": "approver", "count": 2}]
    request = making.approval(making.waiting_run(owner), factors=two)
    ada = making.approver("ada")
    met = together([votes(request, ada, Verdict.APPROVE) for _ in range(20)])
    assert met == {"already_voted": 19}
    assert request.votes.count() == 1
    assert Record.objects.filter(event="approval.voted").count() == 1


def test_t9_who_undoes_and_who_runs_never_both_succeed() -> None:
    for _ in range(10):
        owner, ada = person(f"o{time.time_ns()}"), making.approver(f"a{time.time_ns()}")
        request = making.approval(making.waiting_run(owner), undo_seconds=1)
        votes(request, ada, Verdict.APPROVE)()
        soon = timezone.now() + timedelta(milliseconds=30)
        Request.objects.filter(pk=request.pk).update(ready_at=soon)
        effects: list[bytes] = []

        def undoes(request: Request = request, ada: User = ada) -> None:
            time.sleep(0.028)
            deciding.withdraw(request=request, actor=Actor(ada))

        def ends(request: Request = request) -> None:
            time.sleep(0.3)
            Request.objects.filter(pk=request.pk, state=State.PENDING).update(
                decide_by=timezone.now() - timedelta(seconds=1)
            )
            duties.sweep()

        together([undoes, runs_it(request, effects), runs_it(request, effects), ends])
        request.refresh_from_db()
        withdrawn = request.records.filter(event="approval.withdrawn").count()
        assert withdrawn + len(effects) == 1
        assert request.state == (State.EXPIRED if withdrawn else State.CONSUMED)


@pytest.mark.parametrize(
    ("limits", "fit"),
    [({"max_uses": 7}, 7), ({"sum_of": "amount", "sum_limit": Decimal(300)}, 30)],
    ids=["uses", "sum"],
)
def test_t17_no_race_passes_the_bounds_of_a_grant(limits: dict[str, Any], fit: int) -> None:
    owner, ada = person("olga"), making.approver("ada")
    ten = {**making.REFUND, "amount": "10.00"}
    request = making.approval(making.waiting_run(owner), arguments=ten)
    wish = grants.Wish(when="double(arguments.amount) <= 10.0", scope="agent", **limits)
    grant = grants.issue(request=request, actor=Actor(ada), wish=wish)
    newest = queries.newest(request)
    assert newest is not None
    envelope, action = editing.read(newest), bytes(newest.action)
    covered: list[Grant] = []

    def calls(n: int) -> Job:
        def job() -> None:
            found = grants.cover(
                run=request.run, key=f"refund#{n}", envelope=envelope, action=action, rule={}
            )
            covered.extend([found] if found else [])

        return job

    together([calls(n) for n in range(VOTERS)])
    grant.refresh_from_db()
    assert (len(covered), grant.uses) == (fit, fit)
    assert Record.objects.filter(event="grant.used").count() == fit
    assert grant.sum_used == (Decimal(300) if "sum_of" in limits else 0)
