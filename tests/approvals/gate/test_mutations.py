"""Threat T3: what changed after the approval is refused, written down, and asked about anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from agentops import Tool, tool
from agentops.accounts.models import User
from agentops.sdk.errors import Retryable
from approvals import envelope, moves
from approvals.envelope import Envelope
from approvals.models import Record, Request, Revision
from runs.engine.host import Host
from tests.approvals.gate import agents
from tests.approvals.gate.agents import DONE, WORLD
from tests.approvals.gate.conftest import approve, asked, output, policy, start, state
from tests.runs.engine.conftest import eventually, stands_at

pytestmark = pytest.mark.slow
SLOW = {"id": "slow", "effect": "ask", "undo_seconds": 2}
Patch = pytest.MonkeyPatch
Mutation = Callable[[Request, Patch], None]


def rewritten(request: Request, **changed: Any) -> None:
    """As somebody with the password of the database would."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Revision.objects.filter(request=request).update(**changed)
        cursor.execute("SET session_replication_role = DEFAULT")


def forged(request: Request) -> Envelope:
    data = bytes(request.revisions.get().envelope)
    return Envelope(data.replace(b'"amount":"240.00"', b'"amount":"940.00"'))


def bytes_only(request: Request, _: Patch) -> None:
    rewritten(request, envelope=forged(request).data)


def bytes_and_digest(request: Request, _: Patch) -> None:
    made = forged(request)
    rewritten(request, envelope=made.data, digest=made.digest, action=made.action)


def another_revision(request: Request, _: Patch) -> None:
    made = envelope.edited(
        Envelope(bytes(request.revisions.get().envelope)),
        {"order": 17, "amount": "940.00", "why": "broken"},
    )
    Revision.objects.create(
        request=request, number=2, envelope=made.data, digest=made.digest, action=made.action
    )


def other_arguments(_: Request, __: Patch) -> None:
    """The agent's code, or whatever hangs between it and the tool, says something else by now."""
    WORLD["amount"] = "940.00"


def other_tool(_: Request, patch: Patch) -> None:
    @tool(name="refund", effect="once", retries=3)
    def refund(order: int, amount: Decimal, why: str = "broken") -> str:
        DONE.append(("another", order, amount, why))
        return "refunded in another way"

    patch.setattr(agents, "refund", refund)


def other_agent(_: Request, patch: Patch) -> None:
    patch.setitem(agents.refunder.__dict__, "version", "2")


def other_person(request: Request, _: Patch) -> None:
    assert request.owner_id is not None
    User.objects.filter(pk=request.owner_id).update(username="somebody")


MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "row": (bytes_only, "row"),
    "row and digest": (bytes_and_digest, "row"),
    "row added": (another_revision, "row"),
    "hook": (other_arguments, "arguments"),
    "tool version": (other_tool, "tool_digest"),
    "agent version": (other_agent, "agent_version"),
    "person": (other_person, "principal"),
}


def why_refused(request: Request) -> str:
    row = Record.objects.filter(request=request, event="approval.refused").first()
    return str(row.detail["why"]) if row else ""


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_changed_after_the_approval_does_not_run(
    host: Host, olga: User, ada: User, monkeypatch: Patch, name: str
) -> None:
    mutate, why = MUTATIONS[name]
    policy(host, SLOW)
    run = start("refunder", olga)
    request = asked(run)
    approve(request, ada)
    mutate(request, monkeypatch)
    second = asked(run, round=2)
    assert DONE == []
    assert (state(request), second.state) == ("superseded", "pending")
    assert why in why_refused(request)


def test_what_a_rule_denies_by_now_does_not_run(host: Host, olga: User, ada: User) -> None:
    policy(host, SLOW)
    run = start("refunder", olga)
    request = asked(run)
    approve(request, ada)
    policy(host, {"id": "no", "title": "No more refunds", "effect": "deny"})
    assert output(run).startswith("Denied denied: The rules do not allow")
    assert (DONE, state(request), why_refused(request)) == ([], "superseded", "policy")


def test_an_approval_is_about_the_world_its_preview_saw(host: Host, olga: User, ada: User) -> None:
    policy(host, SLOW)
    run = start("shipper", olga)
    request = asked(run)
    WORLD["etag"] = "e2"
    approve(request, ada)
    second = asked(run, round=2)
    assert (DONE, state(request), why_refused(request)) == ([], "superseded", "etag")
    approve(second, ada)
    assert (output(run), DONE) == ("shipped", [("ship", 17)])


def test_a_retry_runs_what_was_approved_and_not_what_the_first_attempt_left(
    host: Host, olga: User, ada: User, monkeypatch: Patch
) -> None:
    @tool(name="refund", effect="once", retries=3)
    def spoils(order: int, amount: Decimal, why: list[str]) -> str:
        DONE.append((order, [*why]))
        why.append("and again")
        if len(DONE) == 1:
            raise Retryable("once more", after=0.01)
        return "done"

    monkeypatch.setattr(agents, "refund", _with_list(spoils))
    run = start("refunder", olga)
    approve(asked(run), ada)
    assert output(run) == "done"
    assert DONE == [(17, ["broken"]), (17, ["broken"])]


def _with_list(spoils: Tool[..., Any]) -> Tool[..., Any]:
    @tool(name="refund", effect="once", retries=3)
    def refund(order: int, amount: Decimal, why: list[str] = ["broken"]) -> Any:  # noqa: B006
        return spoils(order, amount, why)

    return refund


def test_what_changes_between_two_attempts_is_refused(host: Host, olga: User, ada: User) -> None:
    WORLD["fails"], WORLD["after"] = 1, 3.0
    run = start("refunder", olga)
    request = asked(run)
    approve(request, ada)
    stands_at(run, "waiting", "retry")
    assert state(request) == "consumed"
    bytes_and_digest(request, pytest.MonkeyPatch())
    second = asked(run, round=2)
    assert (DONE, second.state, why_refused(request)) == ([], "pending", "row")
    eventually(lambda: state(request) == "consumed")


def test_a_forged_state_without_a_decision_does_not_run(host: Host, olga: User) -> None:
    run = start("refunder", olga)
    request = asked(run)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE approval_request SET state = 'approved', decided_at = now(), ready_at = now(),"
            " execute_by = now() + interval '1 hour' WHERE id = %s",
            [request.pk],
        )
        cursor.execute("SET session_replication_role = DEFAULT")

    moves.tell(request, moves.By("forger"))
    asked(run, round=2)
    assert (DONE, why_refused(request)) == ([], "row")


def test_the_digest_is_that_of_the_bytes() -> None:
    made = Envelope(b'{"arguments":{},"tool":"x"}')
    assert made.digest == hashlib.sha256(made.data).digest()
