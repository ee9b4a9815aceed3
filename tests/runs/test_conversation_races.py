"""People, apps and workers at the same conversation in the same moment, on real connections."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from agentops.accounts.models import User
from runs import conversations, services, turns
from runs.conversations import ConversationBusy, OnConflict
from runs.models import Conversation, Message, Run, RunStatus
from tests.runs.fake_worker import FakeWorker, kinds

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 40


def together(*sides: Callable[[], object]) -> list[object]:
    """What the sides return or raise, each in a thread with a connection of its own."""
    gate = threading.Barrier(len(sides), timeout=30)
    came: list[object] = [None] * len(sides)

    def one(place: int, side: Callable[[], object]) -> None:
        try:
            gate.wait()
            came[place] = side()
        except Exception as error:  # noqa: BLE001 - judged in the test's own thread
            came[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(sides)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


@pytest.fixture
def talk(owner: User) -> Conversation:
    return conversations.begin(agent="anything", owner=owner, started_by="olga").conversation


def say(talk: Conversation, text: str, how: str = "enqueue", key: str | None = None) -> Run | None:
    posted = conversations.post_message(
        conversation=talk,
        content=text,
        sender="olga",
        on_conflict=OnConflict(how),
        idempotency_key=key,
    )
    return posted.message.run


def finish(worker: FakeWorker, run: Run) -> None:
    """The end of a run as a worker writes it: it locks the run and nobody else."""
    worker.finishes(run)


def ends_and_looks(worker: FakeWorker, run: Run) -> None:
    """What a worker does: the run ends, then whoever is next has their turn."""
    finish(worker, run)
    turns.advance(conversation_id=run.conversation_id or 0)


def live(talk: Conversation) -> list[Run]:
    return list(Run.objects.filter(conversation=talk, finished_at=None))


def check(talk: Conversation) -> None:
    """Whatever happened: one live run at most, numbers and turns without gaps, every run whole."""
    assert len(live(talk)) <= 1
    rows = list(Message.objects.filter(conversation=talk).order_by("number"))
    talk.refresh_from_db()
    assert [row.number for row in rows] == list(range(1, talk.said + 1))
    taken = sorted(row.turn for row in rows if row.turn is not None)
    assert taken == list(range(1, talk.turns + 1))
    for run in Run.objects.filter(conversation=talk):
        assert kinds(run)[0] == "run.created"


def test_of_many_first_messages_one_has_its_turn(talk: Conversation) -> None:
    came = together(*[functools.partial(say, talk, f"m{i}") for i in range(12)])
    assert not [error for error in came if isinstance(error, Exception)]
    assert sum(run is not None for run in came) == 1
    assert len(live(talk)) == 1
    check(talk)


def test_of_many_that_must_not_wait_one_is_taken(talk: Conversation) -> None:
    came = together(*[functools.partial(say, talk, f"m{i}", "reject") for i in range(12)])
    assert Counter(map(type, came)) == {Run: 1, ConversationBusy: 11}
    assert Message.objects.count() == 1
    check(talk)


def test_one_key_from_many_callers_is_one_message(talk: Conversation) -> None:
    came = together(*[lambda: say(talk, "same", key="k")] * 12)
    assert len({run.pk for run in came if isinstance(run, Run)}) == 1
    assert Message.objects.count() == Run.objects.count() == 1
    check(talk)


def test_a_message_that_arrives_as_the_run_ends_is_answered(
    talk: Conversation, worker: FakeWorker
) -> None:
    say(talk, "first")
    for number in range(ROUNDS):
        (run,) = live(talk)
        worker.claims(run)
        came = together(
            functools.partial(ends_and_looks, worker, run),
            functools.partial(say, talk, f"m{number}"),
        )
        assert not [error for error in came if isinstance(error, Exception)], came
        assert len(live(talk)) == 1, "the message waits although nobody is coming"
        check(talk)


def test_interrupts_that_cross_leave_one_run_and_lose_no_message(
    talk: Conversation, worker: FakeWorker
) -> None:
    say(talk, "first")
    for number in range(ROUNDS // 4):
        (run,) = live(talk)
        if number % 2:
            worker.claims(run)
        came = together(
            *[functools.partial(say, talk, f"m{i}", "interrupt") for i in range(3)],
            functools.partial(services.cancel_run, run=run, actor="opal", by_operator=True),
            lambda: turns.advance(conversation_id=talk.pk),
        )
        assert not [error for error in came if isinstance(error, Exception)], came
        check(talk)
        for held in Run.objects.filter(conversation=talk, status=RunStatus.RUNNING):
            finish(worker, held)
        turns.advance_all()
    while live(talk):
        for left in live(talk):
            services.cancel_run(run=left, actor="opal", by_operator=True)
    assert Message.objects.filter(run=None).count() == 0
    check(talk)


def test_many_who_look_for_the_next_turn_start_it_once(
    talk: Conversation, worker: FakeWorker
) -> None:
    say(talk, "first")
    for number in range(ROUNDS // 4):
        say(talk, f"m{number}")
        (run,) = live(talk)
        finish(worker, run)
        came = together(*[lambda: turns.advance(conversation_id=talk.pk)] * 4, turns.advance_all)
        assert not [error for error in came if isinstance(error, Exception)], came
        assert sum(isinstance(one, Run) for one in came) + int(came[-1] == 1) == 1
        check(talk)
