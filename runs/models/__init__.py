"""What a run is made of. Hot columns are written only by ``runs.engine``."""

from runs.models.breaker import Breaker
from runs.models.bulk import BulkAction, BulkItem, BulkOutcome, BulkVerb
from runs.models.conversation import Conversation, Message, Summary
from runs.models.duty import Duty
from runs.models.journal import Blob, Inbox, Journal, Phase
from runs.models.memory import Memory, MemoryKind
from runs.models.outbox import OutboxMail
from runs.models.pin import ToolPin
from runs.models.reply import Reply
from runs.models.routing import AgentLimit, LimitBucket, ModelEndpoint, ModelProtocol, RouteVersion
from runs.models.run import (
    HELD_UNTIL,
    PARKED,
    Run,
    RunPayload,
    RunStatus,
    StopReason,
    WaitingFor,
)
from runs.models.stop import Stop, StopScope, TakeOver
from runs.models.view import SavedView
from runs.models.worker import Worker, WorkerState

__all__ = [
    "HELD_UNTIL",
    "PARKED",
    "AgentLimit",
    "Blob",
    "Breaker",
    "BulkAction",
    "BulkItem",
    "BulkOutcome",
    "BulkVerb",
    "Conversation",
    "Duty",
    "Inbox",
    "Journal",
    "LimitBucket",
    "Memory",
    "MemoryKind",
    "Message",
    "ModelEndpoint",
    "ModelProtocol",
    "OutboxMail",
    "Phase",
    "Reply",
    "RouteVersion",
    "Run",
    "RunPayload",
    "RunStatus",
    "SavedView",
    "Stop",
    "StopReason",
    "StopScope",
    "Summary",
    "TakeOver",
    "ToolPin",
    "WaitingFor",
    "Worker",
    "WorkerState",
]
