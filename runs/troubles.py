"""Errors in three sentences: what happened, what we do about it, what you can do.

One catalogue serves page, API and mail. Codes are there to copy, never alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from runs.models import StopReason


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error as people read it."""

    happened: str
    doing: str
    can: str
    code: str
    message: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class _Class:
    happened: str
    doing: str
    can: str


_OVER = "The run has ended; what it recorded is kept."
_BY_REASON = {
    StopReason.MAX_STEPS: _Class(
        "It used all the steps this agent may take.", _OVER,
        "Raise max_steps of the agent, or fork the run from a later step.",
    ),
    StopReason.TIMEOUT: _Class(
        "Its time ran out.", _OVER,
        "Look at the slowest step below; raise the timeout if the work really needs longer.",
    ),
    StopReason.TOOL_ERROR: _Class(
        "A tool failed in a way that another try would not help.", _OVER,
        "Read the step that failed, correct its arguments or the tool, and start a new run.",
    ),
    StopReason.MODEL_ERROR: _Class(
        "The model failed in a way that another try would not help.", _OVER,
        "Read the step that failed, then start a new run.",
    ),
    StopReason.RETRIES_EXHAUSTED: _Class(
        "A step failed on every attempt it had.", _OVER,
        "Check whether what it calls is up again, then start a new run.",
    ),
    StopReason.UNCERTAIN: _Class(
        "It was stopped because nobody could tell whether an effect happened.", _OVER,
        "Look in the target system before you start it again.",
    ),
    StopReason.CODE_CHANGED: _Class(
        "The agent's code no longer fits what this run recorded.", _OVER,
        "Start a new run on the new code.",
    ),
    StopReason.CRASH_LOOP: _Class(
        "It took its worker down again and again.", _OVER,
        "Look at the last step: memory and native code are the usual causes.",
    ),
    StopReason.BUDGET: _Class(
        "A budget stopped it.", _OVER, "Raise the budget, then start a new run.",
    ),
    StopReason.LOOP: _Class(
        "It repeated itself without getting further.", _OVER,
        "Look at the repeated step and change what the agent is told.",
    ),
    StopReason.NO_PROGRESS: _Class(
        "It did nothing new for too long.", _OVER, "Look at the last step.",
    ),
    StopReason.DENIED: _Class(
        "A person denied an action.", _OVER, "Read the reason that was given.",
    ),
    StopReason.APPROVAL_EXPIRED: _Class(
        "Nobody decided in time.", _OVER, "Start it again when somebody can decide.",
    ),
    StopReason.KILLED: _Class(
        "The kill switch stopped it.", _OVER, "Ask who stopped it before you start it again.",
    ),
}  # fmt: skip
_BY_CODE = {
    "timeout": _Class(
        "A step did not answer in time.", _OVER,
        "Check whether what it calls is slow or down, or raise the timeout of the tool.",
    ),
    "event_timeout": _Class(
        "An event it waited for did not come in time.", _OVER,
        "Check who should have sent it, then start a new run.",
    ),
    "child_failed": _Class(
        "A run it had started failed.", _OVER, "Open that run under Related.",
    ),
    "payload_too_large": _Class(
        "A value was larger than the runtime stores.", _OVER,
        "Write it to a file or an object store and return its address.",
    ),
    "unserialisable": _Class(
        "A value has no JSON form, so it could not be recorded.", _OVER,
        "Return plain data, a dataclass or a pydantic model.",
    ),
    "invalid_arguments": _Class(
        "A tool was called with arguments it does not take.", _OVER,
        "Correct the call in the agent, then start a new run.",
    ),
}  # fmt: skip
_OURS = _Class(
    "The agent's code raised an error.", _OVER,
    "Correct the code at the place named below, then start a new run.",
)  # fmt: skip


def explain(stop_reason: str, error: dict[str, str]) -> Trouble:
    """The three sentences for how a run failed."""
    code = error.get("code", "")
    known = _BY_CODE.get(code) or _by_reason(stop_reason) or _OURS
    return Trouble(
        known.happened, known.doing, known.can, code or stop_reason,
        error.get("message", ""), error.get("step", ""),
    )  # fmt: skip


def _by_reason(stop_reason: str) -> _Class | None:
    if stop_reason not in StopReason.values:
        return None
    return _BY_REASON.get(StopReason(stop_reason))
