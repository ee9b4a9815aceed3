"""How a run ends, in the words of its row."""

from __future__ import annotations

from collections.abc import Iterable

from agentops.execution.port import Counts, Finished, Suspended
from agentops.execution.records import Claim, error_record
from agentops.sdk import codec
from agentops.sdk.errors import AgentopsError, OutcomeUnknown, PayloadError, StepFailed
from agentops.sdk.retry import told

_REASONS = {
    "timeout": "timeout",
    "fatal": "tool_error",
    "tool_error": "tool_error",
    "unserialisable": "tool_error",
    "payload_too_large": "tool_error",
    "child_failed": "tool_error",
    "event_timeout": "timeout",
    "denied": "denied",
    "approval_expired": "approval_expired",
    "declined": "denied",
    "unanswered": "approval_expired",
    "outcome_unknown": "uncertain",
}


def unstorable(seen: int) -> Suspended:
    """The database refuses what this run produced; an operator has to look."""
    return Suspended("operator", "payload", None, seen)


def finished_ok(result: object, degraded: tuple[str, ...], limit: int | None) -> Finished:
    """The end of an agent that returned ``result``."""
    try:
        output = codec.encode(result, limit=limit)
    except PayloadError as error:
        return failed(
            "tool_error", error.code, f"What the agent returned cannot be stored: {error}"
        )
    return Finished("succeeded", "completed", output, degraded=degraded)


def failed(
    reason: str, code: str, message: str, kind: str = "", steps: Iterable[str] = ()
) -> Finished:
    """The end of a run that has no result. ``steps``: those whose failure ended it."""
    record = error_record(code, message, kind) | {"steps": sorted(steps)}
    return Finished("failed", reason, error=codec.encode(record))


def failed_steps(error: BaseException) -> set[str]:
    """The steps whose failures an exception comes from, through groups and causes."""
    found: set[str] = set()
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, StepFailed) and one.step:
            found.add(one.step)
        inside = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        before = None if one.__suppress_context__ else one.__context__
        left += [one.__cause__, before, *inside]
    return found


def failure_of(error: BaseException) -> Finished:
    """The end of an agent that raised ``error``."""
    kind, steps = type(error).__name__, failed_steps(error)
    if isinstance(error, StepFailed):
        reason = _REASONS.get(error.code, "retries_exhausted")
        return failed(reason, error.code, f"{error.step}: {error}", error.kind or kind, steps)
    if isinstance(error, OutcomeUnknown):
        return failed("uncertain", error.code, str(error), kind)
    code = error.code if isinstance(error, AgentopsError) else "agent_error"
    return failed("agent_error", code, told(error), kind, steps)


def untouched(claim: Claim) -> Counts:
    """The figures of a run that was claimed and not executed."""
    return Counts(claim.steps, claim.retries, 0, claim.progress, None)
