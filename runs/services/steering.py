"""How people move runs: stop, pause, go on, try again, say what became of a step."""

from __future__ import annotations

from agentops.sdk.errors import AgentopsError
from runs import turns
from runs.engine import store
from runs.engine.store import Verdict
from runs.models import Run, StopReason
from runs.services.changes import LONGEST_TITLE, announce, change, encoded, reread


class TurnTaken(AgentopsError):
    """The conversation went on: another run of it is live. Try again when it has ended."""

    code = "conversation_busy"


def cancel_run(*, run: Run, actor: str, by_operator: bool, note: str = "") -> Run:
    """Stop a run and everything it started. Stopping a stopped run changes nothing.

    What no worker holds ends at once; a running one ends as soon as its worker hears of it.
    """
    with change() as cursor:
        announce(cancel(cursor, run_id=run.pk, actor=actor, by_operator=by_operator, note=note))
    return ended(run)


def cancel(
    cursor: store.Cursor, *, run_id: int, actor: str, by_operator: bool, note: str = ""
) -> store.Moved:
    """The same in the caller's transaction; what it returns is to be announced.

    After the commit, :func:`ended` gives the conversation of the run its next turn.
    """
    reason = StopReason.CANCELLED_BY_OPERATOR if by_operator else StopReason.CANCELLED_BY_USER
    ending = store.cancellation(reason, by=actor, note=note[:LONGEST_TITLE])
    return store.cancel(cursor, [run_id], ending)


def pause_run(*, run: Run, actor: str) -> Run:
    """Let a run wait until somebody resumes it: at once, or at the next boundary of a step.

    One that is paused or has ended stays as it is.
    """
    with change() as cursor:
        announce(store.pause(cursor, run.pk, by=actor))
    return reread(run)


def resume_run(*, run: Run, actor: str, paused_only: bool = False) -> Run:
    """Let a paused or parked run go on, or take back a pause that is not in force yet.

    ``paused_only``: the actor may not judge why a run was parked. Raises RunIsFinal, NotParked,
    NeedsOperator or NeedsSettlement.
    """
    with change() as cursor:
        announce(store.resume(cursor, run.pk, by=actor, paused_only=paused_only))
    return reread(run)


def retry_now(*, run: Run, actor: str) -> Run:
    """Try at once what waits for its next attempt. Raises RunIsFinal, RunIsBusy, NothingToRetry."""
    with change() as cursor:
        announce(store.retry_now(cursor, run.pk, by=actor))
    return reread(run)


def retry_failure(*, run: Run, actor: str) -> Run:
    """Let a failed run go on, as the same run, from the step it failed at.

    What is recorded is not done again; its working time begins anew. Raises NotFailed,
    NotRetriable or TurnTaken.
    """
    with change() as cursor:
        announce(reopen(cursor, run=run, actor=actor))
    return reread(run)


def reopen(cursor: store.Cursor, *, run: Run, actor: str) -> store.Moved:
    """The same in the caller's transaction; what it returns is to be announced."""
    # Locks are taken in one order: see Note [One turn at a time].
    talk = turns.lock(run.conversation_id) if run.conversation_id else None
    if talk is not None and turns.is_live(talk, besides=run.pk):
        raise TurnTaken
    return store.reopen(cursor, run.pk, by=actor)


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
    said = store.Settlement(key, Verdict(verdict), actor, encoded(result), reference, attempt)
    with change() as cursor:
        announce(store.settle(cursor, run.pk, said, grace_seconds=store.GRACE_SECONDS))
    return ended(run)


def ended(run: Run) -> Run:
    """The run as it is now; if that is final, the next message of its conversation has its turn."""
    run = reread(run)
    if run.is_final and run.conversation_id is not None:
        turns.advance(conversation_id=run.conversation_id)
    return run
