"""Looking again whether somebody who stays, at a socket or a stream, still may."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from agentops.accounts import factors, tokens
from agentops.accounts.actors import Actor, actor_with
from agentops.accounts.models import Delegation, User

# A right that is lost closes what it had opened within half a minute.
CHECK_SECONDS = 10.0


def look_again(actor: Actor) -> Actor | None:
    """The same with the rights of now; None for whoever has left, signed out or been revoked."""
    if actor.token is not None:
        return _with_token(actor)
    user = User.objects.filter(pk=actor.user.pk, is_active=True).first()
    if user is None or not _lives(actor.session_key, user) or factors.is_missing(user):
        return None
    return Actor(user, session_key=actor.session_key).ready()


def _with_token(actor: Actor) -> Actor | None:
    assert actor.token is not None  # noqa: S101 - narrows the type
    now = timezone.now()
    token = tokens.known().filter(pk=actor.token.pk).first()
    if token is None or tokens.why_useless(token, now):
        return None
    if actor.delegation is None:
        return actor_with(token).ready()
    given = Delegation.objects.select_related("person").filter(
        pk=actor.delegation.pk, expires_at__gt=now, person__is_active=True
    )
    found = given.first()
    return actor_with(token, found).ready() if found else None


def _lives(session_key: str | None, user: User) -> bool:
    """Whether this session is still that of ``user``, with the password it was opened with."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    if not session_key or session.get(SESSION_KEY) != str(user.pk):
        return False
    seen = session.get(HASH_SESSION_KEY, "")
    return bool(constant_time_compare(seen, user.get_session_auth_hash()))
