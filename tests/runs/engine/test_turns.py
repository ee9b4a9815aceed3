"""Turns of a conversation, with a worker at work."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from agentops.sdk.codec import decode
from runs import conversations, dialogue, services
from runs.conversations import OnConflict
from runs.engine.host import Host
from runs.models import Conversation, Run, RunPayload
from tests.runs.engine import agents
from tests.runs.engine.conftest import ended, eventually


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    agents.GO_ON.clear()
    while agents.STARTED.acquire(blocking=False):
        """Nobody's start is left from another test."""
    yield
    agents.GO_ON.set()


def begin(agent: str) -> Conversation:
    return conversations.begin(agent=agent, owner=None, started_by="test").conversation


def say(talk: Conversation, content: object, how: OnConflict = OnConflict.ENQUEUE) -> None:
    conversations.post_message(conversation=talk, content=content, sender="t", on_conflict=how)


def outputs(talk: Conversation) -> list[object]:
    return [turn.output for turn in dialogue.turns(conversation=talk)]


def all_ended(talk: Conversation, count: int) -> bool:
    return Run.objects.filter(conversation=talk, finished_at__isnull=False).count() == count


def test_each_message_is_answered_in_its_turn(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the sweep: the worker that ends a run starts the next turn itself.
    make_host(sweep=lambda: None)
    talk = begin("counts")
    for steps in (1, 2, 3):
        say(talk, {"steps": steps})
    eventually(lambda: all_ended(talk, 3))
    assert outputs(talk) == [0, 1, 3]
    runs = Run.objects.filter(conversation=talk).order_by("id")
    pairs = list(itertools.pairwise(runs))
    assert all(a.finished_at and a.finished_at <= b.created_at for a, b in pairs)


def test_a_turn_whose_start_was_lost_is_found_by_the_sweep(make_host: Callable[..., Host]) -> None:
    make_host(ended=lambda conversation_id: None)
    talk = begin("counts")
    say(talk, {"steps": 1})
    say(talk, {"steps": 2})
    eventually(lambda: all_ended(talk, 2))


def test_a_failure_to_start_a_turn_costs_nothing_but_time(make_host: Callable[..., Host]) -> None:
    def broken(conversation_id: int) -> None:
        raise RuntimeError("no")

    make_host(ended=broken)
    talk = begin("counts")
    say(talk, {"steps": 1})
    say(talk, {"steps": 2})
    eventually(lambda: all_ended(talk, 2))


def test_an_interrupt_waits_for_an_effect_that_is_acting(host: Host) -> None:
    talk = begin("acts")
    say(talk, {})
    assert agents.STARTED.acquire(timeout=10)
    say(talk, {}, OnConflict.INTERRUPT)
    first = Run.objects.get(message__turn=1)
    assert len(dialogue.waiting(talk)) == 1
    # The worker has heard of the cancel, and waits for the effect.
    eventually(lambda: not any(x.live for x in list(host._executions.values())))
    assert dialogue.run_of_turn(talk.pk, 2) is None
    agents.GO_ON.set()
    eventually(lambda: dialogue.run_of_turn(talk.pk, 2))
    first.refresh_from_db()
    # The effect was let finish and is recorded, before the next turn began.
    assert first.status == "cancelled"
    assert first.journal_set.filter(kind="step.completed").count() == 1


def test_an_agent_knows_what_was_said_before(host: Host) -> None:
    talk = begin("remembers")
    for text in "abc":
        say(talk, text)
    eventually(lambda: all_ended(talk, 3))
    assert outputs(talk) == ["a", "ab", "abc"]


def test_a_fork_of_a_turn_knows_it_too_and_is_no_turn(host: Host) -> None:
    talk = begin("remembers")
    for text in "ab":
        say(talk, text)
    eventually(lambda: all_ended(talk, 2))
    source = dialogue.run_of_turn(talk.pk, 2)
    assert source is not None
    fork = services.fork_run(run=source, at_seq=1, actor="x", owner=None).run
    assert fork.conversation_id is None
    assert decode(0, bytes(RunPayload.objects.get(run=ended(fork)).output or b"")) == "ab"
