"""What people may do, by the roles they have. A role is a Django group of the same name."""

from __future__ import annotations

import enum


class Action(enum.StrEnum):
    """What somebody wants to do."""

    VIEW = "view"
    # Send it an event or a message.
    RESPOND = "respond"
    # Start, stop, fork.
    CONTROL = "control"
    # Settle an uncertain outcome, let a parked run go on.
    OPERATE = "operate"
    # Approve or deny what an agent wants to do.
    DECIDE = "decide"
    MANAGE_CREDENTIALS = "manage_credentials"
    AUDIT = "audit"
    # People, teams, policies, the installation itself.
    ADMINISTER = "administer"


class Role(enum.StrEnum):
    """What somebody is trusted with, besides what is their own."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    CREDENTIAL_MANAGER = "credential manager"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


ALLOWS: dict[Role, frozenset[Action]] = {
    Role.VIEWER: frozenset({Action.VIEW}),
    Role.OPERATOR: frozenset({Action.VIEW, Action.RESPOND, Action.CONTROL, Action.OPERATE}),
    Role.APPROVER: frozenset({Action.VIEW, Action.DECIDE}),
    Role.CREDENTIAL_MANAGER: frozenset({Action.MANAGE_CREDENTIALS}),
    # Sees what was done and by whom, not what was in it.
    Role.AUDITOR: frozenset({Action.AUDIT}),
    # Looks after everything, yet decides nothing that an approver decides.
    Role.ADMINISTRATOR: frozenset(Action) - {Action.DECIDE, Action.MANAGE_CREDENTIALS},
}
# What people may do with what is their own, whatever their roles.
OWN = frozenset({Action.VIEW, Action.RESPOND, Action.CONTROL})


class Scope(enum.StrEnum):
    """What a token may be used for. There is none for what only people may do."""

    RUNS_READ = "runs:read"
    RUNS_RESPOND = "runs:respond"
    RUNS_WRITE = "runs:write"
    RUNS_OPERATE = "runs:operate"
    AUDIT_READ = "audit:read"

    @property
    def meaning(self) -> str:
        """What it lets a program do, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Scope.RUNS_READ: "See runs, their steps and events",
    Scope.RUNS_RESPOND: "Send events and messages to runs",
    Scope.RUNS_WRITE: "Start, stop and fork runs, and send to them",
    Scope.RUNS_OPERATE: "Settle uncertain outcomes and resume parked runs",
    Scope.AUDIT_READ: "Read what was done and by whom",
}
# Any one of these is enough. What stands not here, only people may do.
SCOPES_OF: dict[Action, frozenset[Scope]] = {
    Action.VIEW: frozenset({Scope.RUNS_READ}),
    Action.RESPOND: frozenset({Scope.RUNS_RESPOND, Scope.RUNS_WRITE}),
    Action.CONTROL: frozenset({Scope.RUNS_WRITE}),
    Action.OPERATE: frozenset({Scope.RUNS_OPERATE}),
    Action.AUDIT: frozenset({Scope.AUDIT_READ}),
}
USUAL_SCOPES = (Scope.RUNS_READ, Scope.RUNS_WRITE)
