"""Whatever is sent, nobody meets a crash: odd texts at every operation of the document."""

from __future__ import annotations

import base64
import functools
import json
import re
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from agentops.accounts.models import User
from agentops.api.codes import CODES
from agentops.api.parsers import DEEPEST
from runs import conversations, services
from runs.models import Run
from tests import people

pytestmark = pytest.mark.django_db
BODY_FIELDS = {"code", "message", "suggestions", "retryable", "error_id"}


@functools.cache
def document() -> dict[str, Any]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    made: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return made


def operations() -> list[tuple[str, str]]:
    paths = document()["paths"]
    return [(path, method) for path, methods in paths.items() for method in methods]


# At this one only name and password are taken.
PASSWORD = "/api/v1/password"
POSTS = [path for path, method in operations() if method == "post" and path != PASSWORD]
WITH_BODY = [path for path in POSTS if "requestBody" in document()["paths"][path]["post"]]
GETS = [path for path, method in operations() if method == "get"]
WITH_NAMES = [(path, method) for path, method in operations() if "{" in path]


@pytest.fixture
def root() -> User:
    return people.administrator("root")


@pytest.fixture
def client(root: User) -> Client:
    """Somebody who may do everything, so that nothing is refused before it is looked at."""
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def there(root: User) -> dict[str, str]:
    """A run and a conversation that can be asked for, by the beginning of their addresses."""
    run = services.start_run(agent="anything", input={}, owner=root, started_by="x").run
    talk = conversations.begin(agent="anything", owner=root, started_by="x").conversation
    return {"/api/v1/runs/": run.public_id, "/api/v1/conversations/": talk.public_id}


def at(path: str, there: dict[str, str]) -> str:
    """The address with the name of something that is there, where there is something."""
    found = [name for begin, name in there.items() if path.startswith(begin)]
    return address(path, *found)


def address(path: str, name: str = "") -> str:
    """With ``name`` in it, or with one that could be there."""
    path = path if name else path.replace("{number}", "4000000")
    return re.sub(r"\{\w+\}", name or "run_00000000000000000000", path)


def refused(answer: Any) -> dict[str, Any]:
    """The body of a refusal, which has the one form of all errors."""
    assert 400 <= answer.status_code < 500, answer.content[:300]
    body: dict[str, Any] = answer.json()
    assert body.keys() - {"meta"} == BODY_FIELDS
    assert CODES[body["code"]].status == answer.status_code
    return body


@pytest.mark.parametrize("name", ["%00", "a%00b", "%ff%fe", "%F0%9F%90%8D", "x" * 3000, "%0A"])
def test_no_name_in_an_address_is_a_crash(client: Client, name: str) -> None:
    for path, method in WITH_NAMES:
        answer = getattr(client, method)(address(path, name), content_type="application/json")
        assert refused(answer)["code"] != "malformed_request", path


BROKEN = {
    "bytes that are no text": b'{"name": "\xff"}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "a constant of JavaScript": b'{"name": NaN}',
    "a number beyond all numbers": b'{"name": 1e999}',
    "a number of 5,000 digits": b'{"name": %s}' % (b"9" * 5000),
    "a field that is there twice": b'{"name": "a", "name": "b"}',
    "half of a body": b'{"name": ',
    "no JSON": b"name=a",
    "very deep": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep": b'{"name": ' + b'{"a":' * DEEPEST + b"1" + b"}" * DEEPEST + b"}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_body_is_refused_with_words(
    client: Client, there: dict[str, str], what: str
) -> None:
    for path in WITH_BODY:
        answer = client.post(at(path, there), BROKEN[what], content_type="application/json")
        # Who is asked for by name is looked for first, and so is who came in how long ago.
        expected = {"malformed_request", "not_found", "sign_in_again"}
        assert refused(answer)["code"] in expected, path
    assert Run.objects.count() == 1


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "17", "true", '[{"a": 1}]', "{}"])
def test_a_body_of_another_shape_is_refused_with_words(
    client: Client, there: dict[str, str], body: str
) -> None:
    for path in WITH_BODY:
        answer = client.post(at(path, there), body, content_type="application/json")
        if not (body == "{}" and answer.status_code < 300):
            refused(answer)


# So that what is wrong with one field is not hidden by another one that is missing.
SANE: dict[str, object] = {
    "agent": "anything", "name": "x", "what": "now", "wait_seconds": 0, "verdict": "stop",
    "at_seq": 1, "action": "cancel", "service": "nobody", "content": "Hello", "tags": ["a"],
    "runs": ["run_00000000000000000000"],
}  # fmt: skip
ODD: list[object] = [
    "a\0b", "x" * 70_000, -1, 10**30, -(10**30), 1.5, True, None, [], {}, [[]], {"a": {"b": []}},
    "nan", "Infinity", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30", "",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_no_value_of_any_field_is_a_crash(
    client: Client, there: dict[str, str], value: object
) -> None:
    schemas = document()["components"]["schemas"]
    for path in POSTS:
        said = document()["paths"][path]["post"].get("requestBody", {}).get("content", {})
        named = said.get("application/json", {}).get("schema", {}).get("$ref", "")
        fields = schemas.get(named.rpartition("/")[2], {}).get("properties", {})
        for field in fields:
            # That it is taken by another run is not what is asked here.
            Run.objects.update(external_id=None)
            said = {name: sane for name, sane in SANE.items() if name in fields}
            body = json.dumps({**said, field: value})
            answer = client.post(at(path, there), body, content_type="application/json")
            assert answer.status_code < 500, (path, field, answer.content[:300])


@pytest.mark.parametrize("path", GETS)
def test_a_parameter_nobody_knows_is_named(client: Client, path: str) -> None:
    answer = client.get(address(path) + "?statsu=failed")
    assert answer.status_code < 500
    if path in {"/api/v1/runs", "/api/v1/bulk-actions", "/api/v1/conversations"}:
        body = refused(answer)
        assert body["meta"]["fields"].keys() == {"/statsu"}
        assert "cursor, limit" in body["message"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1e2", "", "²", "9" * 400])
def test_a_page_has_a_size_that_can_be_had(client: Client, limit: str) -> None:
    for path in ("/api/v1/runs", "/api/v1/bulk-actions"):
        assert refused(client.get(path, {"limit": limit}))["meta"]["fields"].keys() == {"/limit"}


@pytest.mark.parametrize("query", ["a=%00", "%00=a", "cursor=%ff", "=", "&&", "a[]=1", "%"])
def test_no_query_is_a_crash(client: Client, query: str) -> None:
    for path in GETS:
        assert client.get(f"{address(path)}?{query}").status_code < 500, path


@pytest.mark.parametrize("value", ["a\0b", "x" * 300, "", "é", "1e99", "9" * 30, "0001-01-01"])
def test_no_value_of_a_filter_is_a_crash(client: Client, value: str) -> None:
    for path in GETS:
        for told in document()["paths"][path]["get"].get("parameters", []):
            if told["in"] == "query":
                answer = client.get(address(path), {told["name"]: value})
                assert answer.status_code < 500, (path, told["name"])


@pytest.mark.parametrize("method", ["head", "options", "trace", "put", "patch", "delete"])
def test_no_method_is_a_crash(client: Client, method: str) -> None:
    for path, _ in operations():
        answer = getattr(client, method)(address(path))
        assert answer.status_code < 500, path
        if method == "head":
            assert not answer.content


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data", "", "a/b; \x01", "json"]
)
def test_a_body_of_another_kind_is_refused(client: Client, kind: str) -> None:
    for path in POSTS:
        answer = client.post(address(path), "hello", content_type=kind)
        expected = {"unsupported_media_type", "not_found", "sign_in_again"}
        assert refused(answer)["code"] in expected, path


HEADERS = {
    "Idempotency-Key": ["", "x" * 256, "é" * 10, "a\tb"],
    "Accept": ["text/html", "*", "application/json;q=x", "nonsense"],
    "Last-Event-ID": ["", "-1", "x", "9" * 40, "1.1"],
    "X-Request-Id": ["x" * 500, "é", ""],
    "traceparent": ["x", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "é"],
    "X-On-Behalf-Of": ["", "x" * 5000, "a:b:c", "é"],
    "Content-Length": ["x"],
}


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_is_a_crash(client: Client, name: str) -> None:
    for path, method in operations():
        for value in HEADERS[name]:
            asked = getattr(client, method)
            answer = asked(address(path), headers={name: value}, content_type="application/json")
            assert answer.status_code < 500, (path, value)


@pytest.mark.parametrize(
    "said",
    [
        "", "Bearer", "Bearer ", "Bearer a b", "Bearer \xe9", "Basic", "Basic !!", "Basic YQ==",
        "Basic OjA=", "Basic YQBiOmM=", "Basic " + "eDp4" * 20_000, "Digest a", "\0", "Token x",
        "Bearer " + "x" * 20_000, "Basic 8J+QjTrwn5CN",
    ],
)  # fmt: skip
def test_nobody_comes_in_with_an_odd_header(said: str) -> None:
    for path, method in operations():
        answer = getattr(Client(), method)(address(path), headers={"Authorization": said})
        assert refused(answer)["code"] in {
            "not_authenticated", "invalid_token", "rate_limit_exceeded",
        }, path  # fmt: skip


SECRET = "agp_0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": f"Bearer {SECRET} more"},
        {"Authorization": f"Basic {base64.b64encode(f'root:{SECRET}'.encode()).decode()}"},
        {"X-On-Behalf-Of": SECRET},
        {"Idempotency-Key": SECRET + "x" * 300},
    ],
)
def test_no_secret_is_said_again(client: Client, headers: dict[str, str]) -> None:
    for path, method in operations():
        answer = getattr(client, method)(
            address(path), headers=headers, content_type="application/json"
        )
        assert SECRET.encode() not in getattr(answer, "content", b""), path
        assert SECRET not in str(answer.headers), path
