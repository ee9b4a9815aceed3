"""What all changes of runs share: a transaction, keys, values, and what is told afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction

from agentops.sdk.codec import Encoded, canonical, encode
from runs import bell
from runs.engine import store
from runs.labels import LONGEST_KEY, InvalidRequest
from runs.models import Run

LONGEST_TITLE = 200


@contextmanager
def change() -> Iterator[store.Cursor]:
    """One durable transaction, and a cursor in it."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        yield cursor


def announce(moved: store.Moved) -> None:
    """After commit, tell workers and watchers what moved."""
    for queue in sorted(moved.queues):
        bell.ring(queue=queue)
    bell.hint(moved.hints)


def reread(run: Run) -> Run:
    """The run as it is now. Raises RunIsGone."""
    found = Run.objects.select_related("owner", "team").filter(pk=run.pk).first()
    if found is None:
        raise store.RunIsGone
    return found


def encoded(value: object) -> Encoded:
    """A value as it is stored. Raises PayloadError or PayloadTooLarge."""
    return encode(value, limit=settings.AGENTOPS_MAX_PAYLOAD_BYTES)


def digest(value: object) -> bytes:
    """Equal for equal values, however they are written."""
    return hashlib.sha256(canonical(value)).digest()


def check_key(key: str | None) -> None:
    """Raises InvalidRequest for an idempotency key that is empty or too long."""
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(f"A key has 1 to {LONGEST_KEY} characters, not {len(key)}.")
