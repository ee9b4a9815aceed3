"""What people and programs do to runs. Each function is one durable step of the outside world."""

from runs.engine.store import Verdict
from runs.labels import LONGEST_KEY, InvalidRequest, Labels
from runs.services.changes import LONGEST_TITLE, announce, change, check_key
from runs.services.forking import again, fork_run, replay_run
from runs.services.sending import settle_late, signal_run, tell
from runs.services.starting import (
    MOST_IN_A_BATCH,
    ExternalIdTaken,
    IdempotencyMismatch,
    Started,
    begin,
    start_run,
    start_runs,
)
from runs.services.steering import (
    TurnTaken,
    cancel,
    cancel_run,
    ended,
    pause_run,
    reopen,
    resume_run,
    retry_failure,
    retry_now,
    settle_step,
)

__all__ = [
    "LONGEST_KEY",
    "LONGEST_TITLE",
    "MOST_IN_A_BATCH",
    "ExternalIdTaken",
    "IdempotencyMismatch",
    "InvalidRequest",
    "Labels",
    "Started",
    "TurnTaken",
    "Verdict",
    "again",
    "announce",
    "begin",
    "cancel",
    "cancel_run",
    "change",
    "check_key",
    "ended",
    "fork_run",
    "pause_run",
    "reopen",
    "replay_run",
    "resume_run",
    "retry_failure",
    "retry_now",
    "settle_late",
    "settle_step",
    "signal_run",
    "start_run",
    "start_runs",
    "tell",
]
