"""The REST API of runs, as an app sees it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agentops.accounts.models import User
from runs import conversations, services
from runs.models import Journal, Run, RunPayload
from tests import people
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db


class App:
    """A program with a token."""

    def __init__(self, user: User) -> None:
        token = people.token(user)
        self.client = Client(headers={"authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1/{path}")

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            f"/api/v1/{path}", {} if body is None else body, "application/json", headers=named
        )


@pytest.fixture
def app(owner: User) -> App:
    return App(owner)


def start(owner: User | None, **fields: Any) -> Run:
    fields = {"agent": "anything", "input": {}, "started_by": "x", **fields}
    return services.start_run(owner=owner, **fields).run


def test_a_start_answers_with_the_run(app: App, owner: User) -> None:
    answer = app.post("runs", {"agent": "echo", "input": {"ticket": "t-1"}, "priority": 5})
    assert answer.status_code == 201
    body = answer.json()
    run = Run.objects.get(public_id=body["id"])
    assert (body["status"], body["waiting_for"], body["title"]) == ("queued", None, "t-1")
    assert (run.owner, run.started_by, run.priority) == (owner, "olga", 5)


def test_a_start_costs_two_queries(app: App) -> None:
    app.get("agents")  # The first use of a minute is written down.
    with CaptureQueriesContext(connection) as queries:
        assert app.post("runs", {"agent": "anything"}).status_code == 201
    assert len(queries) == 2, [query["sql"][:80] for query in queries]


def test_a_start_with_a_key_is_made_once(app: App) -> None:
    body = {"agent": "anything", "input": {"value": 1}}
    first = app.post("runs", body, idempotency_key="order-7")
    again = app.post("runs", body, idempotency_key="order-7")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = app.post("runs", {**body, "input": {"value": 2}}, idempotency_key="order-7")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code", "meta"),
    [
        ({"agent": "ehco"}, 404, "unknown_agent", None),
        ({"agent": "echo", "input": {}}, 422, "invalid_input", {"path": "/ticket"}),
        ({"agent": "echo", "input": {"ticket": 1}}, 422, "invalid_input", {"path": "/ticket"}),
        ({"input": {}}, 422, "invalid_request", {"fields": {"/agent"}}),
        ({"agent": "echo", "priority": 1e9}, 422, "invalid_request", {"fields": {"/priority"}}),
        ({"agent": "echo", "inptu": 1}, 422, "invalid_request", {"fields": {"/inptu"}}),
        ({"agent": "a\0"}, 422, "invalid_request", {"fields": {"/agent"}}),
        ({"agent": "echo", "expires_at": "2020-01-01T00:00:00Z"}, 422, "invalid_request", None),
        ([1], 422, "invalid_request", {"fields": {"/"}}),
    ],
)
def test_bad_starts_name_what_is_wrong_and_store_nothing(
    app: App, body: object, status: int, code: str, meta: dict[str, Any] | None
) -> None:
    answer = app.post("runs", body)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (status, code)
    assert said["message"]
    assert said["error_id"].startswith("err_")
    assert said["retryable"] is False
    if meta and "path" in meta:
        assert said["meta"]["path"] == meta["path"]
    if meta and "fields" in meta:
        assert set(said["meta"]["fields"]) == meta["fields"]
    assert Run.objects.count() == 0


def test_an_unknown_agent_comes_with_the_nearest_names(app: App) -> None:
    assert "Did you mean “echo”?" in app.post("runs", {"agent": "ehco"}).json()["suggestions"]


@pytest.mark.parametrize("raw", ["{", "", "[NaN]", '{"agent": Infinity}', "\xff", "[" * 100_000])
def test_what_is_not_json_is_malformed(app: App, raw: str) -> None:
    data = raw.encode("latin-1")
    answer = app.client.post("/api/v1/runs", data, "application/json")
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("malformed_request", "invalid_request")


def test_a_body_too_large_is_refused_unread(app: App, settings: Any) -> None:
    settings.AGENTOPS_MAX_PAYLOAD_BYTES = 1000
    answer = app.post("runs", {"agent": "anything", "input": {"value": "x" * 70_000}})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    answer = app.post("runs", {"agent": "anything", "input": {"value": "x" * 1001}})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert RunPayload.objects.count() == 0


def test_other_media_types_are_refused(app: App) -> None:
    answer = app.client.post("/api/v1/runs", "agent=echo", "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Bearer \xe9", "Token a b"])
def test_without_a_valid_token_nothing_is_told(owner: User, header: str) -> None:
    answer = Client(headers={"authorization": header}).get("/api/v1/runs")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] in ("not_authenticated", "invalid_token")


def test_a_token_that_expired_is_refused(owner: User) -> None:
    token = people.token(owner, days=-1)
    answer = Client(headers={"authorization": f"Token {token}"}).get("/api/v1/runs")
    assert answer.json()["code"] == "invalid_token"


def test_the_console_session_works_too_and_needs_its_csrf_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.get("/api/v1/runs").status_code == 200
    refused = client.post("/api/v1/runs", {"agent": "anything"}, "application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


PLACES = ["", "/events", "/steps", "/stream"]
DEEDS = [
    "/cancel", "/pause", "/resume", "/retry", "/replay", "/signal", "/fork",
    "/steps/pay%231/settle",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_strangers_see_no_run(owner: User, stranger: User, place: str) -> None:
    answer = App(stranger).get(f"runs/{start(owner).public_id}{place}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("deed", DEEDS)
def test_strangers_can_do_nothing(owner: User, stranger: User, deed: str) -> None:
    run = start(owner)
    answer = App(stranger).post(f"runs/{run.public_id}{deed}", {"verdict": "stop"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    run.refresh_from_db()
    assert run.status == "queued"
    assert Run.objects.count() == 1


@pytest.mark.parametrize("place", [*PLACES, *DEEDS])
def test_the_wrong_method_is_said(app: App, owner: User, place: str) -> None:
    path = f"/api/v1/runs/{start(owner).public_id}{place}"
    answer = app.client.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("name", ["run_nothing", "x" * 3000, "%00", "run_%0a"])
def test_names_that_name_nothing_are_not_found(app: App, name: str) -> None:
    assert app.get(f"runs/{name}").json()["code"] == "not_found"


def test_unknown_addresses_answer_in_the_same_form(app: App) -> None:
    for path in ("nothing", "runs/", "runs/a/b/c"):
        answer = app.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_operators_see_all_runs_and_owners_theirs(
    owner: User, stranger: User, operator: User
) -> None:
    run = start(owner)
    ids = {name: [item["id"] for item in App(user).get("runs").json()["items"]]
           for name, user in (("o", owner), ("s", stranger), ("op", operator))}  # fmt: skip
    assert ids == {"o": [run.public_id], "s": [], "op": [run.public_id]}


def test_lists_page_by_cursor_without_loss(app: App, owner: User) -> None:
    made = [start(owner).public_id for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = app.get("runs", limit=3, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        start(owner)
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_a_list_costs_its_rows_and_the_rights_of_its_reader_however_long(
    app: App, owner: User
) -> None:
    runs = [start(owner) for _ in range(5)]
    Run.objects.filter(pk=runs[0].pk).update(forked_from=runs[1])
    with CaptureQueriesContext(connection) as queries:
        assert len(app.get("runs").json()["items"]) == 5
    # Token (and that it was used), roles, teams, runs.
    assert len(queries) == 5


@pytest.mark.parametrize("cursor", ["nonsense", "cD1ub3QrYSt0aW1l", "cD0yMDI2LTk5LTk5", "bz14"])
def test_cursors_of_other_lists_are_refused(app: App, owner: User, cursor: str) -> None:
    start(owner)
    answer = app.get("runs", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_lists_are_filtered(app: App, owner: User, worker: FakeWorker) -> None:
    start(owner)
    waits = worker.suspends(worker.claims(start(owner)), "event")
    found = app.get("runs", status="waiting", waiting_for="event", agent="anything").json()
    assert [item["id"] for item in found["items"]] == [waits.public_id]
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    assert app.get("runs", created_at__gte=soon).json()["items"] == []
    assert app.get("runs", status="lost").json()["meta"]["fields"].keys() == {"/status"}


def test_a_run_is_read_with_its_values(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.finishes(worker.claims(start(owner, input={"value": [1]})), output={"sum": 1})
    body = app.get(f"runs/{run.public_id}").json()
    assert (body["input"], body["output"], body["error"]) == ({"value": [1]}, {"sum": 1}, None)
    assert (body["status"], body["stop_reason"]) == ("succeeded", "completed")


def test_values_json_does_not_have_are_told_as_text(app: App, owner: User) -> None:
    run = start(owner)
    RunPayload.objects.filter(run=run).update(output_codec=0, output=b'[NaN, -Infinity, "\\ud800"]')
    assert app.get(f"runs/{run.public_id}").json()["output"] == ["nan", "-inf", "\ud800"]


def test_cancel_says_who_it_was(app: App, owner: User, operator: User) -> None:
    mine, theirs = start(owner), start(owner)
    body = app.post(f"runs/{mine.public_id}/cancel", {"note": "wrong"}).json()
    assert (body["status"], body["stop_reason"]) == ("cancelled", "cancelled_by_user")
    body = App(operator).post(f"runs/{theirs.public_id}/cancel").json()
    assert body["stop_reason"] == "cancelled_by_operator"
    again = app.post(f"runs/{mine.public_id}/cancel")
    assert (again.status_code, again.json()["stop_reason"]) == (200, "cancelled_by_user")


def test_events_come_in_pages(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.appends(run, "look#1", meta={"type": "tool", "attempt": 1})
    page = app.get(f"runs/{run.public_id}/events", limit=1).json()
    assert [item["type"] for item in page["items"]] == ["run.created"]
    rest = app.get(f"runs/{run.public_id}/events", after=page["next_after"]).json()
    (event,) = rest["items"]
    assert (event["seq"], event["step"], event["attempt"]) == (2, "look#1", 1)
    assert event["data"] == {"type": "tool", "attempt": 1}
    assert rest["next_after"] is None
    only = app.get(f"runs/{run.public_id}/events", types="run.created,run.failed").json()
    assert [item["seq"] for item in only["items"]] == [1]


def test_a_signal_is_accepted_once(app: App, owner: User) -> None:
    run = start(owner)
    body = {"name": "paid", "payload": {"sum": 3}, "dedup_key": "m-1"}
    assert app.post(f"runs/{run.public_id}/signal", body).json() == {"accepted": True}
    assert app.post(f"runs/{run.public_id}/signal", body).json() == {"accepted": False}
    app.post(f"runs/{run.public_id}/cancel")
    late = app.post(f"runs/{run.public_id}/signal", {"name": "paid"})
    assert (late.status_code, late.json()["code"]) == (409, "run_is_final")


def test_an_uncertain_step_is_listed_and_settled(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.is_unsure(run, "team/pay#1")
    busy = app.post(f"runs/{run.public_id}/steps/team/pay%231/settle", {"verdict": "happened"})
    assert (busy.json()["code"], busy["Retry-After"]) == ("run_is_busy", "1")
    worker.suspends(run, "operator", "uncertain:team/pay#1")
    (step,) = app.get(f"runs/{run.public_id}/steps").json()["items"]
    assert (step["key"], step["status"], step["effect"]) == ("team/pay#1", "uncertain", "once")
    path = f"runs/{run.public_id}/steps/team/pay%231/settle"
    early = app.post(path, {"verdict": "did_not_happen"})
    assert (early.status_code, early.json()["code"]) == (409, "in_quarantine")
    assert early.json()["retryable"] is True
    assert 50 < int(early["Retry-After"]) < 70
    assert "until" in early.json()["meta"]
    done = app.post(path, {"verdict": "happened", "result": {"id": 1}, "reference": "bank"})
    assert (done.status_code, done.json()["status"]) == (200, "queued")
    again = app.post(path, {"verdict": "happened"})
    assert (again.status_code, again.json()["code"]) == (409, "not_uncertain")
    assert app.post(path, {"verdict": "maybe"}).status_code == 422


def test_a_parked_run_is_resumed(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.suspends(worker.claims(start(owner)), "operator", "crash_loop")
    assert app.post(f"runs/{run.public_id}/resume").json()["status"] == "queued"
    again = app.post(f"runs/{run.public_id}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "not_parked")


def test_a_run_is_forked_once_per_key(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.appends(run, "look#1")
    path, body = f"runs/{run.public_id}/fork", {"at_seq": 2, "input": {"value": 2}}
    first = app.post(path, body, idempotency_key="f")
    again = app.post(path, body, idempotency_key="f")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["forked_from"] == run.public_id
    assert first.json()["id"] == again.json()["id"]
    assert app.post(path, {"at_seq": 99}).json()["code"] == "no_such_event"


def test_agents_are_listed_with_their_schemas(app: App) -> None:
    agents = {agent["name"]: agent for agent in app.get("agents").json()["items"]}
    assert agents["echo"]["description"] == "Say it again."
    assert agents["echo"]["input_schema"]["required"] == ["ticket"]
    assert (agents["anything"]["timeout_seconds"], agents["anything"]["queue"]) == (60.0, "slow")


def test_an_agent_is_read_and_one_nobody_knows_comes_with_the_nearest_names(app: App) -> None:
    listed = app.get("agents").json()["items"]
    assert app.get(f"agents/{listed[0]['name']}").json() == listed[0]
    unknown = app.get("agents/ecko")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_agent")
    assert "echo" in unknown.json()["suggestions"][0]


def test_runs_are_found_by_where_they_come_from(app: App, owner: User, worker: FakeWorker) -> None:
    above, _ = start(owner), start(owner)
    below = worker.spawns(above, "child#1")
    talk = conversations.begin(agent="anything", owner=owner, started_by="x").conversation
    conversations.post_message(conversation=talk, content="Hello", sender="x")

    (child,) = app.get("runs", parent=above.public_id).json()["items"]
    assert (child["id"], child["parent"]) == (below.public_id, above.public_id)
    (turn,) = app.get("runs", conversation=talk.public_id).json()["items"]
    assert turn["conversation"] == talk.public_id
    assert app.get(f"runs/{turn['id']}").json()["conversation"] == talk.public_id


def test_request_ids_go_in_and_out(app: App) -> None:
    assert app.client.get("/api/v1/runs", headers={"x-request-id": "abc-1"})["X-Request-Id"] == (
        "abc-1"
    )
    for given in ("", "two words", "x" * 200):
        made = app.client.get("/api/v1/runs", headers={"x-request-id": given})["X-Request-Id"]
        assert len(made) == 36


def test_events_hold_no_values(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.claims(start(owner))
    worker.appends(run, "look#1", value="a secret")
    assert Journal.objects.filter(data__isnull=False).exists()
    assert "secret" not in json.dumps(app.get(f"runs/{run.public_id}/events").json())


def test_a_run_is_paused_and_resumed_by_its_owner(
    app: App, owner: User, worker: FakeWorker
) -> None:
    run = start(owner)
    paused = app.post(f"runs/{run.public_id}/pause").json()
    assert (paused["waiting_for"], paused["waiting_detail"]) == ("operator", "paused:olga")
    assert paused["pause_requested_by"] == "olga"
    assert app.post(f"runs/{run.public_id}/pause").status_code == 200
    resumed = app.post(f"runs/{run.public_id}/resume").json()
    assert (resumed["status"], resumed["pause_requested_by"]) == ("queued", "")


def test_who_is_no_operator_resumes_what_was_paused_and_not_what_crashed(
    stranger: User, worker: FakeWorker
) -> None:
    app, run = App(stranger), start(stranger)
    app.post(f"runs/{run.public_id}/pause")
    assert app.post(f"runs/{run.public_id}/resume").status_code == 200
    run.refresh_from_db()
    crashed = worker.suspends(worker.claims(run), "operator", "crash_loop")
    refused = app.post(f"runs/{crashed.public_id}/resume")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_retries_say_what_cannot_be_retried(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.suspends(worker.claims(start(owner)), "retry", "fetch")
    path = f"runs/{run.public_id}/retry"
    assert app.post(path, {"what": "failure"}).json()["code"] == "not_failed"
    assert app.post(path, {"what": "now"}).json()["status"] == "queued"
    assert app.post(path, {"what": "later"}).json()["meta"]["fields"].keys() == {"/what"}
    sleeps = worker.suspends(worker.claims(start(owner)), "timer")
    told = app.post(f"runs/{sleeps.public_id}/retry", {"what": "now"}).json()
    assert told["code"] == "nothing_to_retry"


def test_a_run_is_run_again_once_per_key(app: App, owner: User) -> None:
    run = start(owner, input={"value": 1}, title="First")
    path = f"runs/{run.public_id}/replay"
    first = app.post(path, {}, idempotency_key="r").json()
    again = app.post(path, {}, idempotency_key="r")
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert (first["forked_from"], first["forked_at_seq"], first["title"]) == (
        run.public_id,
        0,
        "First",
    )
    assert app.get(f"runs/{first['id']}").json()["input"] == {"value": 1}
    other = start(owner)
    mixed = app.post(f"runs/{other.public_id}/replay", {}, idempotency_key="r")
    assert mixed.json()["code"] == "idempotency_mismatch"


@pytest.mark.django_db(transaction=True)
def test_runs_are_found_by_what_callers_wrote_on_them(app: App, owner: User) -> None:
    body = {"agent": "anything", "tags": ["b", "a", "a"], "metadata": {"order": "7", "x:y": ""}}
    made = app.post("runs", {**body, "external_id": "job-1"}).json()
    assert (made["tags"], made["metadata"]) == (["a", "b"], {"order": "7", "x:y": ""})
    start(owner)
    for found in (
        {"tag": ["a", "b"]},
        {"metadata": "order=7"},
        {"external_id": "job-1"},
        {"owner": "olga", "tag": "a"},
    ):
        assert [item["id"] for item in app.get("runs", **found).json()["items"]] == [made["id"]]
    for nothing in ({"tag": ["a", "c"]}, {"metadata": "order=8"}, {"owner": "x"}, {"team": "t"}):
        assert app.get("runs", **nothing).json()["items"] == []
    taken = app.post("runs", {"agent": "anything", "external_id": "job-1"})
    assert (taken.status_code, taken.json()["code"]) == (409, "external_id_taken")
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    "labels",
    [
        {"tags": ["x"] * 17},
        {"tags": ["two words"]},
        {"tags": [""]},
        {"metadata": {str(n): "" for n in range(17)}},
        {"metadata": {"x" * 65: ""}},
        {"metadata": {"x": "y" * 513}},
        {"metadata": {"x": {"y": 1}}},
        {"metadata": {"x": "\0"}},
        {"external_id": ""},
    ],
)
def test_labels_have_limits(app: App, labels: dict[str, Any]) -> None:
    answer = app.post("runs", {"agent": "anything", **labels})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert Run.objects.count() == 0
