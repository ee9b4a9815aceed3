"""The OpenAPI document: without warnings, complete, and kept by the API when it is fuzzed."""

from __future__ import annotations

import functools
import time
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
import schemathesis
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from agentops.accounts import tokens
from agentops.accounts.access import Actor
from agentops.accounts.roles import Role, Scope
from agentops.api.codes import CODES
from runs import bulk, conversations, services
from runs.models import BulkVerb, Memory, Run, Stop
from tests import people
from tests.approvals import making
from tests.runs.fake_worker import FakeWorker


@functools.cache
def document() -> dict[str, Any]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    made: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return made


def operations() -> list[tuple[str, str]]:
    return [
        (path, method.upper())
        for path, methods in document()["paths"].items()
        for method in methods
    ]


def test_the_document_is_made_without_a_warning() -> None:
    said = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO(), stderr=said)
    assert said.getvalue() == ""


def test_every_address_is_in_the_document() -> None:
    resolver = get_resolver("runs.api.urls")
    known = {path.removeprefix("/api/v1/") for path, _ in operations()}
    for pattern in resolver.url_patterns:
        route = str(pattern.pattern).replace("<str:", "{").replace("<path:", "{").replace(">", "}")
        assert route in known


def test_every_operation_says_how_it_fails() -> None:
    for path, method in operations():
        responses = document()["paths"][path][method.lower()]["responses"]
        assert {"401", "422", "500"} <= responses.keys()
    codes = document()["components"]["schemas"]["Error"]["properties"]["code"]
    assert "$ref" in codes or set(codes["enum"]) == set(CODES)


# Goes on for hours; tests/runs/test_stream.py and test_conversation_stream.py follow some.
STREAMS = "/stream"
# What needs more than an owner alone has: another state, a password, a service, more rights.
NEVER_DONE_HERE = {
    "POST /api/v1/delegations", "GET /api/v1/delegations", "DELETE /api/v1/delegations/{public_id}",
    "POST /api/v1/memories/erase", "POST /api/v1/password",
    "DELETE /api/v1/conversations/{public_id}", "GET /api/v1/routes", "GET /api/v1/routes/{name}",
    "POST /api/v1/tokens", "DELETE /api/v1/tokens/{public_id}",
    "POST /api/v1/runs/{public_id}/retry", "POST /api/v1/runs/{public_id}/resume",
    "POST /api/v1/runs/{public_id}/steps/{key}/settle",
    "POST /api/v1/runs/{public_id}/take-over", "POST /api/v1/runs/{public_id}/hand-back",
    "POST /api/v1/runs/{public_id}/steps/{key}/supply",
    "GET /api/v1/stops", "POST /api/v1/stops", "GET /api/v1/stops/{public_id}",
    "POST /api/v1/stops/{public_id}/lift",
    "GET /api/v1/tools", "POST /api/v1/tools/{server}/{tool}/decide",
    # Only a session decides; tests/approvals/test_api.py does it in one.
    "POST /api/v1/approvals/decide", "POST /api/v1/approvals/{public_id}/decide",
    "POST /api/v1/approvals/{public_id}/withdraw", "POST /api/v1/approvals/{public_id}/revoke",
    "POST /api/v1/approvals/{public_id}/ask-back", "POST /api/v1/approvals/{public_id}/grants",
    "POST /api/v1/approvals/{public_id}/acknowledge",
    "POST /api/v1/approvals/{public_id}/give-back", "POST /api/v1/approvals/{public_id}/escalate",
    "POST /api/v1/grants/{public_id}/revoke", "POST /api/v1/deputies",
    "POST /api/v1/deputies/{number}/end",
    # For who looks after runs, and changed in a session: tests/approvals/test_policy_api.py.
    "GET /api/v1/policies", "GET /api/v1/policies/versions", "POST /api/v1/policies/versions",
    "GET /api/v1/policies/versions/{number}", "POST /api/v1/policies/versions/{number}/revert",
    "POST /api/v1/policies/proposals/{number}/agree", "POST /api/v1/policies/simulate",
    "POST /api/v1/policies/proposals/{number}/refuse",
    "GET /api/v1/runs/{public_id}/stream", "GET /api/v1/conversations/{public_id}/stream",
}  # fmt: skip
EXAMPLES = 5
# Bodies that are done, by the end of the address; what is made up is mostly refused.
SANE: dict[str, dict[str, Any]] = {
    "/runs": {"agent": "anything"},
    "/runs/batch": {"runs": [{"agent": "anything"}]},
    "/runs/wait": {"agent": "anything", "wait_seconds": 0},
    "/runs/search": {"status": "queued"},
    "/conversations": {"agent": "anything"},
    "/memories": {"key": "another", "value": 1},
    "/memories/{public_id}": {"value": 1, "revision": 1},
    "/messages": {"content": "Hello"},
    "/browser-tokens": {"tags": ["a"]},
    "/bulk-actions": {"action": "pause", "filter": {"agent": "anything"}},
    "/signal": {"name": "go"},
    "/fork": {"at_seq": 1},
    "/settle": {"verdict": "stop"},
    "/replay": {},
    "/answer": {"answer": {"account": "EU"}},
    "/decline": {},
    "/cancel": {},
    "/stops": {"scope": "tool", "target": "pay", "reason": "It pays twice."},
    "/lift": {"reason": "Mended."},
    "/simulate": {"rules": [{"id": "a", "effect": "deny"}]},
}


@dataclass
class World:
    """What there is to ask for, and who asks."""

    named: dict[str, list[str]]
    callers: dict[str, dict[str, str]]

    def named_at(self, path: str) -> list[str | None]:
        """Names that are there, for the place of a name in ``path``; None leaves it as it is."""
        found = [ids for begin, ids in self.named.items() if path.startswith(f"/api/v1/{begin}")]
        return [*found[0], None] if found and not path.endswith(STREAMS) else [None]


@pytest.fixture
def world(transactional_db: None, worker: FakeWorker, settings: Settings) -> World:
    """Runs in some states, conversations and bulk actions, and people of every kind."""
    # The fuzzer guesses passwords; tests/accounts/test_tokens.py shows that guessing is stopped.
    settings.AXES_FAILURE_LIMIT = 10**6
    owner, stranger = people.person("olga"), people.person("sven")
    for _ in range(3):
        services.start_run(agent="anything", input={}, owner=owner, started_by="x")
    parked = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    worker.claims(parked)
    worker.intends(parked, "pay#1")
    worker.suspends(parked, "operator", "uncertain:pay#1")
    talk = conversations.begin(agent="anything", owner=owner, started_by="x").conversation
    conversations.post_message(conversation=talk, content="Hello", sender="x")
    actor = Actor(owner).ready()
    verb, runs = BulkVerb.PAUSE, Run.objects.filter(pk=parked.pk)
    action = bulk.start(actor=actor, verb=verb, runs=runs, said={}).action
    browser = tokens.make_browser_token(
        actor=actor, opens=[parked.public_id], scopes=[Scope.RUNS_READ], now=timezone.now()
    )
    secrets = {
        "owner": people.token(owner),
        "stranger": people.token(stranger),
        "reader": people.token(owner, Scope.RUNS_READ),
        "viewer": people.token(people.person("vera", Role.VIEWER)),
        "operator": people.token(people.person("otto", Role.OPERATOR)),
        "administrator": people.token(people.administrator("root")),
        "browser": browser.secret,
    }
    callers = {name: {"Authorization": f"Bearer {secret}"} for name, secret in secrets.items()}
    doomed, *others = Run.objects.exclude(pk=parked.pk).values_list("public_id", flat=True)
    first, second, third = (making.question(making.waiting_run(owner)) for _ in range(3))
    named = {
        "approvals/{public_id}/answer": [first.public_id],
        "approvals/{public_id}/decline": [second.public_id],
        "approvals/{public_id}": [third.public_id],
        "runs/{public_id}/steps": [parked.public_id],
        "runs/{public_id}/cancel": [doomed],
        "runs": others,
        "conversations": [talk.public_id],
        "bulk-actions": [action.public_id],
        "agents": ["anything"],
        "stops": [Stop.objects.create(scope="tool", target="x", reason="y", by="z").public_id],
        "memories": [
            Memory.objects.create(owner=owner, kind="person", key=key, codec=0, data=b"1").public_id
            for key in "abc"
        ],
    }
    return World(named, {**callers, "nobody": {}})


ROLES = (
    "owner", "stranger", "reader", "viewer", "operator", "administrator", "browser", "nobody",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_no_request_meets_a_crash_or_an_undocumented_answer(world: World, role: str) -> None:
    schema = schemathesis.openapi.from_dict(document())
    schema.app = get_wsgi_application()
    answers: dict[str, Counter[int]] = {}
    begun = time.monotonic()
    for path, method in operations():
        asked = answers.setdefault(f"{method} {path}", Counter())
        sane = next((body for end, body in SANE.items() if path.endswith(end)), None)
        _ask(schema[path][method], world.named_at(path), sane, world.callers[role], asked)
    seconds = time.monotonic() - begun
    total = sum(counted.total() for counted in answers.values())
    print(f"{role}: {total} requests to {len(answers)} operations in {seconds:.0f} s")
    # Every operation there is was asked, and answered by more than refusals where that can be.
    assert answers.keys() == {f"{method} {path}" for path, method in operations()}
    assert all(counted.total() >= EXAMPLES for counted in answers.values()), answers
    done = {name for name, counted in answers.items() if any(code < 300 for code in counted)}
    if role == "owner":
        assert answers.keys() - done <= NEVER_DONE_HERE
    if role == "nobody":
        assert done == set()


def _ask(
    operation: Any,
    names: list[str | None],
    body: dict[str, Any] | None,
    headers: dict[str, str],
    asked: Counter[int],
) -> None:
    """Ask an operation what its schema allows, about things that are there and that are not."""

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(),
        name=st.sampled_from(names),
        is_sane=st.sampled_from([True, False]),
    )
    def ask(case: Case[Any], name: str | None, is_sane: bool) -> None:
        if is_sane:
            case.query, case.body = {}, case.body if body is None else dict(body)
        if name is not None:
            known = {"public_id": name, "name": name, "key": quote("pay#1", safe="")}
            case.path_parameters |= {n: known[n] for n in case.path_parameters}
        # What an agent, a clock or a cursor accepts is more than a schema can say.
        answer = case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])
        asked[answer.status_code] += 1

    ask()
