"""What people are asked, what they said, and the rules that make an agent ask."""

from approvals.models.desk import Snooze
from approvals.models.escalation import Chain, ChainVersion, Notice, Preference, Rota
from approvals.models.grant import Deputy, Grant
from approvals.models.policy import Effect, Mode, PolicyProposal, PolicyVersion
from approvals.models.record import Record
from approvals.models.request import (
    OPEN,
    Kind,
    OnExpiry,
    Request,
    Revision,
    Risk,
    State,
    Verdict,
    Vote,
)

__all__ = [
    "OPEN",
    "Chain",
    "ChainVersion",
    "Deputy",
    "Effect",
    "Grant",
    "Kind",
    "Mode",
    "Notice",
    "OnExpiry",
    "PolicyProposal",
    "PolicyVersion",
    "Preference",
    "Record",
    "Request",
    "Revision",
    "Risk",
    "Rota",
    "Snooze",
    "State",
    "Verdict",
    "Vote",
]
