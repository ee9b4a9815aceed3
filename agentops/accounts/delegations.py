"""A person's word that a service may act for them: signed, for a while, and taken back at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.core import signing
from django.db.models import QuerySet

from agentops.accounts.access import NotFound
from agentops.accounts.models import Delegation, User
from agentops.sdk.errors import AgentopsError

LONGEST_DAYS = 366
_SALT = "agentops.delegation"
log = structlog.get_logger(__name__)


class NoSuchService(AgentopsError):
    """There is no service account of this name."""

    code = "no_such_service"


class InvalidDelegation(AgentopsError):
    """The delegation has ended, was taken back, is for another service, or is none of ours."""

    code = "invalid_token"


@dataclass(frozen=True)
class Given:
    """A new delegation, and the signed text that the service shows."""

    delegation: Delegation
    text: str


def give(
    *,
    person: User,
    service: str,
    days: float,
    now: datetime,
    idempotency_key: str | None = None,
) -> Given:
    """Let ``service`` act for ``person`` so many days. Raises NoSuchService.

    With the key of one that was given before, that one is the answer, as it is.
    """
    account = User.objects.filter(username=service, is_service=True, is_active=True).first()
    if account is None:
        raise NoSuchService(f"There is no service account called {service[:80]}.")
    wanted = {"service": account, "expires_at": now + timedelta(days=days)}
    if idempotency_key is None:
        row = Delegation.objects.create(person=person, **wanted)
    else:
        row, _ = Delegation.objects.get_or_create(
            person=person, idempotency_key=idempotency_key, defaults=wanted
        )
    log.info("delegation.given", delegation=row.public_id, person=person.username, service=service)
    return Given(row, text_of(row))


def text_of(delegation: Delegation) -> str:
    """What the service shows in ``X-On-Behalf-Of``. Useless without a token of that service."""
    return signing.dumps([delegation.public_id, delegation.service_id], salt=_SALT)


def read(text: str, *, service: User, now: datetime) -> Delegation:
    """The delegation a service shows. Raises InvalidDelegation."""
    try:
        public_id, service_id = signing.loads(text, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise InvalidDelegation from error
    found = (
        Delegation.objects.select_related("person")
        .filter(public_id=public_id, service=service, expires_at__gt=now)
        .first()
    )
    if found is None or service_id != service.pk or not found.person.is_active:
        raise InvalidDelegation
    return found


def given_by(*, person: User) -> QuerySet[Delegation]:
    """What a person has delegated, newest first."""
    mine = Delegation.objects.filter(person=person).select_related("service")
    return mine.order_by("-created_at", "public_id")


def take_back(*, person: User, public_id: str) -> None:
    """End a delegation now, with the tokens of browsers made with it. Raises NotFound."""
    gone, _ = Delegation.objects.filter(person=person, public_id=public_id).delete()
    if not gone:
        raise NotFound("There is no such delegation, or it has been taken back.")
    log.info("delegation.taken_back", delegation=public_id, person=person.username)
