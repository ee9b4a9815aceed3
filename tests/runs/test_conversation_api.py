"""Conversations over REST, as an app sees them."""

from __future__ import annotations

from typing import Any

import pytest

from agentops.accounts.models import User
from runs import turns
from runs.models import Conversation, Message, Run
from tests.runs.fake_worker import FakeWorker
from tests.runs.test_api import App

pytestmark = pytest.mark.django_db


@pytest.fixture
def app(owner: User) -> App:
    return App(owner)


@pytest.fixture
def talk(app: App) -> str:
    return str(app.post("conversations", {"agent": "anything"}).json()["id"])


def test_beginning_answers_with_the_conversation(app: App) -> None:
    answer = app.post("conversations", {"agent": "echo", "title": "Refunds"})
    body = answer.json()
    assert answer.status_code == 201
    assert body["id"].startswith("conv_")
    assert (body["status"], body["run"], body["messages"], body["waiting"]) == ("idle", None, 0, 0)
    assert (body["title"], body["owner"]) == ("Refunds", "olga")


def test_a_message_is_answered_by_its_run(app: App, talk: str, worker: FakeWorker) -> None:
    answer = app.post(f"conversations/{talk}/messages", {"content": "Hello"})
    body = answer.json()
    assert answer.status_code == 201
    assert (body["number"], body["turn"], body["status"]) == (1, 1, "queued")
    run = Run.objects.get(public_id=body["run"])
    worker.finishes(run, output="Hello, you")
    (item,) = app.get(f"conversations/{talk}/messages").json()["items"]
    assert (item["content"], item["output"], item["status"]) == ("Hello", "Hello, you", "succeeded")
    assert app.get(f"runs/{run.public_id}").json()["input"] == {"value": "Hello"}


def test_a_message_in_line_is_accepted_with_202(app: App, talk: str) -> None:
    app.post(f"conversations/{talk}/messages", {"content": "one"})
    answer = app.post(f"conversations/{talk}/messages", {"content": {"value": [2]}})
    body = answer.json()
    assert answer.status_code == 202
    assert (body["status"], body["run"], body["turn"]) == ("waiting_its_turn", None, None)
    assert body["content"] == {"value": [2]}
    shown = app.get(f"conversations/{talk}").json()
    assert (shown["status"], shown["messages"], shown["turns"], shown["waiting"]) == (
        "queued", 2, 1, 1,
    )  # fmt: skip


def test_reject_answers_409_and_stores_nothing(app: App, talk: str) -> None:
    app.post(f"conversations/{talk}/messages", {"content": "one"})
    answer = app.post(f"conversations/{talk}/messages", {"content": "2", "on_conflict": "reject"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "conversation_busy"
    assert answer.json()["retryable"] is True
    assert Message.objects.count() == 1


def test_interrupt_stops_the_run_and_goes_first(app: App, talk: str) -> None:
    first = app.post(f"conversations/{talk}/messages", {"content": "one"}).json()
    body = {"content": "two", "on_conflict": "interrupt"}
    assert app.post(f"conversations/{talk}/messages", body).json()["turn"] == 2
    assert app.get(f"runs/{first['run']}").json()["status"] == "cancelled"


def test_a_repeated_post_answers_200_with_the_same_message(app: App, talk: str) -> None:
    key: dict[str, Any] = {"Idempotency_Key": "m-1"}
    first = app.post(f"conversations/{talk}/messages", {"content": "one"}, **key)
    again = app.post(f"conversations/{talk}/messages", {"content": "one"}, **key)
    assert first.json() == again.json()
    assert Message.objects.count() == 1
    other = app.post(f"conversations/{talk}/messages", {"content": "two"}, **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_messages_come_in_pages(app: App, talk: str, worker: FakeWorker) -> None:
    for text in "abc":
        app.post(f"conversations/{talk}/messages", {"content": text})
    page = app.get(f"conversations/{talk}/messages", limit=2).json()
    assert [item["content"] for item in page["items"]] == ["a", "b"]
    rest = app.get(f"conversations/{talk}/messages", after=page["next_after"]).json()
    assert ([item["content"] for item in rest["items"]], rest["next_after"]) == (["c"], None)


def test_the_list_is_filtered_by_agent_and_by_work(app: App, talk: str) -> None:
    app.post("conversations", {"agent": "echo"})
    app.post(f"conversations/{talk}/messages", {"content": "one"})
    names = [item["agent"] for item in app.get("conversations").json()["items"]]
    assert names == ["echo", "anything"]
    assert [c["id"] for c in app.get("conversations", busy="true").json()["items"]] == [talk]
    assert len(app.get("conversations", agent="echo").json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": "x", "on_conflict": "steer"}, "on_conflict"),
        ({"content": "x", "message": "y"}, "message"),
    ],
)
def test_bad_messages_are_refused_by_field(
    app: App, talk: str, body: dict[str, Any], field: str
) -> None:
    answer = app.post(f"conversations/{talk}/messages", body)
    assert answer.status_code == 422
    assert f"/{field}" in answer.json()["meta"]["fields"]
    assert Message.objects.count() == 0


def test_a_text_that_belongs_nowhere_says_what_to_do(app: App) -> None:
    talk = app.post("conversations", {"agent": "pair"}).json()["id"]
    answer = app.post(f"conversations/{talk}/messages", {"content": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "left, right" in answer.json()["message"]


def test_an_unknown_agent_is_answered_with_its_neighbours(app: App) -> None:
    answer = app.post("conversations", {"agent": "anythink"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_agent")
    assert Conversation.objects.count() == 0


def test_a_stranger_finds_nothing(app: App, talk: str, stranger: User) -> None:
    sven = App(stranger)
    assert sven.get(f"conversations/{talk}").status_code == 404
    assert sven.get(f"conversations/{talk}/messages").status_code == 404
    assert sven.post(f"conversations/{talk}/messages", {"content": "x"}).status_code == 404
    assert sven.get("conversations").json()["items"] == []
    assert Message.objects.count() == 0


def test_wrong_methods_are_named(app: App, talk: str) -> None:
    assert app.post(f"conversations/{talk}", {}).status_code == 405
    assert app.client.delete("/api/v1/conversations").status_code == 405


def test_a_message_is_shown_with_why_it_failed(app: App, talk: str, worker: FakeWorker) -> None:
    run = Run.objects.get(
        public_id=app.post(f"conversations/{talk}/messages", {"content": "one"}).json()["run"]
    )
    app.post(f"runs/{run.public_id}/cancel", {"note": "typo"})
    (item,) = app.get(f"conversations/{talk}/messages").json()["items"]
    assert (item["status"], item["output"]) == ("cancelled", None)
    assert item["error"]["detail"] == "typo"
    turns.advance_all()


def test_deleting_erases_it_once_no_run_is_live(app: App, talk: str, worker: FakeWorker) -> None:
    said = app.post(f"conversations/{talk}/messages", {"content": "Hello"}).json()
    refused = app.delete(f"conversations/{talk}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conversation_busy")
    worker.finishes(Run.objects.get(public_id=said["run"]), output="Hello, you")
    assert app.delete(f"conversations/{talk}").status_code == 204
    assert not Run.objects.exists()
    assert app.delete(f"conversations/{talk}").status_code == 404
    assert app.get(f"runs/{said['run']}").status_code == 404


def test_a_stranger_cannot_delete_it(talk: str, stranger: User) -> None:
    assert App(stranger).delete(f"conversations/{talk}").status_code == 404
    assert Conversation.objects.count() == 1
