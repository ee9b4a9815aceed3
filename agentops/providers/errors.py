"""How a request to a model can fail, in the words of the product whatever the provider calls it."""

from __future__ import annotations

from agentops.sdk.errors import AgentopsError

# What says that the provider is in trouble, rather than this one request.
TROUBLE = frozenset(
    {"rate_limited", "overloaded", "provider_error", "connection_failed", "timeout", "cut_off"}
)
# Asking the same model the same again is pointless.
HOPELESS = frozenset(
    {
        "context_overflow",
        "authentication_failed",
        "quota_exceeded",
        "model_not_found",
        "request_rejected",
        "content_filtered",
    }
)
# No other model would do better with a request that is wrong, or that nobody should answer.
FINAL = frozenset({"request_rejected", "content_filtered"})


class ModelError(AgentopsError):
    """A model could not be asked, or did not answer.

    ``after``: the seconds the provider wants to be left alone. ``sent``: the request may have
    reached it, so it may be paid for.
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
        return self.code not in HOPELESS
