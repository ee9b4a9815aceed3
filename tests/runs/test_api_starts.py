"""Starting many runs, waiting for one, searching, traces, and how often one may ask."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from agentops.accounts.models import User
from agentops.api import limits
from agentops.api.limits import Buckets
from agentops.api.tracing import continued
from runs import services
from runs.models import Run
from tests.runs.fake_worker import FakeWorker
from tests.runs.test_api import App

pytestmark = pytest.mark.django_db(transaction=True)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def app(owner: User) -> App:
    return App(owner)


def test_a_batch_is_started_as_a_whole_once_per_key(app: App) -> None:
    body = {"runs": [{"agent": "anything", "input": {"value": n}} for n in range(5)]}
    first = app.post("runs/batch", body, idempotency_key="b")
    again = app.post("runs/batch", body, idempotency_key="b")
    assert (first.status_code, again.status_code) == (201, 200)
    assert [run["id"] for run in again.json()["items"]] == [
        run["id"] for run in first.json()["items"]
    ]
    other = {"runs": [{"agent": "anything", "input": {"value": n}} for n in (0, 7)]}
    assert app.post("runs/batch", other, idempotency_key="b").status_code == 422
    assert Run.objects.count() == 5


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"agent": "echo", "input": {}}, None),
        ({"agent": "echo", "priority": 1e9}, "/runs/1/priority"),
        ({"agent": "nobody"}, None),
    ],
)
def test_one_bad_start_stops_the_batch(app: App, bad: dict[str, Any], field: str | None) -> None:
    answer = app.post("runs/batch", {"runs": [{"agent": "anything"}, bad]})
    assert answer.status_code in (404, 422)
    assert field is None or list(answer.json()["meta"]["fields"]) == [field]
    assert Run.objects.count() == 0


def test_a_batch_has_limits(app: App) -> None:
    assert app.post("runs/batch", {"runs": []}).status_code == 422
    many = {"runs": [{"agent": "anything"}] * (services.MOST_IN_A_BATCH + 1)}
    assert app.post("runs/batch", many).status_code == 422


def test_who_waits_gets_the_result_or_the_place_to_look(
    app: App, owner: User, worker: FakeWorker
) -> None:
    body = {"agent": "anything", "wait_seconds": 0.05}
    early = app.post("runs/wait", body, idempotency_key="w")
    assert (early.status_code, early["Retry-After"]) == (202, "1")
    run = Run.objects.get()
    assert early["Location"] == f"/api/v1/runs/{run.public_id}"

    def ends() -> None:
        worker.finishes(worker.claims(run), output={"sum": 1})
        connection.close()

    ending = threading.Timer(0.3, ends)
    ending.start()
    done = app.post("runs/wait", {**body, "wait_seconds": 20}, idempotency_key="w")
    ending.join()
    assert (done.status_code, done.json()["output"]) == (200, {"sum": 1})
    assert Run.objects.count() == 1


def test_runs_are_searched_by_a_body(app: App, owner: User) -> None:
    made = app.post("runs", {"agent": "anything", "tags": ["a"], "metadata": {"order": "7"}}).json()
    services.start_run(agent="anything", input={}, owner=owner, started_by="x")
    found = app.post("runs/search", {"tag": ["a"], "metadata": {"order": "7"}}).json()
    assert [run["id"] for run in found["items"]] == [made["id"]]
    page = app.post("runs/search?limit=1", {}).json()
    rest = app.post(f"runs/search?limit=1&cursor={page['next_cursor']}", {}).json()
    assert [len(page["items"]), rest["items"][0]["id"]] == [1, made["id"]]
    assert app.post("runs/search", {"colour": "red"}).status_code == 422


def test_a_step_is_read_with_attempts_and_values(app: App, owner: User, worker: FakeWorker) -> None:
    run = worker.claims(
        services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    )
    worker.appends(run, "team/look#1", value={"n": 1}, meta={"type": "tool", "attempt": 1})
    body = app.get(f"runs/{run.public_id}/steps/team/look%231").json()
    assert (body["step"]["key"], body["output"]) == ("team/look#1", {"n": 1})
    assert [attempt["number"] for attempt in body["attempts"]] == [1]
    assert app.get(f"runs/{run.public_id}/steps/nothing").json()["code"] == "not_found"


def test_events_since_a_time(app: App, owner: User) -> None:
    run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    path = f"runs/{run.public_id}/events"
    assert len(app.get(path, created_at__gte="2020-01-01T00:00:00Z").json()["items"]) == 1
    assert app.get(path, created_at__gte="2100-01-01T00:00:00Z").json()["items"] == []
    assert app.get(path, created_at__gte="soon").status_code == 422


def test_the_trace_of_a_start_goes_in_and_out_and_is_kept(app: App) -> None:
    answer = app.post("runs", {"agent": "anything"}, traceparent=TRACE)
    given = answer["traceparent"]
    assert given[:36] == TRACE[:36]
    assert given != TRACE, "our own place in the trace"
    assert app.get(f"runs/{answer.json()['id']}").json()["traceparent"] == given


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", TRACE.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", "01-" + TRACE[3:]],
)
def test_a_trace_that_is_none_is_begun_anew(given: str) -> None:
    assert continued(given)[:36] != given[:36]
    assert len(continued(given)) == 55


def test_who_asks_too_often_is_told_when_to_come_back(app: App, owner: User, settings: Any) -> None:
    settings.AGENTOPS_RATE_LIMIT, settings.AGENTOPS_RATE_BURST = 0.02, 3
    codes = [app.get("runs").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    refused = app.get("runs")
    assert refused.json()["code"] == "rate_limit_exceeded"
    assert refused.json()["retryable"] is True
    assert 1 <= int(refused["Retry-After"]) <= 50
    assert App(owner).get("runs").status_code == 200, "another token has a bucket of its own"
    settings.AGENTOPS_RATE_LIMIT = 0
    assert app.get("runs").status_code == 200


def test_without_redis_each_process_counts_for_itself(
    app: App, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AGENTOPS_RATE_LIMIT, settings.AGENTOPS_RATE_BURST = 0.001, 2
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    limits._redis.cache_clear()
    monkeypatch.setattr(limits, "buckets", limits.SharedBuckets())
    try:
        assert [app.get("runs").status_code for _ in range(3)] == [200, 200, 429]
    finally:
        limits._redis.cache_clear()


def test_a_bucket_fills_again() -> None:
    now = [100.0]
    buckets = Buckets(clock=lambda: now[0])
    assert [buckets.take("a", 2, 2) for _ in range(3)] == [0, 0, 0.5]
    assert buckets.take("b", 2, 2) == 0
    now[0] += 0.5
    assert [buckets.take("a", 2, 2) for _ in range(2)] == [0, 0.5]


def test_bulk_actions_over_rest(app: App, owner: User) -> None:
    from runs import bulk

    for _ in range(3):
        services.start_run(agent="anything", input={}, owner=owner, started_by="x")
    body = {"action": "cancel", "filter": {"agent": "anything", "metadata": {}}, "note": "wrong"}
    asked = app.post("bulk-actions", body, idempotency_key="k")
    assert asked.status_code == 202
    assert app.post("bulk-actions", body, idempotency_key="k").json()["id"] == asked.json()["id"]
    path = asked["Location"].removeprefix("/api/v1/")
    bulk.work(seconds=30)
    seen = app.get(path).json()
    assert (seen["status"], seen["total"], seen["counts"]["done"]) == ("finished", 3, 3)
    first = app.get(f"{path}/items", limit=2).json()
    rest = app.get(f"{path}/items", after=first["next_after"], outcome="done").json()
    assert [item["number"] for item in (*first["items"], *rest["items"])] == [1, 2, 3]
    assert app.post(f"{path}/stop").json()["status"] == "finished"
    assert [one["id"] for one in app.get("bulk-actions").json()["items"]] == [seen["id"]]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "filter": {}},
        {"action": "cancel", "runs": []},
        {"action": "cancel", "runs": ["run_x"], "filter": {"agent": "a"}},
        {"action": "explode", "runs": ["run_x"]},
        {"action": "cancel", "filter": {"agnet": "a"}},
        {"action": "cancel", "runs": ["run_x"]},
    ],
)
def test_bulk_actions_for_nothing_are_refused(app: App, body: dict[str, Any]) -> None:
    answer = app.post("bulk-actions", body)
    assert answer.status_code == 422, answer.json()


def test_strangers_find_no_bulk_action(app: App, owner: User, stranger: User) -> None:
    run = services.start_run(agent="anything", input={}, owner=owner, started_by="x").run
    made = app.post("bulk-actions", {"action": "pause", "runs": [run.public_id]}).json()
    for path in ("", "/items"):
        assert App(stranger).get(f"bulk-actions/{made['id']}{path}").status_code == 404
    assert App(stranger).post(f"bulk-actions/{made['id']}/stop").status_code == 404
    stolen = App(stranger).post("bulk-actions", {"action": "pause", "runs": [run.public_id]})
    assert (stolen.status_code, stolen.json()["code"]) == (422, "no_runs")


def test_nobody_unknown_meets_a_limit_of_others(settings: Any) -> None:
    settings.AGENTOPS_RATE_LIMIT, settings.AGENTOPS_RATE_BURST = 0.001, 2
    codes = [Client(REMOTE_ADDR="10.9.8.7").get("/api/v1/schema").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
