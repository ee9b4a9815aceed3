"""API tokens: made, shown once, found again by their hash, and taken away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from agentops.accounts.access import NotFound
from agentops.accounts.actors import Actor
from agentops.accounts.models import ApiToken, User
from agentops.accounts.roles import USUAL_SCOPES, Scope
from agentops.sdk.errors import AgentopsError

BROWSER_SECONDS = 15 * 60
LONGEST_DAYS = 3660
# How exactly the last use is kept; more would be a write per request.
USE_SECONDS = 60
MOST_TOKENS = 100
_TWICE = (
    "This Idempotency-Key made the token {}. Its text was shown then and never is again; if it "
    "was lost, revoke that token and use another key."
)
log = structlog.get_logger(__name__)


class TooManyTokens(AgentopsError):
    """There are so many tokens that nobody knows what they are for. Revoke some first."""

    code = "too_many_tokens"


class TokenMade(AgentopsError):
    """A token was made with this key before. Its text was shown then, and never is again."""

    code = "token_already_made"


@dataclass(frozen=True)
class Made:
    """A new token, and the text that is never seen again."""

    token: ApiToken
    secret: str


def make_token(
    *,
    user: User,
    made_by: str,
    name: str = "",
    scopes: Iterable[Scope] = USUAL_SCOPES,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Made:
    """Make a token with which a program acts as ``user``. Raises TooManyTokens and TokenMade."""
    if tokens_of(user=user).count() >= MOST_TOKENS:
        raise TooManyTokens
    made = _made(
        user=user, name=name, scopes=_ordered(scopes), expires_at=expires_at,
        idempotency_key=idempotency_key,
    )  # fmt: skip
    log.info(
        "token.created", token=made.token.public_id, user=user.username, by=made_by,
        scopes=made.token.scopes,
    )  # fmt: skip
    return made


def make_browser_token(
    *,
    actor: Actor,
    opens: Sequence[str],
    scopes: Iterable[Scope],
    now: datetime,
    idempotency_key: str | None = None,
) -> Made:
    """Make a token that opens only ``opens`` for a quarter of an hour.

    It ends with the token and the delegation it was made with, and never outlives them. That the
    actor may see what it opens, the door has asked. Raises TokenMade.
    """
    ends = [now + timedelta(seconds=BROWSER_SECONDS)]
    if actor.token is not None and actor.token.expiry is not None:
        ends.append(actor.token.expiry)
    if actor.delegation is not None:
        ends.append(actor.delegation.expires_at)
    made = _made(
        user=actor.service or actor.user,
        name="browser",
        scopes=_ordered(scopes),
        expires_at=min(ends),
        only=sorted(set(opens)),
        made_with=actor.token,
        delegation=actor.delegation,
        idempotency_key=idempotency_key,
    )
    log.info("token.created", token=made.token.public_id, by=actor.name, opens=made.token.only)
    return made


def tokens_of(*, user: User) -> QuerySet[ApiToken]:
    """The tokens with which programs act as ``user``, newest first; not those of browsers."""
    return ApiToken.objects.filter(user=user, only__isnull=True).order_by("-created", "public_id")


def known() -> QuerySet[ApiToken]:
    """All tokens, with what decides whether they open anything."""
    return ApiToken.objects.select_related("user", "delegation__person")


def why_useless(token: ApiToken, now: datetime) -> str:
    """Why a token opens nothing any more; empty while it does."""
    given = token.delegation
    if token.is_expired(now):
        return f"This token ended at {token.expiry:%Y-%m-%d %H:%M} UTC."
    if not token.user.is_active or (given is not None and not given.person.is_active):
        return "Whoever this token acts for has left."
    if given is not None and given.expires_at <= now:
        return "The delegation this token was made with has ended."
    return ""


def revoke_token(*, user: User, public_id: str, revoked_by: str) -> None:
    """Make a token of ``user`` useless from now on, with all that was made with it.

    Raises NotFound.
    """
    gone, _ = ApiToken.objects.filter(user=user, public_id=public_id).delete()
    if not gone:
        raise NotFound("There is no such token, or it has been revoked.")
    log.info("token.revoked", token=public_id, user=user.username, by=revoked_by)


def revoke_all(*, user: User, revoked_by: str) -> int:
    """The same for every token of ``user``, and for those in browsers that act for them."""
    theirs = ApiToken.objects.filter(Q(user=user) | Q(delegation__person=user))
    count = theirs.count()
    theirs.delete()
    log.info("token.all_revoked", user=user.username, by=revoked_by, count=count)
    return count


def used(token: ApiToken, now: datetime) -> None:
    """Take note that a token was used, to the minute."""
    stale = now - timedelta(seconds=USE_SECONDS)
    if token.last_used_at is None or token.last_used_at < stale:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now


def sweep_expired(now: datetime | None = None) -> int:
    """Delete tokens that ended more than a month ago, and those of browsers a day ago."""
    now = now or timezone.now()
    old = Q(expiry__lt=now - timedelta(days=30))
    of_browsers = Q(only__isnull=False, expiry__lt=now - timedelta(days=1))
    gone, _ = ApiToken.objects.filter(old | of_browsers).delete()
    return gone


def _made(*, user: User, expires_at: datetime | None, **fields: object) -> Made:
    digest, secret = get_digest_token()
    row = ApiToken(
        digest=digest,
        token_key=secret[: CONSTANTS.TOKEN_KEY_LENGTH],
        user=user,
        expiry=expires_at,
        **fields,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if "accounts_token_made_once" not in str(error):
            raise
        raise TokenMade(_TWICE.format(_named(user, row.idempotency_key))) from error
    return Made(row, secret)


def _named(user: User, key: str | None) -> str:
    known = ApiToken.objects.filter(user=user, idempotency_key=key)
    return str(known.values_list("public_id", flat=True).first())


def _ordered(scopes: Iterable[Scope]) -> list[str]:
    wanted = set(scopes)
    return [scope.value for scope in Scope if scope in wanted]
