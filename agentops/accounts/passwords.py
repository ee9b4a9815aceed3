"""Choosing a password of one's own."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.contrib.auth.password_validation import validate_password

from agentops.accounts.models import User
from agentops.launcher.home import Home

log = structlog.get_logger(__name__)


def choose(*, user: User, password: str) -> None:
    """Make ``password`` theirs; other sessions of theirs end. Raises Django's ValidationError."""
    validate_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password", "must_change_password"])
    forget_printed()
    log.info("password.chosen", user=user.username)


def forget_printed() -> None:
    """Forget the password that was printed at the first start: its owner has chosen another."""
    Home(settings.AGENTOPS_DATA).first_sign_in.unlink(missing_ok=True)
