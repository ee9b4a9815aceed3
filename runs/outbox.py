"""The outbox: mail is written where it is caused, and sent afterwards by whoever comes by.

:func:`write` joins the transaction that causes the mail, so there is a message exactly when there
is a cause. :func:`work` claims a row, sends it outside any transaction and writes down what
became of it.

# Note [Sent once]

A process may die between handing a message over and writing that down; its claim then ends and
another sends again, under the same Message-ID. The maildir takes a Message-ID once. An SMTP server
need not: nobody can ask it what became of a message, so the choice is between a notice that may be
lost and one that may come twice, and we choose twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.models import User
from agentops.execution.faults import fault
from agentops.mail import sending
from agentops.sdk.errors import Fatal, OutcomeUnknown, Retryable
from runs.models import OutboxMail

log = structlog.get_logger(__name__)

# Longer than a slow server takes over all its answers together (EMAIL_TIMEOUT is for each).
CLAIM = timedelta(minutes=3)
FIRST_AGAIN = timedelta(seconds=15)
LONGEST_AGAIN = timedelta(minutes=15)
GIVEN_UP_AFTER = timedelta(days=3)
# How long a message may wait before somebody should look.
LATE = timedelta(minutes=5)
_LONGEST_ERROR = 500
_DUE = """due_at <= statement_timestamp()
        AND (claimed_until IS NULL OR claimed_until <= statement_timestamp())"""


class NotInATransaction(RuntimeError):
    """Mail is written in the transaction that causes it; open one around both."""


def write(
    *,
    event: str,
    dedup_key: str,
    address: str,
    subject: str,
    text: str,
    html: str = "",
    person: User | None = None,
) -> OutboxMail:
    """Have a message sent once this transaction commits. The same cause writes one."""
    if not connection.in_atomic_block:
        raise NotInATransaction
    row, _ = OutboxMail.objects.get_or_create(
        dedup_key=dedup_key,
        defaults={
            "event": event,
            "address": address,
            "subject": " ".join(subject.split()),
            "text": text,
            "html": html,
            "person": person,
        },
    )
    return row


def is_due() -> bool:
    """Whether there is something to send now."""
    with connection.cursor() as cursor:
        # The condition is a constant of this module.
        cursor.execute(f"SELECT EXISTS (SELECT FROM outbox_mail WHERE {_DUE})")  # noqa: S608
        (found,) = cursor.fetchone()
    return bool(found)


def work(*, seconds: float, until: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, for a while or ``until`` that is true. Answers how many went out.

    Stops when the server cannot be reached: it would not be for the others either.
    """
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end and not until():
        mail = claim()
        if mail is None or not _attempt(mail):
            break
        sent += mail.sent_at is not None
    return sent


_CLAIM = f"""
    UPDATE outbox_mail
    SET claimed_until = statement_timestamp() + make_interval(secs => %s), attempts = attempts + 1
    WHERE id = (
        SELECT id FROM outbox_mail WHERE {_DUE}
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""  # noqa: S608 - composed from a constant


def claim() -> OutboxMail | None:
    """Take the message that is due for longest; nobody else has it for :data:`CLAIM`."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [CLAIM.total_seconds()])
        row = cursor.fetchone()
    return OutboxMail.objects.get(pk=row[0]) if row else None


def _attempt(mail: OutboxMail) -> bool:
    """Send one message and write down what became of it. False: nobody can be reached now."""
    fault("mail.claimed")
    try:
        sending.hand_over(_message(mail))
    except (sending.NotSetUp, Retryable) as error:
        _again(mail, error)
        return False
    except OutcomeUnknown as error:
        _again(mail, error)
        return True
    except Fatal as error:
        _fail(mail, error)
        return True
    except Exception as error:  # noqa: BLE001 - one message must not stop those behind it
        _again(mail, error)
        return True
    fault("mail.handed_over")
    _sent(mail)
    return True


def _message(mail: OutboxMail) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(
        mail.subject,
        mail.text,
        settings.DEFAULT_FROM_EMAIL,
        [mail.address],
        headers={
            "Message-ID": message_id(mail),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    return message


def message_id(mail: OutboxMail) -> str:
    """The same for every attempt at a message."""
    return sending.message_id(f"outbox {mail.dedup_key}")


def _sent(mail: OutboxMail) -> None:
    """It went out, whoever claims it by now."""
    waiting = OutboxMail.objects.filter(pk=mail.pk, due_at__isnull=False)
    waiting.update(sent_at=Now(), due_at=None, claimed_until=None, error="")
    mail.refresh_from_db(fields=["sent_at"])
    log.info("mail.sent", about=mail.event, mail=mail.pk, attempt=mail.attempts)


def _again(mail: OutboxMail, error: Exception) -> None:
    """Try it again later, unless it is old by now."""
    if _held(mail).filter(created_at__lt=Now() - GIVEN_UP_AFTER).exists():
        _fail(mail, error)
        return
    doubled = FIRST_AGAIN * 2 ** min(mail.attempts - 1, 10)
    later = Now() + min(doubled, LONGEST_AGAIN)
    _held(mail).update(due_at=later, claimed_until=None, error=_said(error))
    log.warning("mail.delayed", about=mail.event, mail=mail.pk, attempt=mail.attempts)


def _fail(mail: OutboxMail, error: Exception) -> None:
    """Give it up: it waits for somebody to look."""
    gone = _held(mail)
    gone.update(failed_at=Now(), due_at=None, claimed_until=None, error=_said(error))
    log.error("mail.failed", about=mail.event, mail=mail.pk, attempt=mail.attempts)


def _held(mail: OutboxMail) -> QuerySet[OutboxMail]:
    """The row while this attempt is the last at it: a late one does not judge for the next."""
    return OutboxMail.objects.filter(pk=mail.pk, due_at__isnull=False, attempts=mail.attempts)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:_LONGEST_ERROR]


# -- looking after it ----------------------------------------------------------------------------


def failed() -> QuerySet[OutboxMail]:
    """What was given up, newest first."""
    return OutboxMail.objects.filter(failed_at__isnull=False).order_by("-failed_at", "-pk")


def late() -> QuerySet[OutboxMail]:
    """What should have gone out minutes ago, oldest first."""
    waiting = OutboxMail.objects.filter(due_at__isnull=False, created_at__lt=Now() - LATE)
    return waiting.order_by("created_at", "pk")


def try_again(*, by: str) -> int:
    """Send what failed once more, after whatever it was is put right. Answers how many."""
    found = OutboxMail.objects.filter(failed_at__isnull=False).update(
        failed_at=None, due_at=Now(), claimed_until=None, attempts=0, created_at=Now()
    )
    log.info("mail.tried_again", count=found, by=by)
    return found


def forget(*, days: int) -> None:
    """Delete what is over for so many days."""
    before = Now() - timedelta(days=days)
    OutboxMail.objects.filter(Q(sent_at__lt=before) | Q(failed_at__lt=before)).delete()
