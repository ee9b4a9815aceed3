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
from django.urls import reverse

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
    mail_error: str = ""


# A request counts as overdue from a minute on, whether its chain was never begun or does not go on.
_LOOK = """
    WITH late AS (
        SELECT coalesce(next_step_at, created_at) AS since FROM approval_request
        WHERE state = 'pending' AND next_step_at < now() - make_interval(secs => %(silent)s)
        UNION ALL
        SELECT created_at FROM approval_request
        WHERE state = 'pending' AND chain IS NULL
        AND created_at < now() - make_interval(secs => %(silent)s)
    )
    SELECT (SELECT count(*) FROM late), (SELECT min(since) FROM late),
        (SELECT count(*) FROM approval_request r WHERE state = 'pending' AND chain IS NOT NULL
            AND next_step_at IS NULL AND acknowledged_at IS NULL AND NOT EXISTS (
                SELECT FROM approval_notice n WHERE n.request_id = r.id
                AND (n.mail_id IS NOT NULL OR n.due_at IS NOT NULL))),
        (SELECT count(DISTINCT request_id) FROM approval_record
            WHERE event = 'escalation.failed' AND at > now() - interval '15 minutes'),
        (SELECT count(*) FROM outbox_mail
            WHERE due_at IS NOT NULL AND created_at < now() - make_interval(secs => %(late)s)),
        (SELECT count(*) FROM outbox_mail WHERE failed_at IS NOT NULL),
        coalesce((SELECT error FROM outbox_mail WHERE error <> '' AND sent_at IS NULL
            ORDER BY coalesce(failed_at, due_at) DESC LIMIT 1), '')
"""


def look() -> Standing:
    """Compare rows with the clock, in one question."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LOOK, {"silent": SILENT.total_seconds(), "late": outbox.LATE.total_seconds()}
        )
        return Standing(*cursor.fetchone())


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
        yield _red(f"{many} given up: {found.mail_error}", **read)
    if found.mail_late:
        many = figures.plural(found.mail_late, "message waits", "messages wait")
        why = f": {found.mail_error}" if found.mail_error else "."
        yield _red(f"{many} for more than five minutes to be sent{why}", **read)


def _red(text: str, command: str = "", label: str = "", href: str = "") -> Sentence:
    return Sentence("circle-x", "crimson", text, label=label, href=href, command=command)
