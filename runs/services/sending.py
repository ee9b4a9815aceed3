"""What reaches a run while it lives: named events, and outcomes that come late."""

from __future__ import annotations

from django.db import connection

from runs import bell
from runs.engine import store
from runs.labels import LONGEST_KEY, InvalidRequest
from runs.models import Run
from runs.services.changes import check_key, encoded

# Names the runtime uses in inboxes itself.
_RESERVED = ("child:", "settled:", "void:", "decided:", "supplied:")


def signal_run(
    *, run: Run, name: str, payload: object, sender: str, dedup_key: str | None = None
) -> bool:
    """Send a named event to a run. False: the same ``dedup_key`` came before, first one wins.

    Raises RunIsFinal, InvalidRequest, PayloadError or PayloadTooLarge.
    """
    if not name or len(name) > LONGEST_KEY or name.startswith(_RESERVED):
        raise InvalidRequest(
            f"An event name has 1 to {LONGEST_KEY} characters and does not begin with "
            f"{' or '.join(_RESERVED)}."
        )
    check_key(dedup_key)
    arrival = _deliver(run.pk, name, payload, sender, dedup_key)
    if arrival is None:
        raise store.RunIsFinal
    return arrival.accepted


def settle_late(*, run_id: int, name: str, told: object, sender: str) -> None:
    """Hand in the outcome of an effect whose worker had lost the run; counts once.

    ``name`` is the message the run waits for, ``settled:<step key>:<attempt>``. A run that is final
    or gone meanwhile hears nothing any more.
    """
    _deliver(run_id, name, told, sender, name)


def tell(
    cursor: store.Cursor,
    *,
    run_id: int,
    name: str,
    payload: object,
    sender: str,
    dedup_key: str | None = None,
) -> bool:
    """Put a message of the runtime's own into a run's inbox, in the caller's transaction.

    ``name`` begins with a reserved prefix, such as ``decided:``. The run is woken after the commit.
    False: it is final or gone, and hears nothing any more, or the same ``dedup_key`` came before.
    """
    value = encoded(payload)
    arrival = store.signal(
        cursor, run_id=run_id, name=name, payload=value, sender=sender, dedup_key=dedup_key
    )
    if arrival is not None and arrival.ready:
        bell.ring(queue=arrival.queue)
    return arrival is not None and arrival.accepted


def _deliver(
    run_id: int, name: str, payload: object, sender: str, dedup_key: str | None
) -> store.Arrival | None:
    value = encoded(payload)
    # One statement commits by itself; a transaction around it would cost two more round trips.
    with connection.cursor() as cursor:
        arrival = store.signal(
            cursor, run_id=run_id, name=name, payload=value, sender=sender, dedup_key=dedup_key
        )
    if arrival is not None and arrival.ready:
        bell.ring(queue=arrival.queue)
    return arrival
