"""What is read from and written to a journal."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from agentops.sdk.codec import Encoded
from agentops.sdk.errors import (
    ChildFailed,
    Denied,
    EventTimeout,
    OutcomeUnknown,
    StepFailed,
    StepTimeout,
    Unanswered,
)


class Phase(enum.IntEnum):
    """What a journal row records about its key. The same numbers as in the database."""

    INTENT = 0
    OUTCOME = 1
    STARTED = 2
    FAILED = 3
    NOTE = 4
    VOID = 5


Meta = dict[str, object]
LONGEST_MESSAGE = 20_000


@dataclass(slots=True)
class Entry:
    """A row of the journal. ``seq`` is 0 until the owner of the run has numbered it."""

    key: str
    phase: Phase
    kind: str
    name: str
    at: datetime
    n: int = 0
    seq: int = 0
    epoch: int = 0
    fingerprint: str = ""
    value: Encoded | None = None
    input: Encoded | None = None
    meta: Meta | None = None
    started_at: datetime | None = None

    @property
    def size(self) -> int:
        """Bytes of payload, for back-pressure."""
        return (len(self.value.data) if self.value else 0) + (
            len(self.input.data) if self.input else 0
        )


@dataclass(frozen=True, slots=True)
class Message:
    """Something that reached the run from outside. ``n`` is its place in the inbox."""

    n: int
    name: str
    value: Encoded


@dataclass(frozen=True, slots=True)
class Claim:
    """A run as a worker got it: its identity, its fence and what it began with."""

    id: int
    public_id: str
    epoch: int
    agent: str
    agent_version: str
    input: object
    created_at: datetime
    signal_seq: int = 0
    seq: int = 0
    steps: int = 0
    retries: int = 0
    progress: str = ""
    timeout_seconds: float | None = None
    worked_ms: int = 0
    crash_count: int = 0
    cancelled: str = ""
    paused: bool = False
    parent_id: int | None = None
    parent_key: str = ""
    queue: str = "default"
    conversation_id: int | None = None
    forked: bool = False
    owner_id: int | None = None
    team_id: int | None = None


@dataclass(slots=True)
class History:
    """What is known of a run when a worker takes it up, in the order of ``seq``."""

    entries: list[Entry] = field(default_factory=list)
    inbox: list[Message] = field(default_factory=list)


ERRORS: dict[str, type[StepFailed]] = {
    "timeout": StepTimeout,
    "event_timeout": EventTimeout,
    "child_failed": ChildFailed,
    "denied": Denied,
    "approval_expired": Denied,
    "declined": Unanswered,
    "unanswered": Unanswered,
}


def error_record(code: str, message: str, kind: str = "") -> dict[str, object]:
    """The stored form of an error. A message without end is cut."""
    return {"code": code, "message": message[:LONGEST_MESSAGE], "kind": kind}


def printable(text: object) -> str:
    """``text`` as a database column takes it: without NUL and lone surrogates."""
    clean = str(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()


def error_from(record: object, step: str) -> Exception:
    """The exception an agent sees for a recorded error; the same live and on replay."""
    fields = record if isinstance(record, dict) else {"message": str(record)}
    code, message = str(fields.get("code", "step_failed")), str(fields.get("message", ""))
    if code == OutcomeUnknown.code:
        return OutcomeUnknown(message)
    cls = ERRORS.get(code, StepFailed)
    return cls(message, step=step, code=code, kind=str(fields.get("kind", "")))
