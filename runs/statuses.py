"""How a status looks: its word, icon, colour family and bar. The only table of looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runs import figures
from runs.models import Run, RunStatus, WaitingFor

UNCERTAIN = "uncertain:"
STOPPED = "stop:"


@dataclass(frozen=True, slots=True)
class Look:
    """What people see of a status.

    ``until`` is a moment the word counts down to; the page keeps it fresh.
    """

    word: str
    icon: str
    family: str
    bar: str
    until: datetime | None = None
    reduced: bool = False


LOOKS: dict[str, Look] = {
    "queued": Look("queued", "circle-dashed", "grey", "dashed"),
    "sleeping": Look("sleeping", "hourglass", "grey", "dashed"),
    "waiting_event": Look("waiting for event", "radio", "grey", "dashed"),
    "waiting_child": Look("waiting for subrun", "git-fork", "grey", "dashed"),
    "running": Look("running", "circle-play", "blue", "leading"),
    "waiting_approval": Look("waiting for approval", "hand", "purple", "hatch"),
    "waiting_answer": Look("waiting for answer", "message-circle-question", "purple", "hatch"),
    "waiting_credential": Look("waiting for credential", "plug", "purple", "hatch"),
    "retrying": Look("retrying", "rotate-cw", "amber", "blocks"),
    "paused_budget": Look("paused for budget", "wallet", "terracotta", "stripes"),
    "paused": Look("paused", "octagon-pause", "terracotta", "stripes"),
    "stopped": Look("held by a stop", "octagon-pause", "terracotta", "stripes"),
    "uncertain": Look("uncertain outcome", "circle-help", "olive", "dots"),
    "stopping": Look("stopping", "square-x", "stone", "reverse"),
    "failed": Look("failed", "circle-x", "crimson", "crossed"),
    "succeeded": Look("succeeded", "circle-check", "green", "solid"),
    "reduced": Look("succeeded, reduced", "circle-check", "green", "solid", reduced=True),
    "cancelled": Look("cancelled", "circle-slash", "stone", "empty"),
    "expired": Look("expired", "clock", "stone", "empty"),
    # Steps only.
    "completed": Look("completed", "circle-check", "green", "solid"),
    "interrupted": Look("interrupted", "rotate-cw", "amber", "blocks"),
    "abandoned": Look("abandoned", "circle-slash", "stone", "empty"),
    "waiting": Look("waiting", "hourglass", "grey", "dashed"),
}

_WAITING = {
    WaitingFor.APPROVAL: "waiting_approval",
    WaitingFor.ANSWER: "waiting_answer",
    WaitingFor.CREDENTIAL: "waiting_credential",
    WaitingFor.BUDGET: "paused_budget",
    WaitingFor.TIMER: "sleeping",
    WaitingFor.RETRY: "retrying",
    WaitingFor.EVENT: "waiting_event",
    WaitingFor.CHILD: "waiting_child",
}


def name_of(run: Run) -> str:
    """The name in :data:`LOOKS` of where a run stands."""
    if run.cancel_requested_at and not run.is_final:
        return "stopping"
    if run.status == RunStatus.SUCCEEDED and run.degraded:
        return "reduced"
    if run.status != RunStatus.WAITING:
        return run.status
    if run.waiting_for == WaitingFor.OPERATOR:
        return _parked(run.waiting_detail)
    return _WAITING[WaitingFor(run.waiting_for)]


def _parked(detail: str) -> str:
    if detail.startswith(UNCERTAIN):
        return "uncertain"
    return "stopped" if detail.startswith(STOPPED) else "paused"


def look(run: Run, now: datetime) -> Look:
    """How to show where ``run`` stands at ``now``."""
    name = name_of(run)
    base = LOOKS[name]
    return Look(
        word=base.word + _addition(run, name, now),
        icon=base.icon,
        family=base.family,
        bar=base.bar,
        until=run.ready_at if name == "retrying" else None,
        reduced=base.reduced,
    )


_STEP_WAITS = {
    "timer": "sleeping",
    "event": "waiting_event",
    "child": "waiting_child",
    "ask": "waiting_answer",
    "tool": "waiting_approval",
}


def step_look(status: str, type: str) -> Look:
    """How to show where a step stands."""
    return LOOKS[_STEP_WAITS.get(type, status) if status == "waiting" else status]


def _addition(run: Run, name: str, now: datetime) -> str:
    if name == "sleeping" and run.ready_at:
        return f" until {figures.clock(run.ready_at, now, seconds=False)}"
    if name == "retrying" and run.ready_at:
        return f" at {figures.clock(run.ready_at, now)}"
    if name == "paused" and run.waiting_detail.startswith("paused:"):
        return " by " + run.waiting_detail.partition(":")[2]
    if name == "paused" and run.waiting_detail:
        return ": " + run.waiting_detail.replace("_", " ")
    if name == "failed":
        return " · " + run.stop_reason.replace("_", " ")
    return ""
