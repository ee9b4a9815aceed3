"""The same request twice is done once: claim a key, keep its answer, give it again.

# Note [Repeating a request]
Whoever inserts the row of a key may do the work; whoever comes meanwhile is told to wait. Only
answers that say it was done are kept. A refusal gives the key back: nothing happened, so the same
request may work later. If the process dies in between, nobody knows what it did; after
:data:`LOCK_SECONDS` the same request may try again. Then the work itself has to bear that: what
is started, said or settled is protected by a unique key or a status of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from agentops.sdk.errors import AgentopsError
from runs.labels import LONGEST_KEY, InvalidRequest
from runs.models import Reply

__all__ = ["Claimed", "InProgress", "KeyUsedBefore", "claim", "forget", "keep", "release"]

# Longer than any request may take.
LOCK_SECONDS = 120
KEEP_HOURS = 72


class InProgress(AgentopsError):
    """A request with this Idempotency-Key is being worked on. Send it again in a moment."""

    code = "request_in_progress"


class KeyUsedBefore(AgentopsError):
    """This Idempotency-Key came before with another request. Use a new key for a new request."""

    code = "idempotency_mismatch"


@dataclass(frozen=True)
class Claimed:
    """The right to do the work of a key, until ``until``."""

    id: int
    until: datetime


# A row without an answer whose owner is dead is taken over by the same request only.
_CLAIM = """
INSERT INTO reply AS r (scope, key, digest, locked_until, headers)
VALUES (%(scope)s, %(key)s, %(digest)s,
        clock_timestamp() + make_interval(secs => %(seconds)s), '{}')
ON CONFLICT (scope, key) DO UPDATE SET locked_until = excluded.locked_until
 WHERE r.status IS NULL AND r.locked_until < clock_timestamp() AND r.digest = excluded.digest
RETURNING id, locked_until
"""


def claim(*, scope: str, key: str, digest: bytes) -> Claimed | Reply:
    """The right to do the work of ``key``, or the answer it had.

    ``scope`` is who asks. Raises InvalidRequest, InProgress or KeyUsedBefore.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidRequest(f"An Idempotency-Key has 1 to {LONGEST_KEY} printable characters.")
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(
                _CLAIM, {"scope": scope, "key": key, "digest": digest, "seconds": LOCK_SECONDS}
            )
            row = cursor.fetchone()
        if row is not None:
            return Claimed(*row)
        known = Reply.objects.filter(scope=scope, key=key).first()
        if known is not None:
            return _known(known, digest)
    raise InProgress


def _known(reply: Reply, digest: bytes) -> Reply:
    if bytes(reply.digest) != digest:
        raise KeyUsedBefore
    if reply.status is None:
        raise InProgress
    return reply


def keep(claimed: Claimed, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Keep the answer of a work that was done, unless the claim was lost meanwhile."""
    Reply.objects.filter(pk=claimed.id, locked_until=claimed.until, status=None).update(
        status=status, headers=dict(headers), body=body
    )


def release(claimed: Claimed) -> None:
    """Nothing was done: the key may be used again."""
    Reply.objects.filter(pk=claimed.id, locked_until=claimed.until, status=None).delete()


_FORGET = """
DELETE FROM reply WHERE id IN (
    SELECT id FROM reply WHERE created_at < clock_timestamp() - make_interval(hours => %(hours)s)
     ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


def forget() -> int:
    """Delete a batch of answers that are older than :data:`KEEP_HOURS`. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"hours": KEEP_HOURS})
        return int(cursor.rowcount)
