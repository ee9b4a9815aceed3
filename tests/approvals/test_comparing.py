"""What changed between two versions, in words, and whether agents may do more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import comparing, rules, wording
from approvals.reading import read
from approvals.rules import Facts, Policy

BIG = "double(arguments.amount) > 200.0"
ASK: dict[str, Any] = {"id": "big", "effect": "ask", "tools": ["refund"], "when": BIG}
DENY: dict[str, Any] = {"id": "no", "effect": "deny", "tools": ["delete*"]}
ALLOW: dict[str, Any] = {"id": "small", "effect": "allow", "tools": ["refund", "mail"]}


def policy(*given: dict[str, Any], unmatched: str = "ask") -> Policy:
    return Policy(rules.parse(list(given)), unmatched)


def changed(rule: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**rule, **fields}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # More rules that ask or deny, or only watch; fewer that allow.
        ([], [ASK]),
        ([], [DENY]),
        ([], [changed(ALLOW, mode="watch")]),
        ([ALLOW], []),
        ([ALLOW], [changed(ALLOW, tools=["refund"])]),
        ([ALLOW], [changed(ALLOW, when=BIG)]),
        # Stricter, or over more.
        ([ASK], [changed(ASK, effect="deny")]),
        ([ASK], [changed(ASK, always=True)]),
        ([ASK], [changed(ASK, when="")]),
        ([ASK], [changed(ASK, tools=[])]),
        ([ASK], [changed(ASK, tools=["refund", "pay"])]),
        ([ASK], [changed(ASK, factors=[{"role": "approver", "count": 2}])]),
        ([ASK], [changed(ASK, risk="high", grants=False)]),
        ([ASK], [changed(ASK, title="Another name", feedback="Why", decide_minutes=5)]),
        ([ASK, DENY], [DENY, ASK]),
        # Under another name.
        ([ASK], [changed(ASK, id="other")]),
    ],
)
def test_a_stricter_policy_widens_nothing(old: list[Any], new: list[Any]) -> None:
    assert comparing.widens(policy(*old), policy(*new)) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ([ASK], [], "“big” no longer holds"),
        ([DENY], [changed(DENY, effect="ask")], "“no” no longer holds"),
        ([DENY], [changed(DENY, mode="watch")], "“no” no longer holds"),
        ([DENY], [changed(DENY, agents=["desk"])], "“no” no longer holds"),
        ([DENY], [changed(DENY, when=BIG)], "“no” no longer holds"),
        ([ASK], [changed(ASK, when="double(arguments.amount) > 300.0")], "“big” no longer"),
        ([changed(ASK, always=True)], [ASK], "“big” no longer holds"),
        ([changed(ASK, grants=False)], [ASK], "“big” no longer holds"),
        ([changed(ASK, risk="high")], [ASK], "“big” no longer holds"),
        ([ASK], [changed(ASK, factors=[{"team": "finance"}])], "“big” no longer holds"),
        ([ASK], [changed(ASK, separation={"owner": False})], "“big” no longer holds"),
        ([], [ALLOW], "“small” allows what was not allowed"),
        ([ALLOW], [changed(ALLOW, tools=[])], "“small” allows"),
        ([changed(ALLOW, when=BIG)], [], "“small” no longer asks where its condition"),
        ([changed(ALLOW, mode="watch")], [ALLOW], "“small” allows"),
    ],
)
def test_a_wider_policy_says_what_is_wider(old: list[Any], new: list[Any], why: str) -> None:
    (said,) = comparing.widens(policy(*old), policy(*new))
    assert why in said


def test_what_no_rule_speaks_of_counts_too() -> None:
    assert comparing.widens(policy(unmatched="ask"), policy(unmatched="allow")) == [
        "What no rule speaks of and does more than read may happen."
    ]
    assert comparing.widens(policy(unmatched="ask"), policy(unmatched="deny")) == []
    # Where all is denied, to ask is more.
    assert comparing.widens(policy(unmatched="deny"), policy(ASK, unmatched="deny")) == [
        "“big” asks about what was denied."
    ]
    # Where all is allowed, no rule can allow more.
    assert comparing.widens(policy(unmatched="allow"), policy(ALLOW, unmatched="allow")) == []


def test_a_rule_that_could_not_be_read_is_not_forgotten_lightly() -> None:
    broken = rules.recall([{"id": "x", "effect": "ask", "from_the_future": 1}])
    assert comparing.widens(broken, policy()) == [
        "“A rule that is not readable” no longer holds as it did."
    ]


def test_a_difference_reads_like_what_changed() -> None:
    old = policy(ASK, DENY, ALLOW)
    new = policy(
        ALLOW, changed(ASK, risk="high"), {"id": "new", "effect": "deny"}, unmatched="deny"
    )
    lines = comparing.difference(old, new)
    assert lines == [
        "- no: Do not let any agent call delete*",
        "↕ small: now first of those that stay",
        "- big: medium risk",
        "+ big: high risk",
        "↕ big: now number 2 of those that stay",
        "+ new: Do not let any agent call any tool",
        "~ What no rule speaks of and does more than read must not happen.",
    ]
    assert comparing.difference(old, old) == []


def test_of_a_changed_rule_only_what_is_different_is_told() -> None:
    other = {"effect": "deny", "mode": "watch", "title": "Big", "when": ""}
    assert comparing.difference(policy(ASK), policy(changed(ASK, **other))) == [
        f"- big: Ask an approver before any agent calls refund; when {BIG}; medium risk",
        "+ big: Do not let any agent call refund; watch only; called “Big”",
    ]
    assert comparing.difference(policy(ASK), policy(changed(ASK, when="false"))) == [
        f"- big: when {BIG}",
        "+ big: when false",
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"effect": "allow"}, "Let any agent call any tool"),
        ({"effect": "deny", "agents": ["a", "b"], "tools": ["x"]}, "Do not let a or b call x"),
        (
            {"effect": "ask", "always": True, "agents": ["a", "b"], "effects": ["once"]},
            "Always ask an approver before a or b call any tool that happens once",
        ),
        (
            {
                "effect": "ask",
                "factors": [{"role": "approver", "count": 2}, {"team": "finance"}],
                "people": ["ana"],
                "teams": ["shop"],
                "when": BIG,
            },
            "Ask 2 approvers and 1 of finance before any agent calls any tool for ana in runs of "
            "shop when",
        ),
    ],
)
def test_a_rule_is_a_sentence(rule: dict[str, Any], words: str) -> None:
    (spec,) = read([{"id": "a", **rule}])
    assert wording.sentence(spec) == words


def test_the_terms_of_asking_are_told_in_a_few_words() -> None:
    (spec,) = read([{
        "id": "a", "effect": "ask", "risk": "low", "decide_minutes": 120, "on_expiry": "approve",
        "execute_minutes": 1, "undo_seconds": 5, "chain": "nights", "grants": False,
        "separation": {"owner": False, "starter": False}, "feedback": "Wait.",
    }])  # fmt: skip
    assert wording.terms(spec) == [
        "low risk", "decided within 2 hours, after that it may happen",
        "begins within a minute of the approval", "may be taken back for 5 s",
        "escalated by “nights”", "no standing grants",
        "also whom it is for and who started it may decide", "told when rejected: “Wait.”",
    ]  # fmt: skip


_rule = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c"]),
        "effect": st.sampled_from(["allow", "ask", "deny"]),
        "mode": st.sampled_from(["enforced", "watch"]),
        "tools": st.sampled_from([[], ["refund"], ["refund", "mail"], ["re*"]]),
        "agents": st.sampled_from([[], ["desk"]]),
        "when": st.sampled_from(["", BIG, "arguments.missing == 1"]),
    }
)
_policy = st.builds(
    lambda found, unmatched: policy(*found, unmatched=unmatched),
    st.lists(_rule, max_size=3, unique_by=lambda rule: rule["id"]),
    st.sampled_from(["allow", "ask", "deny"]),
)
_call = st.builds(
    lambda agent, tool, amount, effect: Facts(agent, tool, effect, {"amount": amount}),
    st.sampled_from(["desk", "other"]),
    st.sampled_from(["refund", "mail", "return"]),
    st.sampled_from(["100", "250", "many"]),
    st.sampled_from(["once", "read"]),
)


@settings(max_examples=500, deadline=None)
@given(_policy, _policy, _call)
def test_no_call_is_decided_more_freely_by_a_policy_that_widens_nothing(
    old: Policy, new: Policy, call: Facts
) -> None:
    strictness = ["allow", "ask", "deny"]
    if comparing.widens(old, new) == []:
        now, then = rules.decide([old], call).effect, rules.decide([new], call).effect
        assert strictness.index(then) >= strictness.index(now)
