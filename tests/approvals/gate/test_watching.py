"""Rules that only watch: what they would have said stands in the journal, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from agentops.accounts.models import User
from runs.engine.host import Host
from runs.models import Journal, Phase
from tests.approvals.gate.agents import DONE
from tests.approvals.gate.conftest import asked, output, policy, start

pytestmark = pytest.mark.slow
WATCHES = {"id": "no-refunds", "effect": "deny", "tools": ["refund"], "mode": "watch"}
SAID = [{"rule": "no-refunds", "effect": "deny"}]


def noted(run: Any, **where: Any) -> dict[str, Any]:
    return Journal.objects.get(run=run, **where).meta or {}


def test_a_call_that_passes_notes_who_watched(host: Host, olga: User) -> None:
    policy(host, {"id": "refunds", "effect": "allow", "tools": ["refund"]}, WATCHES)
    run = start("refunder", olga)
    assert output(run) == "refunded 240.00"
    for phase in (Phase.INTENT, Phase.OUTCOME):
        said = noted(run, phase=phase, key="refund#1")["policy"]
        assert (said["rule"], said["watched"]) == ("refunds", SAID)


def test_a_call_that_is_asked_about_or_denied_notes_it_too(host: Host, olga: User) -> None:
    policy(host, {"id": "refunds", "effect": "ask", "tools": ["refund"]}, WATCHES)
    run = start("refunder", olga)
    asked(run)
    assert noted(run, kind="approval.requested")["watched"] == SAID
    policy(host, {"id": "refunds", "effect": "deny", "tools": ["refund"]}, WATCHES)
    denied = start("refunder", olga)
    output(denied)
    assert noted(denied, kind="policy.denied")["watched"] == SAID
    assert DONE == []
