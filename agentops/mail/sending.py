"""Sending one message for one call of a tool, and finding out whether a lost attempt did.

The Message-ID is made from the call's idempotency key, so that a second copy could be told as
one. Errors are those of tools: what failed before the message was handed over is known not to
have happened.
"""

from __future__ import annotations

import hashlib
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from agentops.mail import backend, maildir
from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import Fatal, OutcomeUnknown, Retryable
from agentops.sdk.tools import Verdict

_TEMPORARY = range(400, 500)


class NotSetUp(Fatal):
    """This system cannot send mail to anybody until its settings are put right."""


@dataclass(frozen=True, slots=True)
class Mailed:
    """Who got a message, and as which."""

    to: tuple[str, ...]
    message_id: str
    place: str
    """``smtp``, or the folder the message was put into."""


def message_id_of(ctx: ToolContext) -> str:
    """The same for every attempt of a call."""
    return message_id(ctx.idempotency_key)


def message_id(cause: str) -> str:
    """The same for everything that is sent for one cause."""
    digest = hashlib.sha256(cause.encode()).hexdigest()[:32]
    domain = str(settings.DEFAULT_FROM_EMAIL).rpartition("@")[2].strip("> ") or "localhost"
    return f"<{digest}@{domain}>"


def was_sent(ctx: ToolContext) -> Verdict:
    """A message in the maildir proves it; what an SMTP server did, nobody here can know."""
    if not backend.is_used():
        return Verdict.UNKNOWN
    found = maildir.find(backend.folder(), message_id_of(ctx))
    return Verdict.NOT_DONE if found is None else Verdict.DONE


def send(
    ctx: ToolContext,
    to: Sequence[str],
    subject: str,
    text: str,
    attachment: tuple[str, str] | None = None,
) -> Mailed:
    """Send one message; ``attachment`` is the name and text of a Markdown file.

    Raises Retryable when the server cannot be reached or asks to wait, Fatal when it refuses, and
    OutcomeUnknown when the connection was lost after the message was handed over.
    """
    message = EmailMessage(
        subject, text, settings.DEFAULT_FROM_EMAIL, list(to),
        headers={"Message-ID": message_id_of(ctx), "Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    if attachment is not None:
        message.attach(*attachment, "text/markdown")
    hand_over(message)
    return mailed(ctx, to)


def hand_over(message: EmailMessage) -> None:
    """Give one message to the mail server, or to the maildir. Raises as :func:`send` does."""
    try:
        message.connection = get_connection()
    except (ImproperlyConfigured, ImportError) as error:
        raise NotSetUp(f"Mail is not set up: {error}") from error
    _open(message.connection)
    try:
        _send(message)
    finally:
        message.connection.close()


def mailed(ctx: ToolContext, to: Sequence[str]) -> Mailed:
    """What :func:`send` returns for this call, once it is known to have happened."""
    place = str(backend.folder()) if backend.is_used() else "smtp"
    return Mailed(tuple(to), message_id_of(ctx), place)


def _open(connection: BaseEmailBackend) -> None:
    """Connect first: what fails here has sent nothing."""
    try:
        connection.open()
    except smtplib.SMTPAuthenticationError as error:
        raise NotSetUp(
            f"The mail server refuses user and password of EMAIL_URL: {error}."
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise Retryable(f"The mail server cannot be reached: {error}.") from error


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise _refusal(
            f"The mail server refuses the receivers: {error.recipients}.", codes
        ) from error
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise _refusal(
            f"The mail server refuses the message: {error}.", {error.smtp_code}
        ) from error
    except ValueError as error:
        raise Fatal(f"The message cannot be made: {error}.") from error
    except (OSError, smtplib.SMTPException) as error:
        raise _lost(error) from error


def _refusal(sentence: str, codes: set[int]) -> Retryable | Fatal:
    waiting = all(code in _TEMPORARY for code in codes)
    return Retryable(sentence) if waiting else Fatal(sentence)


def _lost(error: Exception) -> Retryable | OutcomeUnknown:
    if backend.is_used():
        return Retryable(f"The message cannot be written to {backend.folder()}: {error}.")
    return OutcomeUnknown(
        f"The connection to the mail server was lost while sending ({type(error).__name__}: "
        f"{error}); the message may have arrived."
    )
