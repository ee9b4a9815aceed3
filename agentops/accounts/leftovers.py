"""What sessions, tokens and sign-ins leave behind when they are over."""

from __future__ import annotations

from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt, AccessLog
from django.contrib.sessions.models import Session

from agentops.accounts.models import ApiToken, Delegation

# A session is saved a moment after it is listed.
_MOMENT = timedelta(hours=1)


def forget(*, now: datetime, days: int) -> None:
    """Delete what opens nothing any more. People see for ``days`` which of their tokens ended.

    Harmless to repeat, and beside others who do the same.
    """
    Session.objects.filter(expire_date__lt=now).delete()
    gone = UserSession.objects.exclude(session_key__in=Session.objects.values("session_key"))
    gone.filter(created_at__lt=now - _MOMENT).delete()
    # Apps make one per visitor; nobody looks for them.
    ApiToken.objects.filter(only__isnull=False, expiry__lt=now).delete()
    before = now - timedelta(days=days)
    ApiToken.objects.filter(expiry__lt=before).delete()
    Delegation.objects.filter(expires_at__lt=before).delete()
    AccessLog.objects.filter(attempt_time__lt=before).delete()
    AccessAttempt.objects.filter(attempt_time__lt=before).delete()
