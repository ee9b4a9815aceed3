"""The OpenAPI document: without warnings, complete, and kept by the API when it is fuzzed."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from agentops.accounts.models import User
from agentops.api.codes import CODES
from runs import conversations, services
from runs.models import Conversation, Run
from tests import people
from tests.runs.fake_worker import FakeWorker


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


@pytest.fixture
def token(transactional_db: None, worker: FakeWorker, settings: Settings) -> str:
    """A token of a person with runs in some states, so that not everything is not found."""
    # The fuzzer guesses passwords; tests/accounts/test_tokens.py shows that guessing is stopped.
    settings.AXES_FAILURE_LIMIT = 10**6
    owner = User.objects.create_user("olga", password="x")
    for _ in range(3):
        services.start_run(agent="anything", input={}, owner=owner, started_by="x")
    parked = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    worker.claims(parked)
    worker.intends(parked, "pay#1")
    worker.suspends(parked, "operator", "uncertain:pay#1")
    talk = conversations.begin(agent="anything", owner=owner, started_by="x").conversation
    conversations.post_message(conversation=talk, content="Hello", sender="x")
    return people.token(owner)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), operations())
def test_no_request_meets_a_crash_or_an_undocumented_answer(
    token: str, path: str, method: str
) -> None:
    schema = schemathesis.openapi.from_dict(document())
    schema.app = get_wsgi_application()
    operation = schema[path][method]
    kind = Conversation if path.startswith("/api/v1/conversations") else Run
    ids = list(kind.objects.values_list("public_id", flat=True))

    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), run=st.sampled_from([None, *ids]))
    def ask(case: Case[Any], run: str | None) -> None:
        # A stream is for an asynchronous server; tests/runs/test_stream.py follows some.
        if run and "public_id" in case.path_parameters and not path.endswith("/stream"):
            case.path_parameters["public_id"] = run
        case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"},
            # What an agent, a clock or a cursor accepts is more than a schema can say.
            excluded_checks=[positive_data_acceptance],
        )

    ask()
