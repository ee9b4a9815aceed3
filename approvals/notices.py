"""Telling people, once each: a row that the database keeps unique, and the mail it causes.

A :class:`Notice` says who was told what about which request, for which step; where they were not,
why. Its mail is written in the same transaction. Quiet hours hold a notice back; it becomes mail
when they end, unless the request is over by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.db.models import QuerySet

from agentops.accounts.models import User
from approvals import freezing, messages, preferences
from approvals.models import Notice, Request, State
from approvals.preferences import Wishes
from approvals.receivers import Receiver
from runs import outbox

MOST = 200
ESCALATES = ("asked", "reminded", "escalated")
OVER = "over, or taken up, before quiet hours ended"
log = structlog.get_logger(__name__)


@dataclass
class Told:
    """What became of telling some people. Names of those told, held back, and not told."""

    told: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    not_told: dict[str, str] = field(default_factory=dict)
    # When the first of those held back is told.
    first_at: datetime | None = None


def tell(
    *,
    request: Request,
    event: str,
    receivers: Sequence[Receiver],
    now: datetime,
    step: int = 0,
    is_urgent: bool = False,
) -> Told:
    """Tell these people of an event of a request, each once per step. Within a transaction."""
    wishes = preferences.of(one.person.pk for one in receivers)
    found = Told()
    for one in receivers:
        notice, is_new = Notice.objects.get_or_create(
            request=request, person=one.person, event=event, step=step
        )
        if is_new:
            _one(notice, one, wishes[one.person.pk], now, is_urgent=is_urgent)
        _count(found, notice, one.person)
    return found


def _one(notice: Notice, one: Receiver, wishes: Wishes, now: datetime, *, is_urgent: bool) -> None:
    why_not = one.why_not or preferences.why_not(one.person, wishes, notice.event)
    notice.why_not = why_not[:80]
    later = quiet_until(one, wishes, now, is_urgent=is_urgent)
    if not notice.why_not and later is not None:
        notice.due_at = later
    elif not notice.why_not:
        _mail(notice, one.person, wishes)
    notice.save()


def quiet_until(
    one: Receiver, wishes: Wishes, now: datetime, *, is_urgent: bool
) -> datetime | None:
    """Until when this person is left in peace, by the rota or their own word; None: not now."""
    ends = [] if is_urgent else [one.quiet_until, wishes.quiet_until(now)]
    return max((end for end in ends if end is not None), default=None)


def _mail(notice: Notice, person: User, wishes: Wishes) -> None:
    said = messages.compose(notice.request, notice.event, person, wishes.zone)
    notice.due_at = None
    notice.mail = outbox.write(
        event=f"request.{notice.event}", dedup_key=f"notice {notice.pk}", address=person.email,
        subject=said.subject, text=said.text, html=said.html, person=person,
    )  # fmt: skip


def _count(found: Told, notice: Notice, person: User) -> None:
    name = person.get_username()
    if notice.why_not:
        found.not_told[name] = notice.why_not
    elif notice.due_at is not None:
        found.held.append(name)
        found.first_at = min(found.first_at or notice.due_at, notice.due_at)
    else:
        found.told.append(name)


def deliver_held(*, now: datetime) -> int:
    """Mail what quiet hours held back, where it is still worth knowing. Answers how many."""
    awake = freezing.awake(Request.objects.filter(notices__due_at__lte=now))
    held = Notice.objects.filter(due_at__lte=now, request__in=awake)
    held = held.select_related("request", "person")
    sent = 0
    for notice in held.select_for_update(of=("self",), skip_locked=True).order_by("due_at")[:MOST]:
        if _is_worth_knowing(notice):
            wishes = preferences.of([notice.person_id])[notice.person_id]
            _mail(notice, notice.person, wishes)
            sent += 1
        else:
            notice.due_at, notice.why_not = None, OVER
        notice.save()
    return sent


def _is_worth_knowing(notice: Notice) -> bool:
    """Whether it still waits; what escalates also: for anybody, as nobody looks after it."""
    waits = notice.request.state == State.PENDING
    if notice.event in ESCALATES:
        waits = waits and notice.request.acknowledged_at is None
    return notice.person.is_active and (waits or notice.event == "decided")


def of(request: Request) -> QuerySet[Notice]:
    """Who was told of a request, oldest first, for its page."""
    rows = Notice.objects.filter(request=request).select_related("person", "mail")
    return rows.order_by("at", "pk")


def decided(request: Request, *, now: datetime, but: int | None = None) -> None:
    """Tell the person for whom the run is what became of it, unless they did it themselves."""
    owner = request.owner
    if owner is None or owner.is_service or not owner.is_active or owner.pk == but:
        return
    tell(request=request, event="decided", receivers=[Receiver(owner)], now=now)
