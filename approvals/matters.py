"""What is looked at before a word counts: is it there, is it open, is it what they were shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from agentops.accounts.access import Actor
from approvals import eligibility, freezing, moves, queries, quorum
from approvals.models import Kind, OnExpiry, Request, Revision, State, Vote
from approvals.refusals import (
    AlreadyDecided,
    AlreadyVoted,
    MayNotDecide,
    RequestChanged,
    Tampered,
    TooLate,
)
from runs.labels import InvalidRequest

LONGEST_TEXT = 2000
# After its deadline only the sweep says what becomes of it.
_CLOSES = (OnExpiry.DENY, OnExpiry.APPROVE)


@dataclass(frozen=True)
class Shown:
    """What somebody looked at when they decided: the revision and the hex of its SHA-256."""

    revision: int
    digest: str


@dataclass(frozen=True)
class Matter:
    """A locked request, what is asked about, and the words given so far."""

    request: Request
    revision: Revision
    votes: list[Vote]

    @property
    def missing(self) -> list[int]:
        """How many people each factor still wants."""
        factors = self.request.factors
        if self.request.state != State.PENDING:
            return [0 for _ in quorum.factors_of(factors)]
        seats = {vote.voter_id: vote.factor for vote in self.votes if vote.factor is not None}
        return quorum.missing(seats, factors)


def check_text(text: str, field: str = "comment") -> None:
    """Raises InvalidRequest for more than anybody reads, or what no database takes."""
    if len(text) > LONGEST_TEXT or "\0" in text:
        raise InvalidRequest(f"{field}: at most {LONGEST_TEXT} characters, and no NUL.")


def locked(request: Request, actor: Actor, kind: Kind) -> Request:
    """The request as it stands, locked, if ``actor`` sees it. Raises NotFound, InvalidRequest."""
    try:
        held = moves.locked(request.pk, among=queries.visible(actor))
    except Request.DoesNotExist:
        raise queries.absent(request.public_id) from None
    if held.kind != kind:
        raise InvalidRequest(f"This is no {kind}; it is of the kind {held.kind}.")
    return held


def opened(request: Request, actor: Actor, shown: Shown) -> Matter:
    """What is asked about, if it still is and is what they were shown.

    Raises NotFound, InvalidRequest, AlreadyDecided, Tampered, RequestChanged, Frozen or TooLate.
    """
    held = locked(request, actor, Kind.APPROVAL)
    if held.state != State.PENDING:
        raise AlreadyDecided(how_it_ended(held))
    newest = queries.newest(held)
    if newest is None or hashlib.sha256(newest.envelope).digest() != bytes(newest.digest):
        raise Tampered
    if (newest.number, bytes(newest.digest).hex()) != (shown.revision, shown.digest.lower()):
        raise RequestChanged
    freezing.refuse_frozen(held)
    if held.on_expiry in _CLOSES and is_over(held.decide_by):
        raise TooLate("Nobody decided in time; the time to decide is over.")
    return Matter(held, newest, list(newest.votes.select_related("deputy")))


def standing(actor: Actor, about: Matter) -> eligibility.Standing:
    """How they stand to it. Raises MayNotDecide or AlreadyVoted."""
    pk = actor.user.pk
    found = eligibility.standings([pk], eligibility.case(about.request, about.revision))[pk]
    if not found.factors:
        raise MayNotDecide(found.why_not)
    if not eligibility.taken(about.votes).isdisjoint({pk, *found.seats}):
        raise AlreadyVoted
    return found


def how_it_ended(held: Request) -> str:
    """Who decided it and when, for whoever comes second."""
    who = held.decided_by.get_username() if held.decided_by else "nobody"
    when = held.decided_at.isoformat(timespec="seconds") if held.decided_at else "now"
    return f"It is {held.state} since {when}, by {who}. Nothing was done now."


def is_over(moment: datetime | None) -> bool:
    """Whether the database's clock has passed it."""
    if moment is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() >= %(moment)s", {"moment": moment})
        (over,) = cursor.fetchone() or (True,)
    return bool(over)
