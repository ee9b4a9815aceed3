"""A draft tried on what agents did before it is saved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals import policies, replaying, rules
from approvals.rules import Policy
from runs.models import Journal, Phase, Run
from tests.factories import ONCE, Story, run
from tests.people import administrator, person

pytestmark = pytest.mark.django_db
ABOVE = {
    "id": "big",
    "title": "Large refunds",
    "effect": "ask",
    "when": "double(arguments.amount) > 200.0",
}


@pytest.fixture
def ida() -> User:
    return administrator("ida")


def acted(*amounts: Any, owner: User | None = None, **fields: Any) -> Run:
    """A run that refunded these amounts."""
    story = Story.of(run(owner, agent="support-desk", **fields))
    for n, amount in enumerate(amounts, 1):
        given = {"amount": amount}
        key = f"refund#{n}"
        story.add(key, Phase.INTENT, "step.intended", n=1, input=given, **ONCE)
        story.add(key, Phase.OUTCOME, "step.completed", attempt=1, **ONCE)
    return story.save()


def replay(by: User, *given: dict[str, Any], team: Team | None = None, **said: Any) -> Any:
    unmatched = said.pop("unmatched", "allow")
    draft = Policy(rules.parse(list(given)), unmatched)
    return replaying.replay(actor=Actor(by), draft=draft, team=team, now=timezone.now(), **said)


def test_a_draft_says_which_calls_it_would_have_asked_about(ida: User) -> None:
    acted("100.00", "250.00")
    found = replay(ida, ABOVE)
    assert (found.calls, found.differs) == (2, 1)
    assert found.counts == {("allow", "allow"): 1, ("allow", "ask"): 1}
    (changed,) = found.changed
    assert (changed.before, changed.after, changed.title) == ("allow", "ask", "Large refunds")
    assert changed.is_stricter
    assert changed.call.facts.arguments == {"amount": "250.00"}
    assert changed.call.key == "refund#2"
    assert found.by_rule == {"Large refunds": 1}


def test_nothing_happens_by_it(ida: User) -> None:
    acted("250.00")
    before = Journal.objects.count()
    replay(ida, ABOVE)
    assert Journal.objects.count() == before
    assert policies.newest(None) is None


def test_a_call_counts_once_however_often_it_was_tried(ida: User) -> None:
    story = Story.of(run(agent="support-desk"))
    story.fails_once("find#1", 1, "down").call("find#1", 1, input={"customer": "a"})
    story.save()
    assert replay(ida, {"id": "no", "effect": "deny"}).calls == 1


def test_steps_that_call_no_tool_are_left_out(ida: User) -> None:
    Story.of(run()).call("plan#1", 1, type="step", input={"a": 1}).save()
    assert replay(ida, {"id": "no", "effect": "deny"}).calls == 0


def test_a_rule_that_watches_is_counted_and_changes_nothing(ida: User) -> None:
    acted("250.00")
    found = replay(ida, {**ABOVE, "mode": "watch"})
    assert found.differs == 0
    assert found.watched == {"Large refunds": 1}


def test_calls_a_condition_gives_no_answer_for_are_told(ida: User) -> None:
    acted("many")
    found = replay(ida, ABOVE)
    assert found.unclear == 1
    assert "failed" in found.changed[0].fault


def test_what_holds_now_is_compared_with(ida: User) -> None:
    acted("250.00")
    draft = policies.Draft(None, [ABOVE], "allow", "Why", 0)
    policies.save(actor=Actor(ida), draft=draft)
    found = replay(ida)
    assert found.counts == {("ask", "allow"): 1}
    assert not found.changed[0].is_stricter
    assert found.changed[0].title == "No rule speaks of it"


def test_a_team_is_tried_on_its_own_runs_with_everybodys_rules(ida: User) -> None:
    shop = Team.objects.create(name="shop")
    acted("250.00", team=shop)
    acted("250.00")
    policies.save(actor=Actor(ida), draft=policies.Draft(None, [ABOVE], "allow", "Why", 0))
    found = replay(ida, {"id": "no", "effect": "deny"}, team=shop)
    assert found.counts == {("ask", "deny"): 1}


def test_only_what_they_may_see_is_told(ida: User) -> None:
    ana = person("ana", Role.OPERATOR)
    acted("250.00")
    mine = acted("300.00", owner=ana)
    found = replay(ana, ABOVE)
    assert [changed.call.run for changed in found.changed] == [mine.public_id]
    assert replay(ida, ABOVE).calls == 2


def test_older_calls_are_left_out_and_many_are_cut(ida: User, monkeypatch: Any) -> None:
    acted("250.00", created_at=timezone.now() - timedelta(days=31))
    assert replay(ida, ABOVE).calls == 0
    assert replay(ida, ABOVE, days=60).calls == 1
    monkeypatch.setattr(replaying, "MOST_CALLS", 2)
    acted("1", "2", "3")
    found = replay(ida, ABOVE)
    assert (found.calls, found.is_cut) == (2, True)
