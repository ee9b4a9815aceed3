"""Runs begin: one, many at once, or none because the key had started one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, connection, transaction

from agentops.accounts.models import Team, User
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs import bell
from runs.engine import store
from runs.labels import NO_LABELS, InvalidRequest, Labels
from runs.models import Run, RunPayload
from runs.services.changes import LONGEST_TITLE, check_key, digest, encoded

log = structlog.get_logger(__name__)

MOST_IN_A_BATCH = 500


class IdempotencyMismatch(AgentopsError):
    """This idempotency key came before with another input. Use a new key for a new run."""

    code = "idempotency_mismatch"


class ExternalIdTaken(AgentopsError):
    """Another run has this external_id. Read it with GET /runs?external_id=…, or use another."""

    code = "external_id_taken"


@dataclass(frozen=True)
class Started:
    """A run, and whether this call made it."""

    run: Run
    created: bool


def start_run(
    *,
    agent: str,
    input: object,
    owner: User | None,
    started_by: str,
    team: Team | None = None,
    idempotency_key: str | None = None,
    title: str = "",
    queue: str | None = None,
    priority: int = 0,
    timeout_seconds: float | None = None,
    expires_at: datetime | None = None,
    ready_at: datetime | None = None,
    labels: Labels = NO_LABELS,
    traceparent: str | None = None,
) -> Started:
    """Start a run of ``agent``, or find the one this idempotency key started before.

    One statement, durable when this returns (outside a transaction). Raises UnknownAgent,
    InvalidInput, PayloadError, PayloadTooLarge, InvalidRequest, ExternalIdTaken or
    IdempotencyMismatch; then nothing is stored.
    """
    check_key(idempotency_key)
    definition = catalog().agent(agent)
    arguments = definition.validate_input(input)
    new = store.NewRun(
        agent=definition.name,
        agent_version=definition.version,
        input=encoded(input),
        input_digest=digest(input),
        owner_id=owner.pk if owner else None,
        team_id=team.pk if team else None,
        started_by=started_by,
        idempotency_key=idempotency_key,
        title=(title or _title(definition, arguments))[:LONGEST_TITLE],
        queue=queue or definition.queue,
        priority=priority,
        timeout_seconds=timeout_seconds or definition.timeout,
        expires_at=expires_at,
        ready_at=ready_at,
        external_id=labels.external_id,
        tags=sorted(set(labels.tags)),
        metadata=dict(labels.metadata),
        traceparent=traceparent,
    )
    started = begin(new)
    started.run.owner, started.run.team = owner, team
    return started


def start_runs(
    *,
    runs: Sequence[Mapping[str, Any]],
    owner: User | None,
    started_by: str,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> list[Started]:
    """Start many runs, all or none; each of ``runs`` says what :func:`start_run` takes of one.

    Sent again with the same key it finds them. Raises what :func:`start_run` raises.
    """
    check_key(idempotency_key)
    if not 1 <= len(runs) <= MOST_IN_A_BATCH:
        raise InvalidRequest(f"A batch has 1 to {MOST_IN_A_BATCH} runs, not {len(runs)}.")
    mark = idempotency_key and hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]
    # One order of keys in every batch, so that two of the same never wait for each other.
    with transaction.atomic(durable=True):
        return [
            start_run(
                owner=owner,
                started_by=started_by,
                traceparent=traceparent,
                idempotency_key=mark and f"batch:{mark}/{number}",
                **one,
            )
            for number, one in enumerate(runs, 1)
        ]


def begin(new: store.NewRun) -> Started:
    """Start a run, or find the one its key started before; in the caller's transaction, if any."""
    with _one_external_id(), connection.cursor() as cursor:
        run = store.start(cursor, new)
    if run is None:
        return Started(started_before(new), created=False)
    bell.ring(queue=run.queue)
    bell.hint([(run.pk, 1)])
    return Started(run, created=True)


def started_before(new: store.NewRun) -> Run:
    """The run that the key of ``new`` started. Raises IdempotencyMismatch for another wish."""
    payload = RunPayload.objects.select_related("run").get(
        run__owner_id=new.owner_id,
        run__agent=new.agent,
        run__idempotency_key=new.idempotency_key,
    )
    run = payload.run
    origin = (run.forked_from_id, run.forked_at_seq)
    asked = (new.forked_from_id, new.forked_at_seq)
    if bytes(payload.input_digest) != new.input_digest or origin != asked:
        raise IdempotencyMismatch
    return run


@contextmanager
def _one_external_id() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if "run_external_id" in str(error):
            raise ExternalIdTaken from error
        raise


def _title(definition: AgentDefinition, arguments: dict[str, object]) -> str:
    try:
        title = str(definition.title_for(arguments))
        return title.replace("\0", "").encode(errors="replace").decode()
    except Exception:  # an author's function may raise anything; a title is not worth a run
        log.exception("run.untitled", agent=definition.name)
        return ""
