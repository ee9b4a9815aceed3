"""Makes requests as the gate and the sweep leave them, in any state, with revisions and records."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import rfc8785
from django.utils import timezone

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals.models import Kind, Record, Request, Revision, Risk, State
from runs.models import Run, RunStatus, WaitingFor
from tests import factories
from tests.people import person

REFUND: dict[str, object] = {"customer": "ada@example.com", "amount": "240.00", "order": 4411}
FORM: dict[str, object] = {
    "type": "object",
    "properties": {
        "account": {"type": "string", "title": "Which account is meant?", "enum": ["EU", "US"]},
        "sure": {"type": "boolean", "title": "Are you sure?", "default": False},
    },
    "required": ["account"],
}
_numbers = itertools.count(1)


def approver(name: str = "", team: Team | None = None, *more: Role) -> User:
    """Somebody who decides."""
    return person(name or f"approver-{next(_numbers)}", Role.APPROVER, *more, team=team)


def team(name: str = "", *members: User) -> Team:
    """A team with these people."""
    made = Team.objects.create(name=name or f"team-{next(_numbers)}")
    made.members.add(*members)
    return made


def waiting_run(
    owner: User | None = None, waiting_for: WaitingFor = WaitingFor.APPROVAL, **fields: Any
) -> Run:
    """A run that waits for a person."""
    known: dict[str, Any] = {"status": RunStatus.WAITING, "ready_at": None}
    return factories.run(owner, waiting_for=waiting_for, **{**known, **fields})


def approval(
    run: Run | None = None,
    *,
    tool: str = "refund",
    arguments: Mapping[str, object] = REFUND,
    factors: Sequence[Mapping[str, object]] = ({"role": "approver", "count": 1},),
    rule: Mapping[str, object] | None = None,
    key: str = "",
    **fields: Any,
) -> Request:
    """An action that waits for a person, at its first revision."""
    run = run or waiting_run(person(f"owner-{next(_numbers)}"))
    said = {"id": "refunds", "title": "Refunds ask", "effect": "ask", "mode": "enforced"}
    known: dict[str, Any] = {
        "kind": Kind.APPROVAL, "name": tool, "title": f"{tool} {_short(arguments)}",
        "key": key or f"{tool}#{next(_numbers)}", "risk": Risk.MEDIUM, "factors": list(factors),
        "rule": {**said, **(rule or {})}, "reason": "The order arrived broken.",
        "decide_by": timezone.now() + timedelta(hours=1),
    }  # fmt: skip
    made = _made(run, known, fields)
    revision(made, arguments)
    return made


def question(
    run: Run | None = None, *, form: Mapping[str, object] = FORM, **fields: Any
) -> Request:
    """Something an agent wants to know."""
    run = run or waiting_run(person(f"owner-{next(_numbers)}"), WaitingFor.ANSWER)
    known: dict[str, Any] = {
        "kind": Kind.QUESTION, "name": "ask", "key": f"ask#{next(_numbers)}",
        "title": "Which account is meant?", "schema": dict(form),
    }  # fmt: skip
    return _made(run, known, fields)


def attention(
    run: Run | None = None, *, why: str = "uncertain", key: str = "send_payment#1", **fields: Any
) -> Request:
    """A run that cannot go on by itself."""
    run = run or factories.uncertain(person(f"owner-{next(_numbers)}"))
    known: dict[str, Any] = {
        "kind": Kind.ATTENTION, "name": why, "key": key, "title": f"{key} is uncertain",
    }  # fmt: skip
    return _made(run, known, fields)


def envelope(
    request: Request, arguments: Mapping[str, object], number: int = 1, **fields: object
) -> dict[str, object]:
    """All that an approval is bound to."""
    return {
        "run": request.run_public_id, "key": request.key, "round": request.round,
        "revision": number, "tool": request.name, "tool_digest": "ab" * 32,
        "agent": request.agent, "agent_version": request.run.agent_version,
        "principal": request.owner.get_username() if request.owner else "", "credential": "",
        "policy": 1, "rule": request.rule.get("id", ""), "arguments": dict(arguments), "etag": "",
        "expires_at": request.decide_by.isoformat() if request.decide_by else "", **fields,
    }  # fmt: skip


def revision(
    request: Request, arguments: Mapping[str, object] = REFUND, made_by: User | None = None
) -> Revision:
    """The next revision of an action."""
    number = request.revisions.count() + 1
    frozen = rfc8785.dumps(envelope(request, arguments, number))  # type: ignore[arg-type]
    action = rfc8785.dumps({"tool": request.name, "arguments": dict(arguments)})  # type: ignore[arg-type]
    return Revision.objects.create(
        request=request, number=number, envelope=frozen, made_by=made_by,
        digest=hashlib.sha256(frozen).digest(), action=hashlib.sha256(action).digest(),
    )  # fmt: skip


def shown(request: Request) -> dict[str, Any]:
    """What a form carries: number and digest of the newest revision."""
    newest = request.revisions.order_by("-number")[0]
    return {"revision": newest.number, "digest": bytes(newest.digest).hex()}


def every_state(owner: User | None = None, by: User | None = None) -> dict[str, Request]:
    """An approval in each state it may stand at, a question and a run that needs attention."""
    made: dict[str, Request] = {}
    decider = by or approver()
    for state in State:
        if state not in {State.ANSWERED, State.DECLINED, State.RESOLVED}:
            made[state] = approval(waiting_run(owner), state=state, **_decided(state, decider))
    made["question"] = question(waiting_run(owner, WaitingFor.ANSWER))
    made["attention"] = attention(factories.uncertain(owner))
    return made


def _decided(state: State, decider: User) -> dict[str, Any]:
    if state == State.PENDING:
        return {}
    now = timezone.now()
    decided: dict[str, Any] = {"decided_at": now, "decided_by": decider, "comment": "Checked."}
    if state in {State.APPROVED, State.CONSUMED}:
        decided |= {"ready_at": now, "execute_by": now + timedelta(minutes=15)}
    return decided


def _made(run: Run, known: Mapping[str, Any], fields: Mapping[str, Any]) -> Request:
    whose = {"owner": run.owner, "team": run.team, "agent": run.agent}
    row = {"run_public_id": run.public_id, **whose, **known, **fields}
    made = Request.objects.create(run=run, **row)
    Record.objects.create(
        request=made, run_public_id=run.public_id, event=f"{made.kind}.requested", by="worker"
    )
    made.refresh_from_db()
    return made


def _short(arguments: Mapping[str, object]) -> str:
    return ", ".join(str(value) for value in arguments.values())[:60]
