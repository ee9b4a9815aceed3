"""One turn at a time: what a message does, whatever its conversation is doing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from agentops.accounts.access import NotFound
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.sdk.errors import InvalidInput, UnknownAgent
from runs import conversations, dialogue, services, turns
from runs.conversations import OnConflict, Posted
from runs.engine import store
from runs.engine.sweeper import sweep_from_django
from runs.models import Conversation, Journal, Message, Run
from tests.runs.fake_worker import FakeWorker, kinds

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk(owner: User) -> Conversation:
    return conversations.begin(agent="anything", owner=owner, started_by="olga").conversation


def say(talk: Conversation, content: object, how: str = "enqueue", **fields: Any) -> Posted:
    return conversations.post_message(
        conversation=talk,
        content=content,
        sender="olga",
        on_conflict=OnConflict(how),
        **fields,
    )


def run_of(posted: Posted) -> Run:
    run = Run.objects.filter(message=posted.message.pk).first()
    assert run is not None
    return run


def waits(posted: Posted) -> bool:
    return Message.objects.get(pk=posted.message.pk).run_id is None


def test_a_message_to_an_idle_conversation_starts_its_run(talk: Conversation, owner: User) -> None:
    posted = say(talk, "How much is left?\nIn euros.")
    run = run_of(posted)
    assert posted.created
    assert (run.conversation, run.owner, run.status, run.queue) == (talk, owner, "queued", "slow")
    assert (run.title, run.started_by) == ("How much is left?", "olga")
    assert bytes(run.payload.input) == b'{"value":"How much is left?\\nIn euros."}'
    created = Journal.objects.get(run=run)
    assert created.meta is not None
    assert (created.meta["conversation"], created.meta["message"]) == (talk.public_id, 1)
    talk.refresh_from_db()
    assert (talk.said, talk.turns, talk.title) == (1, 1, "How much is left?")


def test_what_was_said_is_stored_once(talk: Conversation, worker: FakeWorker) -> None:
    first, second = say(talk, "one"), say(talk, "two")
    at_work, in_line = Message.objects.get(turn=1), Message.objects.get(turn=None)
    assert (at_work.data, bytes(in_line.data or b"")) == (None, b'{"value":"two"}')
    worker.finishes(run_of(first))
    turns.advance(conversation_id=talk.pk)
    assert Message.objects.get(pk=second.message.pk).data is None
    assert bytes(run_of(second).payload.input) == b'{"value":"two"}'


def test_messages_wait_in_line_while_a_run_is_live(talk: Conversation, worker: FakeWorker) -> None:
    said = [say(talk, text) for text in ("one", "two", "three")]
    assert [waits(posted) for posted in said] == [False, True, True]
    for i, posted in enumerate(said):
        worker.finishes(worker.claims(run_of(posted)), output=i)
        turns.advance(conversation_id=talk.pk)
    shown = dialogue.messages(conversation=talk)
    assert [(m.number, m.turn, m.content, m.output) for m in shown] == [
        (1, 1, "one", 0),
        (2, 2, "two", 1),
        (3, 3, "three", 2),
    ]


@pytest.mark.parametrize("state", ["queued", "running", "waiting"])
def test_reject_refuses_whatever_the_live_run_does(
    talk: Conversation, worker: FakeWorker, state: str
) -> None:
    run = run_of(say(talk, "one"))
    if state != "queued":
        worker.claims(run)
    if state == "waiting":
        worker.suspends(run, "operator", "crash_loop")
    with pytest.raises(conversations.ConversationBusy):
        say(talk, "two", "reject")
    assert Message.objects.count() == 1


def test_reject_is_an_ordinary_message_when_nothing_is_live(
    talk: Conversation, worker: FakeWorker
) -> None:
    worker.finishes(run_of(say(talk, "one")))
    assert not waits(say(talk, "two", "reject"))


def test_interrupt_stops_what_no_worker_holds_and_has_its_turn_at_once(
    talk: Conversation,
) -> None:
    first, second = say(talk, "one"), say(talk, "two")
    third = say(talk, "three", "interrupt")
    stopped = run_of(first)
    assert (stopped.status, stopped.stop_reason) == ("cancelled", "cancelled_by_user")
    assert b"Message 3" in bytes(stopped.payload.error or b"")
    assert kinds(stopped) == ["run.created", "run.cancelled"]
    assert (waits(second), waits(third)) == (True, False)


def test_interrupt_waits_until_a_running_run_has_let_go(
    talk: Conversation, worker: FakeWorker
) -> None:
    run = worker.claims(run_of(say(talk, "one")))
    second, third = say(talk, "two"), say(talk, "three", "interrupt", by_operator=True)
    run.refresh_from_db()
    assert (run.status, run.cancel_reason) == ("running", "cancelled_by_operator")
    assert (waits(second), waits(third)) == (True, True)
    worker.finishes(run)
    turns.advance(conversation_id=talk.pk)
    assert (waits(second), waits(third)) == (True, False)


def test_a_run_parked_in_doubt_names_its_effect_when_interrupted(
    talk: Conversation, worker: FakeWorker
) -> None:
    run = worker.claims(run_of(say(talk, "pay")))
    worker.is_unsure(run, "pay#1")
    worker.suspends(run, "operator", "uncertain:pay#1")
    say(talk, "no, do not", "interrupt")
    cancelled = Journal.objects.get(run=run, kind="run.cancelled")
    assert cancelled.meta is not None
    assert cancelled.meta["uncertain"] == ["pay#1"]


def test_cancelling_a_run_gives_the_next_message_its_turn(talk: Conversation) -> None:
    first, second = say(talk, "one"), say(talk, "two")
    services.cancel_run(run=run_of(first), actor="olga", by_operator=False)
    assert not waits(second)


def test_stopping_an_uncertain_run_gives_the_next_message_its_turn(
    talk: Conversation, worker: FakeWorker
) -> None:
    run, second = worker.claims(run_of(say(talk, "one"))), say(talk, "two")
    worker.is_unsure(run, "pay#1")
    past = timezone.now() - timedelta(hours=1)
    for line in Journal.objects.filter(run=run, kind="step.intended"):
        meta = dict(line.meta or {}) | {"deadline_at": past.isoformat()}
        Journal.objects.filter(run=run, seq=line.seq).update(meta=meta)
    worker.suspends(run, "operator", "uncertain:pay#1")
    worker.exits()
    services.settle_step(run=run, key="pay#1", verdict=store.Verdict.STOP, actor="opal")
    assert not waits(second)


def test_the_sweep_finds_turns_nobody_started(talk: Conversation, worker: FakeWorker) -> None:
    first, second = say(talk, "one"), say(talk, "two")
    assert turns.advance_all() == 0
    worker.finishes(run_of(first))
    assert turns.advance_all() == 1
    assert not waits(second)
    assert turns.advance_all() == 0


def test_a_conversation_that_cannot_go_on_does_not_hold_up_others(
    talk: Conversation, owner: User, worker: FakeWorker
) -> None:
    other = conversations.begin(agent="anything", owner=owner, started_by="x").conversation
    for each in (talk, other):
        first, _ = say(each, "one"), say(each, "two")
        worker.finishes(run_of(first))
    # A row of a later release, which this one cannot read.
    Message.objects.filter(conversation=talk, run=None).update(codec=9)
    assert turns.advance_all() == 1
    assert Message.objects.filter(conversation=other, run=None).count() == 0


def test_the_database_refuses_a_second_live_run(talk: Conversation) -> None:
    run_of(say(talk, "one"))
    other = services.start_run(agent="anything", input={}, owner=None, started_by="x").run
    with pytest.raises(IntegrityError, match="run_one_live_per_conversation"), transaction.atomic():
        Run.objects.filter(pk=other.pk).update(conversation=talk)


def test_a_message_sent_twice_counts_once(talk: Conversation) -> None:
    first = say(talk, "one", idempotency_key="m-1")
    again = say(talk, "one", idempotency_key="m-1")
    assert (first.created, again.created) == (True, False)
    assert first.message == again.message
    assert Message.objects.count() == Run.objects.count() == 1
    with pytest.raises(services.IdempotencyMismatch):
        say(talk, "another", idempotency_key="m-1")


def test_a_repeated_message_is_found_even_where_it_would_be_refused(talk: Conversation) -> None:
    say(talk, "one", "reject", idempotency_key="m-1")
    assert not say(talk, "one", "reject", idempotency_key="m-1").created


def test_a_repeated_interrupt_does_not_stop_its_own_run(talk: Conversation) -> None:
    say(talk, "one")
    mine = say(talk, "two", "interrupt", idempotency_key="m-1")
    say(talk, "two", "interrupt", idempotency_key="m-1")
    assert run_of(mine).status == "queued"


def test_a_line_has_an_end(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST_WAITING", 2)
    for text in ("one", "two", "three"):
        say(talk, text)
    with pytest.raises(conversations.QueueFull):
        say(talk, "four")


def test_beginning_twice_with_a_key_begins_once(owner: User, stranger: User) -> None:
    first = conversations.begin(agent="echo", owner=owner, started_by="o", idempotency_key="k")
    again = conversations.begin(agent="echo", owner=owner, started_by="o", idempotency_key="k")
    assert (first.created, again.created) == (True, False)
    assert first.conversation == again.conversation
    other = conversations.begin(agent="echo", owner=stranger, started_by="s", idempotency_key="k")
    assert other.created
    with pytest.raises(services.IdempotencyMismatch):
        conversations.begin(agent="pair", owner=owner, started_by="o", idempotency_key="k")


def test_a_text_goes_where_the_agent_takes_one(owner: User) -> None:
    echo = conversations.begin(agent="echo", owner=owner, started_by="o").conversation
    assert bytes(run_of(say(echo, "t-1")).payload.input) == b'{"ticket":"t-1"}'
    pair = conversations.begin(agent="pair", owner=owner, started_by="o").conversation
    with pytest.raises(services.InvalidRequest, match="left, right"):
        say(pair, "alone")
    assert say(pair, {"left": "a", "right": "b"}).created


def test_what_does_not_fit_is_not_stored(owner: User, talk: Conversation) -> None:
    echo = conversations.begin(agent="echo", owner=owner, started_by="o").conversation
    with pytest.raises(InvalidInput) as caught:
        say(echo, {"ticket": "t", "urgency": "soon"})
    assert caught.value.path == "/urgency"
    assert Message.objects.count() == 0
    with pytest.raises(UnknownAgent):
        conversations.begin(agent="anythin", owner=owner, started_by="o")


def test_a_conversation_is_its_owners_and_teams_alone(
    talk: Conversation, owner: User, stranger: User
) -> None:
    assert dialogue.conversations(viewer=Actor(owner)).count() == 1
    assert dialogue.conversations(viewer=Actor(stranger)).count() == 0
    with pytest.raises(NotFound):
        dialogue.conversation(public_id=talk.public_id, viewer=Actor(stranger))


def test_the_list_says_how_each_stands(talk: Conversation, owner: User) -> None:
    run = run_of(say(talk, "one"))
    say(talk, "two")
    conversations.begin(agent="echo", owner=owner, started_by="o")
    busy = dialogue.conversations(viewer=Actor(owner), busy=True).get()
    assert (busy.live_run, busy.live_status, busy.waiting) == (run.public_id, "queued", 1)
    idle = dialogue.conversations(viewer=Actor(owner), busy=False).get()
    assert (idle.live_run, idle.waiting, idle.agent) == (None, 0, "echo")


def test_a_conversation_is_forgotten_as_a_whole(
    talk: Conversation, worker: FakeWorker, owner: User
) -> None:
    old = timezone.now() - timedelta(days=400)
    first = worker.finishes(run_of(say(talk, "one")))
    second = worker.finishes(run_of(say(talk, "two")))
    Run.objects.filter(pk=first.pk).update(finished_at=old)
    sweep_from_django(thorough=True)
    assert Run.objects.filter(conversation=talk).count() == 2
    Run.objects.filter(pk=second.pk).update(finished_at=old)
    waiting = say(talk, "three")
    sweep_from_django(thorough=True)
    assert Run.objects.filter(conversation=talk).count() == 3
    worker.finishes(run_of(waiting))
    Run.objects.filter(conversation=talk).update(finished_at=old)
    sweep_from_django(thorough=True)
    assert Run.objects.filter(conversation=talk).count() == 0
    assert Conversation.objects.filter(pk=talk.pk).exists()
    Conversation.objects.filter(pk=talk.pk).update(active_at=old)
    sweep_from_django(thorough=True)
    assert not Conversation.objects.filter(pk=talk.pk).exists()
    with pytest.raises(NotFound):
        say(talk, "anybody there?")
