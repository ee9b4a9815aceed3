"""Errors authors raise and see. Each has a ``code`` that is the same in API, events and console."""

from __future__ import annotations


class AgentopsError(Exception):
    """Something went wrong in the runtime; the message says what to do."""

    code = "internal_error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])

    @property
    def message(self) -> str:
        return str(self)


class Retryable(AgentopsError):
    """The call failed and nothing happened; try it again.

    Raise it in a tool when you know that the effect did not take place. ``after`` is the number
    of seconds the other side asked to wait (its ``Retry-After``).
    """

    code = "retryable"

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Fatal(AgentopsError):
    """The call failed, nothing happened, and trying again is pointless."""

    code = "fatal"


class ToolError(AgentopsError):
    """The tool refuses: wrong arguments or an impossible wish. The agent is told, once."""

    code = "tool_error"


class OutcomeUnknown(AgentopsError):
    """Nobody can tell whether the effect happened.

    Raise it in a ``once`` tool when the answer was lost. An agent sees it when an operator chose
    to tell it that the outcome is unknown.
    """

    code = "outcome_unknown"


# Asking the same model the same again is pointless.
_HOPELESS = frozenset(
    {
        "context_overflow",
        "authentication_failed",
        "quota_exceeded",
        "model_not_found",
        "request_rejected",
        "content_filtered",
    }
)


class ModelError(AgentopsError):
    """A model could not be asked, or did not answer.

    ``code`` is ``rate_limited``, ``overloaded``, ``provider_error``, ``connection_failed``,
    ``timeout``, ``cut_off``, ``context_overflow``, ``authentication_failed``, ``quota_exceeded``,
    ``model_not_found``, ``request_rejected`` or ``content_filtered``. ``after``: the seconds the
    provider wants to be left alone. ``sent``: the request may have reached it and be paid for.
    """

    def __init__(
        self, code: str, message: str, *, after: float | None = None, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.code = code
        self.after = after
        self.sent = sent

    @property
    def retry(self) -> bool:
        """Whether the same model may do better."""
        return self.code not in _HOPELESS


class ServerError(AgentopsError):
    """A server of tools could not be reached, or did not answer as it should.

    ``code`` is ``connection_failed``, ``connection_lost``, ``authentication_failed``,
    ``rate_limited``, ``server_error``, ``invalid_answer`` or ``result_too_large``. ``sent``: the
    call may have reached it and had its effect. ``retry``: asked again it may do better.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        sent: bool,
        retry: bool = True,
        after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.sent, self.retry, self.after = code, sent, retry, after


class StepFailed(AgentopsError):
    """A step failed for good. Raised in the agent, alike when it happens and on every replay."""

    code = "step_failed"

    def __init__(self, message: str, *, step: str = "", code: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.code = code or type(self).code
        self.kind = kind


class Denied(StepFailed):
    """A rule or a person does not let this happen, or nobody decided in time.

    ``code`` is ``denied`` or ``approval_expired``. The message is for the model as well: where a
    person said why, it quotes them.
    """

    code = "denied"


class Unanswered(StepFailed):
    """A question has no answer: somebody declined it (``declined``), or nobody gave one in time
    (``unanswered``)."""

    code = "unanswered"


class StepTimeout(StepFailed):
    """A step did not end within its timeout, on its last attempt."""

    code = "timeout"


class EventTimeout(StepFailed):
    """The event did not come in time."""

    code = "event_timeout"


class ChildFailed(StepFailed):
    """A run that this run started ended without a result."""

    code = "child_failed"


class UnknownAgent(AgentopsError):
    """No agent has this name."""

    code = "unknown_agent"

    def __init__(self, name: str, suggestions: list[str]) -> None:
        hint = f" Did you mean {', '.join(suggestions)}?" if suggestions else ""
        super().__init__(f"No agent is called “{name}”.{hint}")
        self.name = name
        self.suggestions = suggestions


class InvalidInput(AgentopsError):
    """The input does not fit the agent. ``path`` points at the field, as a JSON pointer."""

    code = "invalid_input"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"Input at {path or '/'}: {reason}")
        self.path = path or "/"
        self.reason = reason


class PayloadError(AgentopsError):
    """A value cannot be stored."""

    code = "unserialisable"


class PayloadTooLarge(PayloadError):
    """A value is larger than a run may store."""

    code = "payload_too_large"


class Misuse(AgentopsError):
    """The program uses the runtime in a way that cannot work; the message says how to."""

    code = "misuse"


class Missing:
    """What an optional tool returns when it is out of order. It is false, and says why."""

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        self.reason = reason

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"Missing({self.tool!r}, {self.reason!r})"
