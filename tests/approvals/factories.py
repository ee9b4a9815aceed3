"""Makes requests of every kind, as workers and people would have left them."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.utils import timezone

from agentops.accounts.models import User
from approvals.models import Kind, Record, Request, Revision, Risk, State
from runs.models import Run
from tests import factories

BODY = "Dear Acme,\n\nhere is a copy of invoice 4411.\n\n" + "It was due on 1 November. " * 48
MAIL: dict[str, Any] = {
    "to": ["ana@acme.example", "books@acme.example", "cfo@acme.example"],
    "subject": "Invoice 4411",
    "body": BODY,
    "copies": 1,
    "urgent": False,
}


def waiting(owner: User | None, **fields: Any) -> Run:
    """A run that waits for an approval."""
    story = factories.begun(owner, ago=720, title="November invoices", status="running")
    story.note("run.waiting", 1, waiting_for="approval")
    known = {"status": "waiting", "waiting_for": "approval", "worker": None, "ready_at": None}
    return story.fields(**{**known, "status_at": story.clock, **fields}).save()


def request(run: Run, **fields: Any) -> Request:
    """A request about ``run`` with no revision; a final one is decided now."""
    known: dict[str, Any] = {
        "kind": Kind.APPROVAL, "run": run, "run_public_id": run.public_id, "key": "send_mail#1",
        "owner": run.owner, "team": run.team, "agent": run.agent, "name": "gmail.send",
        "title": "send e-mail to 3 people", "risk": Risk.MEDIUM,
    }  # fmt: skip
    if fields.get("state", State.PENDING) != State.PENDING:
        known["decided_at"] = timezone.now()
    made = Request.objects.create(**{**known, **fields})
    Record.objects.create(
        request=made, run_public_id=run.public_id, event="approval.requested", by="worker"
    )
    return made


def revise(made: Request, arguments: dict[str, Any] | None = None, **fields: Any) -> Revision:
    """The next revision of an approval, with the envelope of a call."""
    given = MAIL if arguments is None else arguments
    number = made.revisions.count() + 1
    envelope = {
        "agent": made.agent, "agent_version": "14", "arguments": given, "credential": "",
        "effect": "once", "key": made.key, "principal": "ana", "revision": number,
        "run": made.run_public_id, "tool": made.name, "tool_digest": "0" * 64,
    }  # fmt: skip
    data = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    return Revision.objects.create(
        request=made,
        number=number,
        envelope=data,
        digest=hashlib.sha256(data).digest(),
        action=hashlib.sha256(json.dumps([made.name, given]).encode()).digest(),
        **fields,
    )


def approval(
    owner: User | None = None, arguments: dict[str, Any] | None = None, **fields: Any
) -> Request:
    """An action that waits for a person's word."""
    run = fields.pop("run", None) or waiting(owner, team=fields.pop("team", None))
    known: dict[str, Any] = {
        "reason": "Customer asked for a copy.",
        "rule": {"id": "mail-outside", "title": "Mail to people outside", "risk": "medium"},
        "factors": [{"role": "approver", "count": 1}],
        "decide_by": timezone.now() + timedelta(minutes=48),
    }
    made = request(run, **{**known, **fields})
    revise(made, arguments)
    return made


def question(owner: User | None = None, **fields: Any) -> Request:
    """Something an agent wants to know."""
    run = fields.pop("run", None) or waiting(
        owner, waiting_for="answer", team=fields.pop("team", None)
    )
    schema = {
        "type": "object",
        "properties": {
            "account": {"type": "string", "title": "Account", "enum": ["Acme Ltd", "Acme GmbH"]},
            "since": {"type": "string", "format": "date", "title": "Customer since"},
            "share": {"type": "number", "minimum": 0, "maximum": 100, "title": "Share in percent"},
            "close": {"type": "boolean", "title": "Close the other one", "default": False},
        },
        "required": ["account"],
    }
    known: dict[str, Any] = {
        "kind": Kind.QUESTION, "key": "ask#1", "name": "ask", "schema": schema,
        "title": "Which account is “Acme”?", "risk": Risk.LOW, "factors": [],
    }  # fmt: skip
    return request(run, **{**known, **fields})
