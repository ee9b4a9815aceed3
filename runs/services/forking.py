"""Runs begin anew: with another one's past, or from its start."""

from __future__ import annotations

from django.db import connection

from agentops.accounts.models import User
from agentops.sdk.catalog import catalog
from agentops.sdk.codec import Encoded
from runs import bell, queries
from runs.engine import store
from runs.models import Run
from runs.services.changes import change, check_key, digest, encoded, reread
from runs.services.starting import Started, begin, started_before


def fork_run(
    *,
    run: Run,
    at_seq: int,
    actor: str,
    owner: User | None,
    input: object | None = None,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> Started:
    """Start a new run that begins with what ``run`` had recorded up to event ``at_seq``.

    With ``input`` it works on another input from there on. Raises NoSuchEvent, UnknownAgent,
    InvalidInput, PayloadError, PayloadTooLarge, InvalidRequest or IdempotencyMismatch.
    """
    check_key(idempotency_key)
    definition = catalog().agent(run.agent)
    if input is not None:
        definition.validate_input(input)
    with change() as cursor:
        value, mark = _input_for_fork(cursor, run, input)
        new = store.NewRun(
            agent=run.agent,
            agent_version=definition.version,
            input=value,
            input_digest=mark,
            owner_id=owner.pk if owner else None,
            team_id=run.team_id,
            started_by=actor,
            idempotency_key=idempotency_key,
            title=run.title,
            queue=run.queue,
            priority=run.priority,
            timeout_seconds=run.timeout_seconds,
            tags=run.tags,
            metadata=run.metadata,
            traceparent=traceparent,
            forked_from_id=run.pk,
            forked_at_seq=at_seq,
        )
        forked = store.fork(cursor, run, new, at_seq=at_seq, by=actor)
        if forked is None:
            return Started(started_before(new), created=False)
        copy, hint = forked
        bell.ring(queue=copy.queue)
        bell.hint([hint])
    return Started(reread(copy), created=True)


def replay_run(
    *,
    run: Run,
    actor: str,
    owner: User | None,
    input: object | None = None,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> Started:
    """Run it again from the start: a new run with the same input, or with another one.

    It remembers where it comes from: ``forked_from`` names ``run`` and ``forked_at_seq`` is 0.
    Raises UnknownAgent, InvalidInput, PayloadError, PayloadTooLarge, InvalidRequest or
    IdempotencyMismatch.
    """
    started = begin(
        again(
            run=run,
            actor=actor,
            owner=owner,
            input=input,
            idempotency_key=idempotency_key,
            traceparent=traceparent,
        )
    )
    return Started(reread(started.run), started.created)


def again(
    *,
    run: Run,
    actor: str,
    owner: User | None,
    input: object | None = None,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> store.NewRun:
    """A run like ``run``, to be started. Raises what :func:`replay_run` raises."""
    check_key(idempotency_key)
    definition = catalog().agent(run.agent)
    with connection.cursor() as cursor:
        value, mark = _input_for_fork(cursor, run, input)
    definition.validate_input(input if input is not None else queries.payload(run=run).input)
    return store.NewRun(
        agent=run.agent,
        agent_version=definition.version,
        input=value,
        input_digest=mark,
        owner_id=owner.pk if owner else None,
        team_id=run.team_id,
        started_by=actor,
        idempotency_key=idempotency_key,
        title=run.title,
        queue=run.queue,
        priority=run.priority,
        timeout_seconds=run.timeout_seconds,
        tags=run.tags,
        metadata=run.metadata,
        traceparent=traceparent,
        forked_from_id=run.pk,
        forked_at_seq=0,
        meta={"again": run.public_id},
    )


def _input_for_fork(cursor: store.Cursor, run: Run, input: object | None) -> tuple[Encoded, bytes]:
    return store.input_of(cursor, run.pk) if input is None else (encoded(input), digest(input))
