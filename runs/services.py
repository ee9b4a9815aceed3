"""What people and programs do to runs. Each function is one durable step of the outside world."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from agentops.accounts.models import Team, User
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.codec import Encoded, canonical, encode
from agentops.sdk.errors import AgentopsError
from runs import bell, queries, turns
from runs.engine import store
from runs.engine.store import Verdict
from runs.labels import LONGEST_KEY, NO_LABELS, InvalidRequest, Labels
from runs.models import Run, RunPayload, StopReason

__all__ = [
    "LONGEST_KEY",
    "ExternalIdTaken",
    "IdempotencyMismatch",
    "InvalidRequest",
    "Labels",
    "Started",
    "Verdict",
    "cancel_run",
    "fork_run",
    "pause_run",
    "replay_run",
    "resume_run",
    "retry_failure",
    "retry_now",
    "settle_late",
    "settle_step",
    "signal_run",
    "start_run",
    "start_runs",
]

log = structlog.get_logger(__name__)

LONGEST_TITLE = 200
MOST_IN_A_BATCH = 500
# Names the runtime uses in inboxes itself.
_RESERVED = ("child:", "settled:", "void:")


class IdempotencyMismatch(AgentopsError):
    """This idempotency key came before with another input. Use a new key for a new run."""

    code = "idempotency_mismatch"


class TurnTaken(AgentopsError):
    """The conversation went on: another run of it is live. Try again when it has ended."""

    code = "conversation_busy"


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
        input=_encoded(input),
        input_digest=_digest(input),
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
        return Started(_started_before(new), created=False)
    bell.ring(queue=run.queue)
    bell.hint([(run.pk, 1)])
    return Started(run, created=True)


def _started_before(new: store.NewRun) -> Run:
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


def cancel_run(*, run: Run, actor: str, by_operator: bool, note: str = "") -> Run:
    """Stop a run and everything it started. Stopping a stopped run changes nothing.

    What no worker holds ends at once; a running one ends as soon as its worker hears of it.
    """
    reason = StopReason.CANCELLED_BY_OPERATOR if by_operator else StopReason.CANCELLED_BY_USER
    ending = store.cancellation(reason, by=actor, note=note[:LONGEST_TITLE])
    with _change() as cursor:
        announce(store.cancel(cursor, [run.pk], ending))
    return _ended(run)


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


def _deliver(
    run_id: int, name: str, payload: object, sender: str, dedup_key: str | None
) -> store.Arrival | None:
    encoded = _encoded(payload)
    # One statement commits by itself; a transaction around it would cost two more round trips.
    with connection.cursor() as cursor:
        arrival = store.signal(
            cursor, run_id=run_id, name=name, payload=encoded, sender=sender, dedup_key=dedup_key
        )
    if arrival is not None and arrival.ready:
        bell.ring(queue=arrival.queue)
    return arrival


def settle_step(
    *,
    run: Run,
    key: str,
    verdict: Verdict,
    actor: str,
    result: object = None,
    reference: str = "",
    attempt: int | None = None,
) -> Run:
    """Say what became of an uncertain step; ``result`` is its result if it happened.

    ``attempt`` is the one that was looked at: an answer that comes after somebody else's is then
    not taken for one about a later attempt. Raises RunIsFinal, RunIsBusy, NotUncertain,
    InQuarantine, PayloadError or PayloadTooLarge.
    """
    said = store.Settlement(key, Verdict(verdict), actor, _encoded(result), reference, attempt)
    with _change() as cursor:
        announce(store.settle(cursor, run.pk, said, grace_seconds=store.GRACE_SECONDS))
    return _ended(run)


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
    with _change() as cursor:
        encoded, digest = _input_for_fork(cursor, run, input)
        new = store.NewRun(
            agent=run.agent,
            agent_version=definition.version,
            input=encoded,
            input_digest=digest,
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
            return Started(_started_before(new), created=False)
        copy, hint = forked
        bell.ring(queue=copy.queue)
        bell.hint([hint])
    return Started(_reread(copy), created=True)


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
    return Started(_reread(started.run), started.created)


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
        encoded, digest = _input_for_fork(cursor, run, input)
    definition.validate_input(input if input is not None else queries.payload(run=run).input)
    return store.NewRun(
        agent=run.agent,
        agent_version=definition.version,
        input=encoded,
        input_digest=digest,
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


def pause_run(*, run: Run, actor: str) -> Run:
    """Let a run wait until somebody resumes it: at once, or at the next boundary of a step.

    One that is paused or has ended stays as it is.
    """
    with _change() as cursor:
        announce(store.pause(cursor, run.pk, by=actor))
    return _reread(run)


def resume_run(*, run: Run, actor: str, paused_only: bool = False) -> Run:
    """Let a paused or parked run go on, or take back a pause that is not in force yet.

    ``paused_only``: the actor may not judge why a run was parked. Raises RunIsFinal, NotParked,
    NeedsOperator or NeedsSettlement.
    """
    with _change() as cursor:
        announce(store.resume(cursor, run.pk, by=actor, paused_only=paused_only))
    return _reread(run)


def retry_now(*, run: Run, actor: str) -> Run:
    """Try at once what waits for its next attempt. Raises RunIsFinal, RunIsBusy, NothingToRetry."""
    with _change() as cursor:
        announce(store.retry_now(cursor, run.pk, by=actor))
    return _reread(run)


def retry_failure(*, run: Run, actor: str) -> Run:
    """Let a failed run go on, as the same run, from the step it failed at.

    What is recorded is not done again; its working time begins anew. Raises NotFailed,
    NotRetriable or TurnTaken.
    """
    with _change() as cursor:
        announce(reopen(cursor, run=run, actor=actor))
    return _reread(run)


def reopen(cursor: store.Cursor, *, run: Run, actor: str) -> store.Moved:
    """The same in the caller's transaction; what it returns is to be announced."""
    # Locks are taken in one order: see Note [One turn at a time].
    talk = turns.lock(run.conversation_id) if run.conversation_id else None
    if talk is not None and turns.is_live(talk) and run.is_final:
        raise TurnTaken
    return store.reopen(cursor, run.pk, by=actor)


@contextmanager
def _change() -> Iterator[store.Cursor]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        yield cursor


def announce(moved: store.Moved) -> None:
    """After commit, tell workers and watchers what moved."""
    for queue in sorted(moved.queues):
        bell.ring(queue=queue)
    bell.hint(moved.hints)


def _ended(run: Run) -> Run:
    """The run as it is now; if that is final, the next message of its conversation has its turn."""
    run = _reread(run)
    if run.is_final and run.conversation_id is not None:
        turns.advance(conversation_id=run.conversation_id)
    return run


def _reread(run: Run) -> Run:
    return Run.objects.select_related("owner", "team").get(pk=run.pk)


def _encoded(value: object) -> Encoded:
    return encode(value, limit=settings.AGENTOPS_MAX_PAYLOAD_BYTES)


def _digest(value: object) -> bytes:
    return hashlib.sha256(canonical(value)).digest()


def _input_for_fork(cursor: store.Cursor, run: Run, input: object | None) -> tuple[Encoded, bytes]:
    return store.input_of(cursor, run.pk) if input is None else (_encoded(input), _digest(input))


def check_key(key: str | None) -> None:
    """Raises InvalidRequest for an idempotency key that is empty or too long."""
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(f"A key has 1 to {LONGEST_KEY} characters, not {len(key)}.")


def _title(definition: AgentDefinition, arguments: dict[str, object]) -> str:
    try:
        title = str(definition.title_for(arguments))
        return title.replace("\0", "").encode(errors="replace").decode()
    except Exception:  # an author's function may raise anything; a title is not worth a run
        log.exception("run.untitled", agent=definition.name)
        return ""
