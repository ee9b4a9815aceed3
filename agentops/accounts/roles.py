"""What people may do, by the roles they have. A role is a Django group of the same name."""

from __future__ import annotations

import enum


class Action(enum.StrEnum):
    """What somebody wants to do."""

    VIEW = "view"
    # Start, stop, talk to, fork.
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
    Role.OPERATOR: frozenset({Action.VIEW, Action.CONTROL, Action.OPERATE}),
    Role.APPROVER: frozenset({Action.VIEW, Action.DECIDE}),
    Role.CREDENTIAL_MANAGER: frozenset({Action.MANAGE_CREDENTIALS}),
    # Sees what was done and by whom, not what was in it.
    Role.AUDITOR: frozenset({Action.AUDIT}),
    # Looks after everything, yet decides nothing that an approver decides.
    Role.ADMINISTRATOR: frozenset(
        {Action.VIEW, Action.CONTROL, Action.OPERATE, Action.AUDIT, Action.ADMINISTER}
    ),
}
# What people may do with what is their own, whatever their roles.
OWN = frozenset({Action.VIEW, Action.CONTROL})


class Scope(enum.StrEnum):
    """What a token may be used for. There is none for what only people may do."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    RUNS_OPERATE = "runs:operate"
    AUDIT_READ = "audit:read"


SCOPE_OF: dict[Action, Scope] = {
    Action.VIEW: Scope.RUNS_READ,
    Action.CONTROL: Scope.RUNS_WRITE,
    Action.OPERATE: Scope.RUNS_OPERATE,
    Action.AUDIT: Scope.AUDIT_READ,
}
