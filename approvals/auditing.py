"""The overdue auditor: what escalation should have done by now, asked of rows by another process.

Escalation cannot notice that it stands still. The System page and ``manage.py doctor`` can: they
compare what is due with the clock, and ask of every duty when it was last done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, Q
from django.db.models.functions import Coalesce, Now
from django.urls import reverse

from approvals import freezing
from approvals.models import Notice, Request, State
from runs import figures, outbox
from runs.attention import Sentence
from runs.models import Duty

# A sweep comes every two seconds; its success is written down every ten.
SILENT = timedelta(minutes=1)
_SWEEP = "python manage.py sweep"


@dataclass(frozen=True, slots=True)
class Standing:
    """How many requests are not looked after as they should be, and how much mail waits."""

    overdue: int = 0
    overdue_since: datetime | None = None
    untold: int = 0
    failing: int = 0
    mail_late: int = 0
    mail_failed: int = 0
    late_error: str = ""
    failed_error: str = ""


_LOOK = """
    SELECT (SELECT count(DISTINCT request_id) FROM approval_record
            WHERE event = 'escalation.failed' AND at > now() - interval '15 minutes'),
        (SELECT count(*) FROM outbox_mail
            WHERE due_at IS NOT NULL AND created_at < now() - make_interval(secs => %s)),
        (SELECT count(*) FROM outbox_mail WHERE failed_at IS NOT NULL),
        coalesce((SELECT error FROM outbox_mail WHERE error <> '' AND due_at IS NOT NULL
            ORDER BY created_at LIMIT 1), ''),
        coalesce((SELECT error FROM outbox_mail WHERE failed_at IS NOT NULL
            ORDER BY failed_at DESC LIMIT 1), '')
"""


def look() -> Standing:
    """Compare rows with the clock. What a stop is about waits for nobody."""
    long_ago = Now() - SILENT
    late = Q(next_step_at__lt=long_ago) | Q(chain__isnull=True, created_at__lt=long_ago)
    heard = Notice.objects.filter(request=OuterRef("pk"))
    heard = heard.filter(Q(mail__isnull=False) | Q(due_at__isnull=False))
    untold = Q(~Exists(heard), chain__isnull=False, next_step_at=None, acknowledged_at=None)
    waiting = freezing.awake(Request.objects.filter(late | untold, state=State.PENDING))
    found = waiting.aggregate(
        overdue=Count("pk", filter=late), untold=Count("pk", filter=untold),
        overdue_since=Min(Coalesce("next_step_at", "created_at"), filter=late),
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [outbox.LATE.total_seconds()])
        names = ("failing", "mail_late", "mail_failed", "late_error", "failed_error")
        found |= dict(zip(names, cursor.fetchone(), strict=True))
    return Standing(**found)


def wrong(now: datetime) -> Iterator[Sentence]:
    """A sentence and what to do for everything that is red."""
    found = look()
    if found.overdue and found.overdue_since is not None:
        waits = figures.span(now - found.overdue_since)
        many = figures.plural(found.overdue, "request waits", "requests wait")
        yield _red(f"Escalation is overdue: {many} to be told of, the oldest for {waits}.", _SWEEP)
    if found.untold:
        many = figures.plural(found.untold, "request waits", "requests wait")
        yield _red(f"{many} and nobody could be told: there is no receiver with a mail address "
                   "who may act.", label="Escalation", href=reverse("escalation"))  # fmt: skip
    if found.failing:
        many = figures.plural(found.failing, "request")
        yield _red(f"The escalation of {many} fails; its record says why.", label="Escalation",
                   href=reverse("escalation"))  # fmt: skip
    yield from _duties(now)
    yield from _mail(found)


def _duties(now: datetime) -> Iterator[Sentence]:
    """Duties that fail, and those nobody has done for a while."""
    known = {duty.name: duty for duty in Duty.objects.all()}
    for name in settings.AGENTOPS_DUTIES:
        duty = known.get(name)
        if duty is not None and duty.error:
            yield _red(f"The duty {name} fails: {duty.error}", _SWEEP)
        elif duty is not None and duty.done_at is not None and now - duty.done_at > SILENT:
            ago = figures.span(now - duty.done_at)
            yield _red(f"The duty {name} was last done {ago} ago.", _SWEEP)


def _mail(found: Standing) -> Iterator[Sentence]:
    read = {"label": "Mail", "href": reverse("mails")}
    if found.mail_failed:
        many = figures.plural(found.mail_failed, "message was", "messages were")
        yield _red(f"{many} given up: {found.failed_error}", **read)
    if found.mail_late:
        many = figures.plural(found.mail_late, "message waits", "messages wait")
        why = f": {found.late_error}" if found.late_error else "."
        yield _red(f"{many} for more than five minutes to be sent{why}", **read)


def _red(text: str, command: str = "", label: str = "", href: str = "") -> Sentence:
    return Sentence("circle-x", "crimson", text, label=label, href=href, command=command)
