"""Which model is asked next, and why the others were not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agentops.execution.port import Tried
from agentops.providers import builtin, routing
from agentops.providers.routing import Candidate, Facts, Route, decide, is_exhausted
from agentops.sdk.messages import user
from agentops.sdk.models import ModelRequest, ToolSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Candidate(endpoint="a", model="small", context_tokens=1000)
OTHER = Candidate(endpoint="b", model="other")
BIG = Candidate(endpoint="a", model="big")
ROUTE = Route("fast", 3, (SMALL, OTHER, BIG))


def facts(resting: dict[str, float] | None = None, **unfit: str) -> Facts:
    return Facts(
        "support",
        "ana",
        "sales",
        NOW,
        lambda t: (resting or {}).get(t, 0.0),
        lambda c: unfit.get(c.endpoint, ""),
    )


def request(text: str = "Hi", bigger: int = 0, *tools: ToolSpec) -> ModelRequest:
    return ModelRequest("fast", (user(text),), tools, bigger=bigger)


def test_the_first_that_fits_is_asked() -> None:
    decision = decide(ROUTE, request(), [], facts())
    assert decision.candidate is SMALL
    assert decision.rejected == {}


def test_one_that_failed_rests_while_the_next_is_asked() -> None:
    tried = [Tried(SMALL.target, "overloaded", NOW + timedelta(seconds=5))]
    decision = decide(ROUTE, request(), tried, facts())
    assert decision.candidate is OTHER
    assert decision.rejected == {SMALL.target: "is left alone for 5 s"}
    later = Facts("support", "", "", NOW + timedelta(seconds=6), lambda _: 0.0, lambda _: "")
    assert decide(ROUTE, request(), tried, later).candidate is SMALL


def test_a_window_that_is_too_small_is_passed_over() -> None:
    decision = decide(ROUTE, request("x" * 10_000), [], facts())
    assert decision.candidate is OTHER
    assert "takes 1,000 tokens" in decision.rejected[SMALL.target]


def test_a_context_overflow_leads_to_another_model_and_never_back() -> None:
    tried = [Tried(SMALL.target, "context_overflow", None, hopeless=True)]
    assert decide(ROUTE, request(), tried, facts()).candidate is OTHER
    assert not is_exhausted(ROUTE, request(), tried, facts())


@pytest.mark.parametrize("code", sorted(routing.FINAL))
def test_what_no_model_would_do_better_ends_the_step(code: str) -> None:
    assert is_exhausted(ROUTE, request(), [Tried(SMALL.target, code, None, hopeless=True)], facts())


def test_a_dead_key_is_not_asked_again_and_hides_nothing() -> None:
    dead = [Tried(c.target, "authentication_failed", None, hopeless=True) for c in (SMALL, BIG)]
    assert decide(ROUTE, request(), dead, facts()).candidate is OTHER
    none_left = [*dead, Tried(OTHER.target, "quota_exceeded", None, hopeless=True)]
    decision = decide(ROUTE, request(), none_left, facts())
    assert is_exhausted(ROUTE, request(), none_left, facts())
    assert "a/small: failed with authentication_failed" in decision.why_nobody
    assert "b/other: failed with quota_exceeded" in decision.why_nobody


def test_when_all_rest_the_shortest_rest_is_waited_for() -> None:
    rests = {SMALL.target: 30.0, OTHER.target: 7.0, BIG.target: 12.0}
    decision = decide(ROUTE, request(), [], facts(rests))
    assert decision.candidate is None
    assert decision.rests_seconds == 7.0
    assert not is_exhausted(ROUTE, request(), [], facts(rests))


def test_answers_that_do_not_fit_lead_to_a_bigger_model_as_long_as_there_is_one() -> None:
    assert [decide(ROUTE, request(bigger=n), [], facts()).candidate for n in range(5)] == [
        SMALL,
        OTHER,
        BIG,
        BIG,
        BIG,
    ]


def test_rules_decide_and_say_which_of_them_did() -> None:
    rules = {
        "agents": {"agents": ["audit"]},
        "people": {"people": ["bo"]},
        "teams": {"teams": ["ops"]},
        "min_input_tokens": {"min_input_tokens": 500},
        "max_input_tokens": {"max_input_tokens": 1},
        "tools": {"tools": True},
        "structured": {"structured": True},
    }
    given = [{"endpoint": "a", "model": name, "when": rule} for name, rule in rules.items()]
    route = Route("fast", 1, routing.candidates([*given, {"endpoint": "z", "model": "last"}]))
    decision = decide(route, request(), [], facts())
    assert decision.candidate is not None
    assert decision.candidate.model == "last"
    assert decision.rejected == {
        f"model:a/{name}": f"its rule on {name} does not hold" for name in rules
    }


def test_models_without_tools_are_not_asked_for_any() -> None:
    route = Route("fast", 1, (Candidate(endpoint="a", model="plain", can_use_tools=False), BIG))
    spec = ToolSpec("find", "", {"type": "object"})
    assert decide(route, request("Hi", 0, spec), [], facts()).candidate is BIG


def test_endpoints_this_worker_has_no_key_for_are_passed_over() -> None:
    decision = decide(ROUTE, request(), [], facts(a="A_KEY is not set for this worker"))
    assert decision.candidate is OTHER
    assert decision.rejected[SMALL.target] == "A_KEY is not set for this worker"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], "at least 1"),
        ({}, "tuple"),
        ([{"endpoint": "a"}], "/0/model"),
        ([{"endpoint": "a", "model": "m", "wehn": {}}], "/0/wehn"),
        ([{"endpoint": "a", "model": "m", "when": {"max_input_tokens": 0}}], "/0/when/max_input"),
        ([{"endpoint": "a", "model": "m"}] * 2, "twice"),
    ],
)
def test_a_wrong_route_is_refused_with_the_place_of_its_fault(value: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        routing.candidates(value)


targets = some.sampled_from([SMALL.target, OTHER.target, BIG.target])
codes = some.sampled_from(["overloaded", "timeout", "context_overflow", "authentication_failed"])
rests = some.one_of(some.none(), some.integers(-60, 60).map(lambda s: NOW + timedelta(seconds=s)))
failures = some.lists(some.builds(Tried, targets, codes, rests, some.booleans()), max_size=8)


@given(failures, some.dictionaries(targets, some.floats(0, 100)), some.integers(0, 4))
def test_there_is_a_candidate_or_a_time_to_wait_or_nobody_is_left(
    tried: list[Tried], resting: dict[str, float], bigger: int
) -> None:
    asked, known = request(bigger=bigger), facts(resting)
    decision = decide(ROUTE, asked, tried, known)
    nobody_left = is_exhausted(ROUTE, asked, tried, known)
    found = decision.candidate is not None
    assert [found, decision.rests_seconds > 0, nobody_left].count(True) == 1
    if decision.candidate is not None:
        assert decision.candidate.target not in decision.rejected
        assert not any(t.hopeless for t in tried if t.target == decision.candidate.target)
    else:
        assert set(decision.rejected) == {c.target for c in ROUTE.candidates}


def test_without_a_key_the_scripted_provider_stands_in_and_with_one_it_does_not() -> None:
    bare = builtin.endpoints({})
    route = builtin.route("fast", bare)
    assert route is not None
    assert [c.endpoint for c in route.candidates] == ["scripted"]
    keyed = builtin.endpoints({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
    for name in builtin.NAMES:
        route = builtin.route(name, keyed)
        assert route is not None
        assert [c.endpoint for c in route.candidates] == ["anthropic", "openai"]
    assert builtin.route("nonsense", keyed) is None
    assert "secret" not in repr(builtin.endpoints({"OPENAI_API_KEY": "secret"}))
