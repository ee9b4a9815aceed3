"""Conversations and the playground: what they show, who may, and what a POST does."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from runs import conversations, turns
from runs.conversations import OnConflict
from runs.models import Conversation, Message, Run
from tests import people
from tests.runs.fake_worker import FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk(ana: User) -> Conversation:
    return conversations.begin(agent="anything", owner=ana, started_by="ana").conversation


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker.born()


def say(talk: Conversation, content: object, how: str = "enqueue") -> Message:
    posted = conversations.post_message(
        conversation=talk, content=content, sender="ana", on_conflict=OnConflict(how)
    )
    return posted.message


def address(talk: Conversation, what: str = "") -> str:
    return f"/conversations/{talk.public_id}/{what}"


def text(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return answer.content.decode()


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_conversation_shows_turns_borders_and_who_waits(
    page: Client, talk: Conversation, worker: FakeWorker
) -> None:
    say(talk, "How much is <b>left</b>?")
    say(talk, {"value": [1, 2]})
    say(talk, "third")
    first = Run.objects.get(message__number=1)
    worker.finishes(first, "Nothing is left.")
    turns.advance(conversation_id=talk.pk)
    html = text(page, address(talk))
    assert "How much is &lt;b&gt;left&lt;/b&gt;?" in html
    assert "Nothing is left." in html
    assert f"/runs/{first.public_id}/" in html
    assert "Turn 2" in html
    assert "In line" in html
    assert "third" in html
    assert "Stop this answer" in html


def test_what_a_message_will_do_is_said_before_it_is_sent(
    page: Client, talk: Conversation, worker: FakeWorker
) -> None:
    assert "your message starts a run at once." in text(page, address(talk))
    say(talk, "one")
    html = text(page, address(talk))
    assert "A run answers (queued). Your message starts when it has ended." in html
    assert "Your message stops it and starts next." in html
    assert "While it does, nothing is sent and your text stays here." in html
    say(talk, "two")
    html = text(page, address(talk))
    assert "Your message starts when it and the 1 message in line have ended." in html


def test_saying_something_starts_a_run_once(page: Client, talk: Conversation) -> None:
    for _ in range(2):
        answer = page.post(address(talk, "say/"), {"content": "Hello", "say_key": "k-1"})
        assert answer.status_code == 302
    assert Message.objects.get().sender == "ana"
    assert Run.objects.get().conversation == talk


@pytest.mark.parametrize(("how", "turn"), [("enqueue", None), ("interrupt", 2)])
def test_the_choice_counts(page: Client, talk: Conversation, how: str, turn: int | None) -> None:
    say(talk, "one")
    page.post(address(talk, "say/"), {"content": "two", "on_conflict": how})
    assert Message.objects.get(number=2).turn == turn


def test_who_would_not_wait_keeps_the_text(page: Client, talk: Conversation) -> None:
    sent = {"content": "only if it is quick", "on_conflict": "reject"}
    assert page.post(address(talk, "say/"), sent).status_code == 302
    answer = page.post(address(talk, "say/"), sent)
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "only if it is quick</textarea>" in html
    assert '<option value="reject" selected>' in html
    # The page of a refusal goes on being live: its regions know where to read themselves.
    assert f'data-get="{address(talk)}"' in html
    assert Message.objects.count() == 1


def test_what_cannot_be_sent_stays_in_the_field(page: Client, talk: Conversation) -> None:
    answer = page.post(address(talk, "say/"), {"content": "  "})
    assert answer.status_code == 422
    assert "Write something first." in answer.content.decode()
    conversations.MOST_WAITING, before = 0, conversations.MOST_WAITING
    try:
        answer = page.post(address(talk, "say/"), {"content": "do not lose me"})
    finally:
        conversations.MOST_WAITING = before
    assert answer.status_code == 422
    assert "do not lose me" in answer.content.decode()
    assert Message.objects.count() == 0


def test_an_agent_without_a_place_for_a_text_gets_a_form(page: Client, ana: User) -> None:
    talk = conversations.begin(agent="pair", owner=ana, started_by="ana").conversation
    assert 'name="left"' in text(page, address(talk))
    answer = page.post(address(talk, "say/"), {"left": "a"})
    assert answer.status_code == 422
    assert "This is needed." in answer.content.decode()
    assert page.post(address(talk, "say/"), {"left": "a", "right": "b"}).status_code == 302
    assert bytes(Run.objects.get().payload.input) == b'{"left":"a","right":"b"}'


def test_an_agent_of_another_release_is_read_only(page: Client, talk: Conversation) -> None:
    say(talk, "before it went")
    Conversation.objects.update(agent="gone")
    html = text(page, address(talk))
    assert "no agent called gone" in html
    assert "before it went" in html
    answer = page.post(address(talk, "say/"), {"content": "x"})
    assert answer.status_code == 422


def test_stopping_gives_the_next_message_its_turn(page: Client, talk: Conversation) -> None:
    first, second = say(talk, "one"), say(talk, "two")
    assert page.post(address(talk, "stop/")).status_code == 302
    assert Run.objects.get(message=first.pk).status == "cancelled"
    assert Run.objects.get(message=second.pk).status == "queued"
    assert "It was stopped before it answered." in text(page, address(talk))


def test_a_button_for_a_run_that_ended_does_not_stop_the_next_one(
    page: Client, talk: Conversation, worker: FakeWorker
) -> None:
    first = Run.objects.get(message=say(talk, "one").pk)
    worker.finishes(first, "done")
    second = Run.objects.get(message=say(talk, "two").pk)
    page.post(address(talk, "stop/"), {"run": first.public_id})
    second.refresh_from_db()
    assert second.status == "queued"


def test_stopping_nothing_says_so(page: Client, talk: Conversation) -> None:
    answer = page.post(address(talk, "stop/"), follow=True)
    assert "Nothing was stopped" in answer.content.decode()


def test_a_failed_turn_says_what_happened(
    page: Client, talk: Conversation, worker: FakeWorker
) -> None:
    run = Run.objects.get(message=say(talk, "one").pk)
    worker.finishes(run)
    Run.objects.filter(pk=run.pk).update(status="failed", stop_reason="timeout")
    assert "error-block" in text(page, address(talk))


def test_a_reader_reads_and_may_not_speak(talk: Conversation, ana: User) -> None:
    team = Team.objects.create(name="desk")
    Conversation.objects.update(team=team)
    reader = browser(people.person("rea", Role.VIEWER, team=team))
    assert "needs the role operator" in text(reader, address(talk))
    assert reader.post(address(talk, "say/"), {"content": "x"}).status_code == 403
    assert reader.post(address(talk, "stop/")).status_code == 403
    peer = browser(people.person("pia", Role.OPERATOR, team=team))
    assert peer.post(address(talk, "say/"), {"content": "x"}).status_code == 302
    run = Run.objects.get()
    assert (run.owner, run.started_by) == (ana, "pia")


def test_a_stranger_finds_nothing(talk: Conversation, stranger: User) -> None:
    say(talk, "secret")
    sven = browser(stranger)
    for path in ("", "say/", "stop/"):
        answer = sven.post(address(talk, path)) if path else sven.get(address(talk))
        assert answer.status_code == 404
    assert "No conversations yet" in text(sven, "/conversations/")


def test_wrong_methods_and_signed_out(talk: Conversation, page: Client) -> None:
    assert page.get(address(talk, "say/")).status_code == 405
    assert page.post(address(talk)).status_code == 405
    for path in ("/conversations/", address(talk), "/playground/"):
        assert Client().get(path).status_code == 302


def test_earlier_turns_are_a_page_away(
    page: Client, talk: Conversation, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.talks.TURNS_SHOWN", 2)
    for number in range(3):
        run = Run.objects.get(message=say(talk, f"message {number}").pk)
        worker.finishes(run, f"answer {number}")
    html = text(page, address(talk))
    assert "answer 0" not in html
    assert "?before=2" in html
    earlier = text(page, address(talk), before="2")
    assert "answer 0" in earlier
    assert "answer 2" not in earlier
    assert "composer" not in earlier


def test_a_page_of_turns_costs_the_same_however_many_there_are(
    page: Client, talk: Conversation, worker: FakeWorker, django_assert_max_num_queries: object
) -> None:
    for number in range(8):
        worker.finishes(Run.objects.get(message=say(talk, f"m{number}").pk), "ok")
    with django_assert_max_num_queries(24):  # type: ignore[operator]
        page.get(address(talk))


def test_the_list_shows_how_each_stands(page: Client, talk: Conversation, ana: User) -> None:
    say(talk, "Where is my parcel?")
    conversations.begin(agent="echo", owner=ana, started_by="ana", title="Idle one")
    html = text(page, "/conversations/")
    assert "Where is my parcel?" in html
    assert "queued" in html
    assert "idle" in html
    busy = text(page, "/conversations/", busy="1")
    assert "Idle one" not in busy
    assert "No conversation matches" in text(page, "/conversations/", q="unheard of")


def test_the_list_comes_in_pages(page: Client, ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.views.conversations.PAGE_SIZE", 2)
    for number in range(3):
        conversations.begin(agent="echo", owner=ana, started_by="ana", title=f"Talk {number}")
    first = text(page, "/conversations/", agent="echo")
    last = Conversation.objects.get(title="Talk 1").public_id
    assert f"?agent=echo&amp;before={last}" in first
    quieter = text(page, "/conversations/", agent="echo", before=last)
    assert "Talk 0" in quieter
    assert "Liveliest" in quieter


def test_a_page_does_not_begin_at_what_is_somebody_elses(
    page: Client, talk: Conversation, stranger: User
) -> None:
    theirs = conversations.begin(agent="echo", owner=stranger, started_by="sven").conversation
    Conversation.objects.filter(pk=theirs.pk).update(active_at="2020-01-01T00:00:00Z")
    assert talk.public_id in text(page, "/conversations/", before=theirs.public_id)


@pytest.mark.parametrize("name", ["q", "agent", "before"])
def test_odd_addresses_are_no_trouble(page: Client, talk: Conversation, name: str) -> None:
    text(page, "/conversations/", **{name: "a\0b\ud7ff"})
    text(page, address(talk), **{name: "-1\0"})


def test_the_playground_starts_a_marked_run(page: Client) -> None:
    assert "Try echo" in text(page, "/playground/", agent="echo")
    sent = {"playground_agent": "echo", "ticket": "t-1", "start_key": "k", "playground_how": "run"}
    for _ in range(2):
        answer = page.post("/playground/", sent)
        run = Run.objects.get()
        assert answer["Location"] == f"/runs/{run.public_id}/"
    assert run.tags == ["playground"]
    assert "Again" in text(page, "/playground/", agent="echo")
    assert 'value="t-1"' in text(page, "/playground/", agent="echo", like=run.public_id)


def test_the_playground_begins_a_conversation_once(page: Client) -> None:
    sent = {
        "playground_agent": "pair", "left": "a", "right": "b", "start_key": "k",
        "playground_how": "conversation",
    }  # fmt: skip
    for _ in range(2):
        answer = page.post("/playground/", sent)
        talk = Conversation.objects.get()
        assert answer["Location"] == f"/conversations/{talk.public_id}/"
    assert Message.objects.count() == Run.objects.count() == 1


def test_what_only_says_a_text_is_said_as_one(page: Client) -> None:
    sent = {"playground_agent": "talkative", "message": "Hello", "start_key": "k"}
    page.post("/playground/", {**sent, "loud": "", "playground_how": "conversation"})
    said = Message.objects.select_related("conversation").get()
    assert (said.text_in, said.conversation.title) == ("message", "Hello")
    other = {**sent, "start_key": "l", "loud": "on", "playground_how": "conversation"}
    page.post("/playground/", other)
    assert Message.objects.latest("pk").text_in == ""


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_playground_starts_nothing_else_than_what_was_asked_for(
    page: Client, method: str
) -> None:
    names = {"agent": "ech", "playground_agent": "ech", "ticket": "t"}
    answer = getattr(page, method)("/playground/", names)
    assert answer.status_code == 404
    assert "echo" in answer.content.decode()
    assert Run.objects.count() == 0


def test_what_is_too_large_begins_no_conversation(page: Client, settings: Any) -> None:
    settings.AGENTOPS_MAX_PAYLOAD_BYTES = 100
    sent = {"playground_agent": "talkative", "message": "x" * 200, "start_key": "k"}
    answer = page.post("/playground/", {**sent, "playground_how": "conversation"})
    assert answer.status_code == 422
    assert Conversation.objects.count() == 0


@pytest.mark.parametrize("how", ["run", "conversation"])
def test_the_playground_names_what_is_wrong(page: Client, how: str) -> None:
    sent = {"playground_agent": "echo", "ticket": "t", "urgency": "soon", "playground_how": how}
    answer = page.post("/playground/", sent)
    assert answer.status_code == 422
    assert Run.objects.count() == Conversation.objects.count() == 0


def test_a_run_can_be_read_as_a_conversation(
    page: Client, talk: Conversation, worker: FakeWorker, ana: User
) -> None:
    run = worker.claims(Run.objects.get(message=say(talk, "Hello").pk))
    worker.appends(run, "look#1", meta={"type": "tool", "effect": "read", "attempt": 1})
    html = text(page, f"/runs/{run.public_id}/", view="conversation")
    assert "Turn 1 of the conversation" in html
    assert "?step=1" in html
    worker.finishes(run, "Hello, you")
    assert "Hello, you" in text(page, f"/runs/{run.public_id}/", view="conversation")
