"""What a stop is about is not decided meanwhile, and its time stands still.

# Note [Frozen]
While a stop holds, nobody decides or answers what it is about, nobody is told of it again, and it
does not expire: who stops an agent does not want its requests to be waved through, or denied by
default. When the stop is lifted, all deadlines move by the time for which they were frozen. The
sweep does that, once per stop, and until it has done so they still count as frozen. Where stops
overlap, the one that is lifted last moves the deadlines by the whole time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from agentops.accounts.models import User
from approvals.models import OPEN, Kind, Request
from approvals.refusals import Frozen
from runs import halted
from runs.models import Run, Stop, StopScope

MOST = 20
_MOVED = ("decide_by", "execute_by", "next_step_at")


def refuse_frozen(request: Request) -> None:
    """Return unless a stop is about this request. Raises Frozen."""
    if not halted.any_hold():
        return
    for stop in halted.holding():
        if Request.objects.filter(_about(stop), pk=request.pk).exists():
            raise Frozen(
                f"{stop.about.capitalize()} is stopped: {stop.reason} Lift stop {stop.public_id} "
                "first; the time to decide stands still until then."
            )


def awake(rows: QuerySet[Request]) -> QuerySet[Request]:
    """Those of the requests whose time goes on."""
    for stop in Stop.objects.filter(thawed_at=None):
        rows = rows.exclude(_about(stop))
    return rows


def thaw() -> None:
    """Move the deadlines of what stops had frozen that were lifted. Every sweep does this first."""
    over = Stop.objects.filter(lifted_at__isnull=False, thawed_at=None).order_by("lifted_at", "pk")
    with transaction.atomic():
        for stop in over.select_for_update(of=("self",), skip_locked=True)[:MOST]:
            _thaw(stop, stop.lifted_at or stop.thrown_at)
            Stop.objects.filter(pk=stop.pk).update(thawed_at=stop.lifted_at)


def _thaw(stop: Stop, until: datetime) -> None:
    meanwhile = Stop.objects.exclude(pk=stop.pk).filter(thrown_at__lte=until)
    others = list(meanwhile.filter(Q(lifted_at=None) | Q(lifted_at__gte=stop.thrown_at)))
    rows = Request.objects.filter(_about(stop), state__in=OPEN, created_at__lt=until)
    for other in others:
        if other.lifted_at is None or (other.lifted_at, other.pk) > (until, stop.pk):
            rows = rows.exclude(_about(other))
    for row in rows.select_for_update(of=("self",), no_key=True).order_by("run_id", "pk"):
        before = [it for it in others if _covers(it, row)]
        took = until - _since(stop, row.created_at, before)
        moved = {name: F(name) + took for name in _MOVED}
        Request.objects.filter(pk=row.pk).update(**moved)


def _covers(stop: Stop, row: Request) -> bool:
    return Request.objects.filter(_about(stop), pk=row.pk).exists()


def _since(stop: Stop, began: datetime, others: Iterable[Stop]) -> datetime:
    """From when on it was frozen, by stops that followed on each other up to this one."""
    since = stop.thrown_at
    for other in sorted(others, key=lambda it: it.thrown_at, reverse=True):
        if other.lifted_at is not None and other.lifted_at >= since:
            since = min(since, other.thrown_at)
    return max(since, began)


def _about(stop: Stop) -> Q:
    """The requests a stop is about."""
    agent, _, version = stop.target.rpartition("@")
    if stop.scope == StopScope.AGENT_VERSION:
        ran = Run.objects.filter(agent=agent, agent_version=version)
        return Q(agent=agent, run_id__in=ran.values("pk"))
    if stop.scope == StopScope.PERSON:
        return Q(owner__in=User.objects.filter(username=stop.target))
    if stop.scope == StopScope.RUN:
        return Q(run_id__in=halted.family(stop.target))
    named = {
        StopScope.EVERYTHING: Q(pk__isnull=False),
        StopScope.AGENT: Q(agent=stop.target),
        StopScope.TOOL: Q(kind=Kind.APPROVAL, name=stop.target),
    }
    return named.get(StopScope(stop.scope), Q(pk__isnull=True))
