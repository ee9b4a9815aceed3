"""Every statement by which something outside a worker changes a run.

Functions take a cursor and belong to the transaction of their caller. They lock all runs they
touch first, lowest id first, and return what has to be rung and hinted after commit. What a worker
writes about the runs it holds is in ``runs.engine.statements``.
"""

from agentops.execution.replay import SUPPLIED
from runs.engine.store.arrivals import Arrival, signal, tell_parents
from runs.engine.store.ending import (
    Ending,
    Hint,
    Moved,
    cancel,
    cancellation,
    end,
    expire,
    parents_of,
)
from runs.engine.store.forking import NoSuchEvent, fork, input_of
from runs.engine.store.leases import GRACE_SECONDS, Reclaimed, mark_dead, reclaim
from runs.engine.store.locking import Held, RunIsGone, lock
from runs.engine.store.overdue import due, expired, orphans, untold
from runs.engine.store.parking import (
    TOOL_CHANGED,
    IsStopped,
    NeedsOperator,
    NeedsSettlement,
    NothingToRetry,
    NotParked,
    RunIsBusy,
    RunIsFinal,
    pause,
    resume,
    retry_now,
)
from runs.engine.store.pinning import wake_decided, wake_for_tool
from runs.engine.store.reopening import NotFailed, NotRetriable, reopen
from runs.engine.store.retention import (
    abandoned,
    collect_blobs,
    erase_conversations,
    forget_conversations,
    forget_memories,
    forget_runs,
    forget_workers,
)
from runs.engine.store.settling import (
    InQuarantine,
    NotUncertain,
    Settlement,
    Verdict,
    settle,
)
from runs.engine.store.sql import Cursor
from runs.engine.store.starting import NewRun, start
from runs.engine.store.stopping import STOPPED, free_unstopped, hold_stopped, was_lifted_lately
from runs.engine.store.taken import TAKING, TakenOver, refuse_others
from runs.engine.store.taking import (
    NotOpen,
    NotTaken,
    hand_back,
    hand_back_overdue,
    require_open,
    take,
)

__all__ = [
    "GRACE_SECONDS",
    "STOPPED",
    "SUPPLIED",
    "TAKING",
    "TOOL_CHANGED",
    "Arrival",
    "Cursor",
    "Ending",
    "Held",
    "Hint",
    "InQuarantine",
    "IsStopped",
    "Moved",
    "NeedsOperator",
    "NeedsSettlement",
    "NewRun",
    "NoSuchEvent",
    "NotFailed",
    "NotOpen",
    "NotParked",
    "NotRetriable",
    "NotTaken",
    "NotUncertain",
    "NothingToRetry",
    "Reclaimed",
    "RunIsBusy",
    "RunIsFinal",
    "RunIsGone",
    "Settlement",
    "TakenOver",
    "Verdict",
    "abandoned",
    "cancel",
    "cancellation",
    "collect_blobs",
    "due",
    "end",
    "erase_conversations",
    "expire",
    "expired",
    "forget_conversations",
    "forget_memories",
    "forget_runs",
    "forget_workers",
    "fork",
    "free_unstopped",
    "hand_back",
    "hand_back_overdue",
    "hold_stopped",
    "input_of",
    "lock",
    "mark_dead",
    "orphans",
    "parents_of",
    "pause",
    "reclaim",
    "refuse_others",
    "reopen",
    "require_open",
    "resume",
    "retry_now",
    "settle",
    "signal",
    "start",
    "take",
    "tell_parents",
    "untold",
    "wake_decided",
    "wake_for_tool",
    "was_lifted_lately",
]
