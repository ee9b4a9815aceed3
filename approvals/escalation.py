"""Escalation: who is told next, by timers that are rows, in every sweep.

# Note [Each step once]

A request carries the chain as it was when it began, the number of its next telling and when that
is due. Advancing is one transaction per request: the row is locked, notices and their mail are
written, number and time move on, a record says what was done. Whoever dies before the commit has
done nothing; whoever comes second finds the row locked or moved on; and a notice is unique by
request, person, event and telling whatever the code above it does.

After an outage each telling still has its wait: the next one counts from when the last was done,
not from when it should have been, so that nobody is passed over because a server was down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F

from agentops.execution.faults import fault
from approvals import chains, freezing, notices, receivers
from approvals.chains import Telling
from approvals.models import (
    Chain,
    ChainVersion,
    Kind,
    Notice,
    OnExpiry,
    Record,
    Request,
    Risk,
    State,
)
from approvals.notices import Told

MOST = 50
# A request whose escalation fails is left alone that long, so that the others go on.
AFTER_A_FAILURE = timedelta(minutes=1)
SWEEP = "sweep"
log = structlog.get_logger(__name__)


def sweep() -> None:
    """Begin, advance and deliver what is due. A duty of the sweep."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    begin(now=now)
    widen(now=now)
    advance(now=now)
    notices.deliver_held(now=now)


# -- beginning -----------------------------------------------------------------------------------


def begin(*, now: datetime) -> int:
    """Give every request that waits and has no chain yet its own. Answers how many."""
    new = Request.objects.filter(state=State.PENDING, chain__isnull=True)
    rows = list(new.select_for_update(of=("self",), no_key=True, skip_locked=True)[:MOST])
    for row in rows:
        named = row.rule.get("chain", "") if isinstance(row.rule, dict) else ""
        Request.objects.filter(pk=row.pk).update(
            chain=snapshot(str(named or "")), chain_step=0, next_step_at=now
        )
    return len(rows)


def snapshot(name: str) -> dict[str, object]:
    """What the chain called ``name`` says now; the usual one where there is none of that name."""
    chain = Chain.objects.filter(name=name).first() if name else None
    chain = chain or Chain.objects.filter(is_usual=True).first()
    version = newest(chain) if chain else None
    if chain is None or version is None:
        return {"name": "", "version": 0, "steps": list(chains.USUAL)}
    return {"name": chain.name, "version": version.number, "steps": version.steps}


def newest(chain: Chain) -> ChainVersion | None:
    """What a chain says now."""
    return chain.versions.order_by("-number").first()


# What is added to a chain when the deadline is over and the rule wants more people, or reminders.
_AFTERWARDS = {
    OnExpiry.ESCALATE: {"tell": [{"deciders": True}], "wait_minutes": 60, "times": 3},
    OnExpiry.WAIT: {"tell": [{"deciders": True}], "wait_minutes": 24 * 60, "times": 7},
}


def widen(*, now: datetime) -> int:
    """Where nobody decided in time and the rule wants more people told: tell them, once.

    The next step is due at once, with whoever may decide told after the chain's own steps. What
    the chain says comes in the end does not come any more: its rule says that it goes on waiting.
    """
    over = Request.objects.filter(
        state=State.PENDING, decide_by__lte=now, on_expiry__in=list(_AFTERWARDS),
        chain__isnull=False, chain__late__isnull=True,
    )  # fmt: skip
    awake = freezing.awake(over)
    rows = list(awake.select_for_update(of=("self",), no_key=True, skip_locked=True)[:MOST])
    for row in rows:
        chain = row.chain or {}
        steps = [step for step in chain.get("steps", []) if "then" not in step]
        later = {**chain, "late": True, "steps": [*steps, _AFTERWARDS[OnExpiry(row.on_expiry)]]}
        Request.objects.filter(pk=row.pk).update(
            chain=later, next_step_at=now, acknowledged_by=None, acknowledged_at=None
        )
        _record(row, f"{row.kind}.escalated", late=True)
    return len(rows)


# -- advancing -----------------------------------------------------------------------------------


def advance(*, now: datetime) -> int:
    """Do the next telling of every request where it is due. Answers how many were done."""
    due = Request.objects.filter(state=State.PENDING, next_step_at__lte=now)
    numbers = list(
        freezing.awake(due).order_by("next_step_at", "pk").values_list("pk", flat=True)[:MOST]
    )
    return sum(_guarded(pk, now, lambda row: _step(row, now)) for pk in numbers)


def _guarded(pk: int, now: datetime, act: Callable[[Request], None]) -> bool:
    """Act on one request, if it is still due, in a savepoint of its own."""
    try:
        with transaction.atomic():
            row = _locked(pk, now)
            if row is None:
                return False
            act(row)
    except Exception as error:
        log.exception("escalation.failed", request_pk=pk)
        _failed(pk, error, now)
        return False
    return True


def _locked(pk: int, now: datetime) -> Request | None:
    rows = Request.objects.filter(pk=pk, state=State.PENDING, next_step_at__lte=now)
    return rows.select_for_update(of=("self",), no_key=True, skip_locked=True).first()


def _failed(pk: int, error: Exception, now: datetime) -> None:
    """Write down that this one cannot go on, and look at it again later."""
    with transaction.atomic():
        row = Request.objects.select_for_update(of=("self",), no_key=True).get(pk=pk)
        said = f"{type(error).__name__}: {error}".replace("\x00", "")[:300]
        _record(row, "escalation.failed", error=said)
        Request.objects.filter(pk=pk).update(next_step_at=now + AFTER_A_FAILURE)


def _step(row: Request, now: datetime) -> None:
    tellings = _tellings(row)
    if row.chain_step >= len(tellings):
        _move(row, None)
        return
    telling = tellings[row.chain_step]
    if telling.then:
        _end(row, telling, now)
    else:
        _tell(row, telling, now, is_last=row.chain_step + 1 == len(tellings))


def _tellings(row: Request) -> tuple[Telling, ...]:
    return chains.plan((row.chain or {}).get("steps", []), more=chains.MOST_TIMES)


def _tell(row: Request, telling: Telling, now: datetime, *, is_last: bool) -> None:
    found = receivers.resolve(row, telling.tell, now)
    known = set(row.notices.filter(why_not="").values_list("person_id", flat=True))
    told = Told()
    for event, people in (
        ("reminded", [one for one in found.people if one.person.pk in known]),
        (_first(row), [one for one in found.people if one.person.pk not in known]),
    ):
        _merge(told, notices.tell(
            request=row, event=event, receivers=people, now=now, step=row.chain_step,
            is_urgent=telling.is_urgent,
        ))  # fmt: skip
    _record(
        row, f"{row.kind}.escalated", step=telling.step, time=telling.time, telling=row.chain_step,
        told=told.told, held=told.held, not_told=told.not_told, nobody=found.nobody,
    )  # fmt: skip
    fault("escalation.told")
    _move(row, None if is_last else _next(told, telling, now))
    log.info("approval.escalated", request=row.public_id, telling=row.chain_step,
             told=len(told.told), held=len(told.held))  # fmt: skip


def _first(row: Request) -> str:
    """How people are told who were not told before."""
    return "escalated" if row.chain_step else "asked"


def _merge(into: Told, other: Told) -> None:
    into.told += other.told
    into.held += other.held
    into.not_told |= other.not_told
    firsts = [at for at in (into.first_at, other.first_at) if at is not None]
    into.first_at = min(firsts, default=None)


def _next(told: Told, telling: Telling, now: datetime) -> datetime:
    """Somebody told has their time; somebody in quiet hours, once they are over; nobody, none."""
    if told.told:
        return now + telling.wait
    return now if told.first_at is None else told.first_at + telling.wait


def _end(row: Request, telling: Telling, now: datetime) -> None:
    """Nobody decided: let its time be over, with what the chain says comes then."""
    if row.kind == Kind.ATTENTION:
        _move(row, None)
        return
    if not was_told(row):
        _record(row, "escalation.failed", error="The chain ended and nobody could be told.")
        _move(row, None)
        return
    if telling.then == "approve" and row.risk != Risk.LOW:
        _record(row, "escalation.failed", error="Only what is of low risk may pass unasked.")
        _move(row, None)
        return
    ending = OnExpiry.APPROVE if telling.then == "approve" else OnExpiry.DENY
    _record(row, f"{row.kind}.escalated", step=telling.step, telling=row.chain_step, then=ending)
    Request.objects.filter(pk=row.pk).update(decide_by=now, on_expiry=ending)
    _move(row, None)


def was_told(row: Request) -> bool:
    """Whether mail about it was written for anybody."""
    return Notice.objects.filter(request=row, mail__isnull=False).exists()


def _move(row: Request, at: datetime | None) -> None:
    """On to the next telling; whoever moved it meanwhile broke the lock, and nothing is done."""
    still = Request.objects.filter(pk=row.pk, chain_step=row.chain_step, state=State.PENDING)
    if still.update(chain_step=F("chain_step") + 1, next_step_at=at) != 1:
        raise RuntimeError(f"{row} moved under its lock.")


def _record(row: Request, event: str, by: str = SWEEP, **detail: object) -> None:
    Record.objects.create(
        request=row, run_public_id=row.run_public_id, event=event, by=by, detail=detail
    )


# -- looking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What escalation does next with a request, and when."""

    telling: Telling
    at: datetime

    @property
    def words(self) -> str:
        return chains.words(self.telling)


def upcoming(request: Request) -> Upcoming | None:
    """What comes next if nobody does anything; None where nothing does, or it cannot be read."""
    if request.state != State.PENDING or not request.chain:
        return None
    try:
        tellings = _tellings(request)
    except chains.InvalidChain:
        return None
    if request.chain_step >= len(tellings):
        return None
    at = request.next_step_at or request.acknowledged_at
    return Upcoming(tellings[request.chain_step], at) if at else None
