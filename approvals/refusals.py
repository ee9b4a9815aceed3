"""Why a word does not count. Each says what to do, and has one code for page and API."""

from __future__ import annotations

from agentops.accounts.access import Forbidden
from agentops.sdk.errors import AgentopsError


class AlreadyDecided(AgentopsError):
    """Somebody decided this before. Nothing was done now."""

    code = "already_decided"


class RequestChanged(AgentopsError):
    """What you were shown is not what is asked about now. Read it again, then decide."""

    code = "request_changed"


class Frozen(AgentopsError):
    """What this is about is stopped. Nothing of it is decided until the stop is lifted."""

    code = "is_stopped"


class TooLate(AgentopsError):
    """The time for this is over."""

    code = "too_late"


class AlreadyVoted(AgentopsError):
    """Your word on this is given already, or that of whom you stand in for."""

    code = "already_voted"


class MayNotDecide(Forbidden):
    """You may see this, but somebody else has to decide it."""

    code = "may_not_decide"


class Tampered(AgentopsError):
    """The stored action is not the one its digest names. It cannot be decided; tell your operator.

    Nothing we do changes it, so somebody else did.
    """

    code = "tampered"


class InvalidEdit(AgentopsError):
    """The tool cannot be called like this. Change the arguments that are named, or reject it."""

    code = "invalid_edit"
