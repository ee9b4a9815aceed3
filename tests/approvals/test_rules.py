"""Rules: read with errors that help, and decided by the agreed precedence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import reading, rules
from approvals.reading import RuleFault, Who
from approvals.rules import Facts, Policy


def facts(**changed: Any) -> Facts:
    said: dict[str, Any] = {
        "agent": "desk",
        "tool": "refund",
        "effect": "once",
        "arguments": {"amount": "250.00"},
        "person": "ana",
        "team": "shop",
    }
    return Facts(**{**said, **changed})


def policy(*given: dict[str, Any], unmatched: str = "ask", version: int = 1) -> Policy:
    named = [{"id": f"r{n}", **rule} for n, rule in enumerate(given)]
    return Policy(rules.parse(named), unmatched, version)


def effect(*given: dict[str, Any], **changed: Any) -> str:
    return rules.decide([policy(*given)], facts(**changed)).effect


ABOVE = "double(arguments.amount) > 200.0"


def test_deny_comes_before_all_else_whatever_the_order() -> None:
    allow, ask, deny = {"effect": "allow"}, {"effect": "ask"}, {"effect": "deny"}
    assert effect(allow, ask, deny) == effect(deny, ask, allow) == "deny"
    assert effect(allow, ask) == effect(ask, allow) == "ask"
    assert effect(allow) == "allow"


def test_always_ask_comes_before_ask_and_says_that_no_grant_covers() -> None:
    ruling = rules.decide(
        [policy({"effect": "ask"}, {"effect": "ask", "always": True}, {"effect": "allow"})], facts()
    )
    assert (ruling.effect, ruling.always) == ("ask", True)
    assert ruling.rule is not None
    assert ruling.rule.id == "r1"


def test_a_team_can_only_be_stricter() -> None:
    everybody, team = policy({"effect": "deny"}), policy({"effect": "allow"}, version=2)
    assert rules.decide([everybody, team], facts()).effect == "deny"
    assert rules.decide([team, everybody], facts()).effect == "deny"
    silent = policy(unmatched="ask")
    assert rules.decide([silent, team], facts()).effect == "ask"
    assert rules.decide([silent, policy(unmatched="allow")], facts()).effect == "ask"


def test_the_first_of_equals_names_itself_with_its_version() -> None:
    ruling = rules.decide(
        [policy({"effect": "ask"}, version=7), policy({"effect": "ask"}, version=8)], facts()
    )
    assert ruling.rule is not None
    assert (ruling.rule.id, ruling.version) == ("r0", 7)


def test_one_request_satisfies_every_rule_that_asks() -> None:
    ruling = rules.decide(
        [
            policy({"effect": "ask", "risk": "low", "undo_seconds": 5, "decide_minutes": 60}),
            policy(
                {
                    "effect": "ask",
                    "risk": "high",
                    "grants": False,
                    "decide_minutes": 10,
                    "factors": [{"role": "approver", "count": 2}, {"team": "finance"}],
                }
            ),
        ],
        facts(),
    )
    rule = ruling.rule
    assert rule is not None
    assert (rule.risk, rule.grants, rule.undo_seconds, rule.decide_minutes) == (
        "high",
        False,
        5,
        10,
    )
    assert rule.factors == (Who("approver", "", 2), Who("", "finance", 1))


def test_approving_by_time_needs_every_rule_that_asks_to_agree() -> None:
    careless = {"effect": "ask", "risk": "low", "on_expiry": "approve", "decide_minutes": 5}
    alone = rules.decide([policy(careless)], facts()).rule
    both = rules.decide([policy(careless, {"effect": "ask"})], facts()).rule
    assert alone is not None
    assert both is not None
    assert (alone.on_expiry, both.on_expiry) == ("approve", "deny")


@pytest.mark.parametrize(
    "named",
    [
        {"agents": ["other"]},
        {"tools": ["send*"]},
        {"effects": ["read"]},
        {"people": ["bo"]},
        {"teams": ["finance"]},
        {"when": "double(arguments.amount) > 300.0"},
    ],
)
def test_a_rule_speaks_only_of_what_it_names(named: dict[str, Any]) -> None:
    assert effect({"effect": "deny", **named}) == "ask"


@pytest.mark.parametrize(
    "named",
    [
        {"agents": ["d*"]},
        {"tools": ["send", "refund"]},
        {"effects": ["once"]},
        {"people": ["ana"]},
        {"teams": ["shop"]},
        {"when": ABOVE},
        {"tools": ["refund"], "when": "person == 'ana' && tool == 'refund'"},
    ],
)
def test_a_rule_speaks_of_what_it_names(named: dict[str, Any]) -> None:
    assert effect({"effect": "deny", **named}) == "deny"


def test_names_of_capitals_are_other_names() -> None:
    assert effect({"effect": "deny", "tools": ["REFUND"]}) == "ask"


def test_where_no_rule_speaks_reading_is_free_and_the_strictest_layer_says_the_rest() -> None:
    open_, shut = policy(unmatched="allow"), policy(unmatched="deny", version=2)
    assert rules.decide([open_], facts()).effect == "allow"
    assert rules.decide([open_], facts(effect="read")).effect == "allow"
    ruling = rules.decide([open_, shut], facts())
    assert (ruling.effect, ruling.version) == ("deny", 2)
    assert rules.decide([shut], facts(effect="read")).effect == "allow"
    assert rules.decide([], facts()).effect == "ask"


def test_what_a_tool_declares_is_one_more_voice() -> None:
    nothing = policy(unmatched="ask")
    always = rules.decide([policy({"effect": "allow"})], facts(declared="always"))
    assert (always.effect, always.always) == ("ask", True)
    assert rules.decide([nothing], facts(declared="always", effect="read")).effect == "ask"
    assert rules.decide([nothing], facts(declared="never")).effect == "allow"
    assert effect({"effect": "ask"}, declared="never") == "ask"
    assert effect({"effect": "deny"}, declared="always") == "deny"


def test_an_unclear_condition_is_the_stricter_of_what_its_rule_may_say() -> None:
    unclear = "arguments.missing > 1"
    assert effect({"effect": "allow", "when": unclear}) == "ask"
    assert effect({"effect": "ask", "when": unclear}) == "ask"
    assert effect({"effect": "deny", "when": unclear}) == "deny"
    ruling = rules.decide([policy({"effect": "allow", "when": unclear})], facts())
    assert "no argument 'missing'" in ruling.fault


def test_a_rule_that_watches_is_told_and_counts_for_nothing() -> None:
    ruling = rules.decide(
        [policy({"effect": "deny", "mode": "watch", "title": "No refunds"}, unmatched="allow")],
        facts(),
    )
    assert ruling.effect == "allow"
    assert [(w.rule, w.effect, w.title) for w in ruling.watched] == [("r0", "deny", "No refunds")]


def test_a_stored_rule_that_cannot_be_read_asks_or_denies_and_the_others_hold() -> None:
    stored: list[dict[str, Any]] = [
        {"id": "a", "effect": "allow", "from_the_future": 1},
        {"id": "b", "effect": "allow", "tools": ["refund"]},
    ]
    assert rules.decide([rules.recall(stored)], facts()).effect == "ask"
    stored[0]["effect"] = "deny"
    ruling = rules.decide([rules.recall(stored)], facts())
    assert ruling.effect == "deny"
    assert "from_the_future" in ruling.fault
    stored[0]["mode"] = "watch"
    ruling = rules.decide([rules.recall(stored)], facts())
    assert (ruling.effect, len(ruling.watched)) == ("allow", 1)
    assert rules.decide([rules.recall("rubbish", unmatched="allow")], facts()).effect == "ask"
    assert rules.recall([], unmatched="alow").unmatched == "deny"
    assert rules.decide([Policy(unmatched="alow")], facts()).effect == "deny"


FAULTS: list[tuple[object, str, str]] = [
    ("x", "/rules", "write a list"),
    (["x"], "/rules/0", "write an object"),
    ([{"effect": "ask"}], "/rules/0/id", "name the rule"),
    ([{"id": "a"}], "/rules/0/effect", "say allow, ask or deny"),
    ([{"id": "A b", "effect": "ask"}], "/rules/0/id", "small letters"),
    ([{"id": "a", "effect": "aks"}], "/rules/0/effect", "one of: allow, ask, deny"),
    ([{"id": "a", "effect": "ask", "wehn": "true"}], "/rules/0/wehn", "There are: id, title"),
    ([{"id": "a", "effect": "ask", "mode": "off"}], "/rules/0/mode", "enforced, watch"),
    ([{"id": "a", "effect": "ask", "tools": "refund"}], "/rules/0/tools", "write a list"),
    ([{"id": "a", "effect": "ask", "tools": ["[a]"]}], "/rules/0/tools", "only * stands"),
    ([{"id": "a", "effect": "ask", "effects": ["write"]}], "/rules/0/effects", "none of: read"),
    ([{"id": "a", "effect": "ask", "when": "amount > 1"}], "/rules/0/when", "arguments.amount"),
    ([{"id": "a", "effect": "allow", "always": True}], "/rules/0/always", "only a rule that asks"),
    ([{"id": "a", "effect": "ask", "always": "yes"}], "/rules/0/always", "true or false"),
    ([{"id": "a", "effect": "ask", "factors": []}], "/rules/0/factors", "somebody has to agree"),
    ([{"id": "a", "effect": "ask", "factors": [{"count": 1}]}], "/rules/0/factors", "a role or"),
    (
        [{"id": "a", "effect": "ask", "factors": [{"role": "viewer"}]}],
        "/rules/0/factors",
        "approver",
    ),
    (
        [{"id": "a", "effect": "ask", "factors": [{"team": "a"}, {"team": "a"}]}],
        "/rules/0/factors",
        "twice",
    ),
    ([{"id": "a", "effect": "ask", "undo_seconds": 31}], "/rules/0/undo_seconds", "0 to 30"),
    ([{"id": "a", "effect": "ask", "undo_seconds": True}], "/rules/0/undo_seconds", "whole"),
    (
        [{"id": "a", "effect": "ask", "on_expiry": "approve", "decide_minutes": 5}],
        "/rules/0/on_expiry",
        "“low” only",
    ),
    (
        [{"id": "a", "effect": "ask", "on_expiry": "escalate"}],
        "/rules/0/decide_minutes",
        "how many minutes",
    ),
    ([{"id": "a", "effect": "ask", "separation": {"me": True}}], "/rules/0/separation", "owner"),
    ([{"id": "a", "effect": "ask"}, {"id": "a", "effect": "ask"}], "/rules/1/id", "another rule"),
    ([{"id": str(n), "effect": "ask"} for n in range(201)], "/rules", "at most 200"),
]


@pytest.mark.parametrize(("raw", "path", "remedy"), FAULTS)
def test_a_rule_that_cannot_be_read_names_its_place_and_the_remedy(
    raw: object, path: str, remedy: str
) -> None:
    with pytest.raises(RuleFault) as refused:
        rules.parse(raw)
    assert refused.value.path == path
    assert remedy in str(refused.value)


def test_a_fault_names_the_rule_by_place_and_id() -> None:
    with pytest.raises(RuleFault, match=r"^rule 2 “refunds”: effect: it is one of"):
        rules.parse([{"id": "a", "effect": "ask"}, {"id": "refunds", "effect": "no"}])


def test_a_rule_is_read_back_as_it_was_written() -> None:
    whole = {
        "id": "big", "title": "Big refunds", "effect": "ask", "mode": "watch", "always": True,
        "agents": ["desk"], "tools": ["refund*"], "effects": ["once"], "people": ["ana"],
        "teams": ["shop"], "when": ABOVE, "risk": "high",
        "factors": [{"role": "approver", "count": 2}, {"team": "finance", "count": 1}],
        "decide_minutes": 30, "on_expiry": "escalate", "execute_minutes": 5, "undo_seconds": 5,
        "chain": "nights", "separation": {"owner": True, "starter": False, "editor": True},
        "grants": False, "feedback": "Ask a colleague.",
    }  # fmt: skip
    (spec,) = reading.read([whole])
    assert spec.as_json() == whole
    assert spec.brief() == whole
    (short,) = reading.read([{"id": "a", "effect": "deny"}])
    assert short.brief() == {"id": "a", "effect": "deny"}
    assert reading.read([short.as_json()]) == (short,)


_rule = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(["allow", "ask", "deny"]),
        "mode": st.sampled_from(["enforced", "watch"]),
        "tools": st.sampled_from([[], ["refund"], ["other"]]),
        "when": st.sampled_from(["", ABOVE, "false", "arguments.missing == 1"]),
    }
)


@given(st.lists(_rule, max_size=5), _rule.filter(lambda rule: rule["effect"] != "allow"))
def test_a_rule_that_asks_or_denies_never_makes_a_policy_weaker(
    before: list[dict[str, Any]], added: dict[str, Any]
) -> None:
    strictness = ["allow", "ask", "deny"]
    unless = rules.decide([policy(*before, unmatched="allow")], facts()).effect
    then = rules.decide([policy(*before, added, unmatched="allow")], facts()).effect
    assert strictness.index(then) >= strictness.index(unless)
