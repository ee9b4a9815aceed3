"""Django's way to the maildir: the mail backend while ``EMAIL_URL`` names no server."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import make_msgid
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from agentops.mail import maildir


class EmailBackend(BaseEmailBackend):
    """Keeps every message as a file below ``AGENTOPS_DATA/mail``, for the console to show."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Deliver the messages. A message that is there already counts as sent."""
        return sum(self._deliver(message) for message in email_messages if message.recipients())

    def _deliver(self, message: EmailMessage) -> int:
        mime = message.message()
        if "Message-ID" not in mime:
            mime["Message-ID"] = make_msgid(domain="localhost")
        try:
            maildir.deliver(folder(), mime.as_bytes(), str(mime["Message-ID"]))
        except OSError:
            if not self.fail_silently:
                raise
            return 0
        return 1


def folder() -> Path:
    """Where the messages lie."""
    return Path(settings.AGENTOPS_DATA) / "mail"


def is_used() -> bool:
    """Whether mail of this system goes to the maildir."""
    return str(settings.EMAIL_BACKEND).startswith(f"{__name__}.")
