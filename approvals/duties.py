"""What time and the ends of runs do to requests. Every sweep calls this; nobody else has to.

Each duty is a condition on rows: whoever comes late, twice or at the same moment as a person finds
what is left to do, and nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from approvals import deciding, freezing, moves, questions
from approvals.models import OPEN, Kind, OnExpiry, Request, State
from approvals.moves import SWEEP
from runs.models import Journal, Phase, Run

# Of each duty, per sweep: a sweep is short, and the next one comes in seconds.
MOST = 200
log = structlog.get_logger(__name__)


def sweep() -> None:
    """Do every duty once. The caller's transaction, if there is one, holds it all."""
    freezing.thaw()
    for rows, duty in (
        (_abandoned(), _cancel),
        (_done_by_hand(), _supersede),
        (freezing.awake(_overdue()), _expire),
        (freezing.awake(_unused()), _lapse),
    ):
        _each(rows, duty)


def _each(rows: QuerySet[Request], duty: Callable[[Request], None]) -> None:
    """Do the duty for each row that nobody else has in hand."""
    with transaction.atomic():
        chosen = rows.select_for_update(of=("self",), no_key=True, skip_locked=True)
        # In the order of runs, which is the order in which all others lock them.
        for request in chosen.order_by("run_id", "pk")[:MOST]:
            _one(request, duty)


def _one(request: Request, duty: Callable[[Request], None]) -> None:
    """One that cannot be moved does not hold up the others."""
    try:
        with transaction.atomic():
            duty(request)
    except Exception:
        log.exception("request.stuck", request=request.public_id)
    else:
        log.info("request.swept", request=request.public_id, state=request.state)


def _abandoned() -> QuerySet[Request]:
    """Open ones whose run has ended or is gone."""
    live = Run.objects.filter(pk=OuterRef("run_id"), finished_at=None)
    return Request.objects.filter(~Exists(live), state__in=OPEN)


def _done_by_hand() -> QuerySet[Request]:
    """Open ones whose step has its result: somebody took the run over and supplied it."""
    done = Journal.objects.filter(
        run_id=OuterRef("run_id"), key=OuterRef("key"), phase=Phase.OUTCOME, kind="step.supplied"
    )
    return Request.objects.filter(Exists(done), state__in=OPEN, kind=Kind.APPROVAL)


def _overdue() -> QuerySet[Request]:
    """Those nobody decided in time, where the rule does not say to go on waiting."""
    closes = Q(kind=Kind.QUESTION) | Q(on_expiry__in=[OnExpiry.DENY, OnExpiry.APPROVE])
    rows = Request.objects.exclude(kind=Kind.ATTENTION)
    return rows.filter(closes, state=State.PENDING, decide_by__lte=Now())


def _unused() -> QuerySet[Request]:
    """Approvals that did not begin in time."""
    return Request.objects.filter(state=State.APPROVED, execute_by__lte=Now())


def _cancel(request: Request) -> None:
    moves.move(request, State.CANCELLED, SWEEP, tells=False)


def _supersede(request: Request) -> None:
    moves.move(request, State.SUPERSEDED, SWEEP, tells=False)


def _expire(request: Request) -> None:
    if request.kind == Kind.APPROVAL and request.on_expiry == OnExpiry.APPROVE:
        deciding.approve_unasked(request, SWEEP, why="nobody decided in time; its risk is low")
    elif request.kind == Kind.QUESTION:
        questions.by_default(request, SWEEP)
    else:
        moves.move(request, State.EXPIRED, SWEEP)


def _lapse(request: Request) -> None:
    moves.move(request, State.LAPSED, SWEEP)
