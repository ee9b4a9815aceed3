"""Mailing the report once, and finding out whether a lost attempt did."""

from __future__ import annotations

import hashlib
import smtplib
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from agentops import Fatal, OutcomeUnknown, Retryable, ToolContext, Verified, tool
from agentops.mail import maildir

_MAILDIR_BACKEND = "agentops.mail.backend.EmailBackend"
_TEMPORARY = range(400, 500)


@dataclass(frozen=True, slots=True)
class Mailed:
    """Who got the report, and as which message."""

    to: tuple[str, ...]
    message_id: str
    place: str
    """``smtp``, or the folder the message was put into."""


def message_id_of(ctx: ToolContext) -> str:
    """The same for every attempt, so that a second copy could be told as one."""
    digest = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]
    domain = str(settings.DEFAULT_FROM_EMAIL).rpartition("@")[2].strip("> ") or "localhost"
    return f"<{digest}@{domain}>"


def report_is_mailed(ctx: ToolContext, to: tuple[str, ...] | None, *_: object) -> Verified:
    """A message in the maildir proves it; what an SMTP server did, nobody here can know."""
    if settings.EMAIL_BACKEND != _MAILDIR_BACKEND:
        return Verified.unknown()
    if maildir.find(_folder(), message_id_of(ctx)) is None:
        return Verified.not_done()
    return Verified.done(_mailed(ctx, _receivers(to)))


@tool(effect="once", retries=4, timeout=60, optional=True, verify=report_is_mailed)
def mail_report(
    ctx: ToolContext, to: tuple[str, ...] | None, subject: str, text: str, attachment: str
) -> Mailed:
    """Send the report: ``text`` and a link as the body, ``attachment`` as a Markdown file.

    Raises Retryable when the server cannot be reached or asks to wait, Fatal when it refuses, and
    OutcomeUnknown when the connection was lost after the message was handed over.
    """
    receivers = _receivers(to)
    try:
        body, connection = text + _link(ctx.run_id), get_connection()
        message = EmailMessage(
            subject, body, settings.DEFAULT_FROM_EMAIL, list(receivers), connection=connection,
            headers={"Message-ID": message_id_of(ctx), "Auto-Submitted": "auto-generated"},
        )  # fmt: skip
    except (ImproperlyConfigured, ImportError) as error:
        raise Fatal(f"Mail is not set up: {error}") from error
    message.attach("dependency-audit.md", attachment, "text/markdown")
    _open(connection)
    try:
        _send(message)
    finally:
        connection.close()
    return _mailed(ctx, receivers)


def _open(connection: BaseEmailBackend) -> None:
    """Connect first: what fails here has sent nothing."""
    try:
        connection.open()
    except smtplib.SMTPAuthenticationError as error:
        raise Fatal(f"The mail server refuses user and password of EMAIL_URL: {error}.") from error
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
    if settings.EMAIL_BACKEND == _MAILDIR_BACKEND:
        return Retryable(f"The message cannot be written to {_folder()}: {error}.")
    return OutcomeUnknown(
        f"The connection to the mail server was lost while sending ({type(error).__name__}: "
        f"{error}); the message may have arrived."
    )


def _link(run_id: str) -> str:
    """Where to read it in the console, if this system knows its own address."""
    base = settings.AGENTOPS_PUBLIC_URL
    return f"Read it in the console: {base}/reports/{run_id}/\n" if base else f"Run {run_id}.\n"


def _receivers(to: tuple[str, ...] | None) -> tuple[str, ...]:
    """Those who were named, otherwise the address this system sends from."""
    return tuple(to) if to else (str(settings.DEFAULT_FROM_EMAIL),)


def _mailed(ctx: ToolContext, receivers: tuple[str, ...]) -> Mailed:
    kept = settings.EMAIL_BACKEND == _MAILDIR_BACKEND
    return Mailed(receivers, message_id_of(ctx), str(_folder()) if kept else "smtp")


def _folder() -> Path:
    return Path(settings.AGENTOPS_DATA) / "mail"
