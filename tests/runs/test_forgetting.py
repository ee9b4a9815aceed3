"""Conversations are erased: on request, and when nobody said anything for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from agentops.accounts.access import NotFound
from agentops.accounts.models import User
from runs import conversations, recall, services
from runs.conversations import ConversationBusy
from runs.engine.sweeper import sweep_from_django
from runs.models import Conversation, Journal, Message, Run, RunPayload, Summary

pytestmark = pytest.mark.django_db(transaction=True)


def talked(*, ended: bool = True, owner: User | None = None) -> Conversation:
    """A conversation with one turn, a summary, and a run that the turn started."""
    talk = conversations.begin(agent="anything", owner=owner, started_by="t").conversation
    said = conversations.post_message(conversation=talk, content="hello", sender="t")
    run = said.message.run
    assert run is not None
    recall.keep_summary(run_id=run.pk, through=1, text="they said hello")
    child = services.start_run(agent="anything", input={}, owner=owner, started_by="run").run
    Run.objects.filter(pk=child.pk).update(root=run, parent=run, parent_key="spawn:anything#1")
    if ended:
        end(Run.objects.filter(pk__in=[run.pk, child.pk]))
    return talk


def end(runs: Any) -> None:
    runs.update(status="succeeded", stop_reason="completed", finished_at=Now())


def left() -> list[int]:
    kinds: list[Any] = [Conversation, Message, Summary, Run, RunPayload, Journal]
    return [kind.objects.count() for kind in kinds]


def silent_for(talk: Conversation, days: int) -> None:
    Conversation.objects.filter(pk=talk.pk).update(active_at=Now() - timedelta(days=days))


def test_what_is_erased_leaves_nothing_behind() -> None:
    gone = conversations.delete(conversation=talked())
    assert len(gone) == 2
    assert left() == [0, 0, 0, 0, 0, 0]


def test_others_and_their_forks_stay() -> None:
    talk, other = talked(), talked()
    source = Run.objects.get(message__conversation=talk)
    fork = services.fork_run(run=source, at_seq=1, actor="t", owner=None).run
    conversations.delete(conversation=talk)
    fork.refresh_from_db()
    assert fork.forked_from_id is None
    assert recall.past(run_id=fork.pk) is None
    assert Summary.objects.get().conversation_id == other.pk


def test_a_live_conversation_is_not_erased() -> None:
    talk = talked(ended=False)
    with pytest.raises(ConversationBusy, match="live"):
        conversations.delete(conversation=talk)
    end(Run.objects.filter(conversation=talk))
    with pytest.raises(ConversationBusy):  # what it started is still at work
        conversations.delete(conversation=talk)
    assert Message.objects.count() == 1


def test_who_erases_twice_hears_that_it_is_gone() -> None:
    talk = talked()
    conversations.delete(conversation=talk)
    with pytest.raises(NotFound):
        conversations.delete(conversation=talk)


def test_the_sweep_erases_what_is_abandoned(settings: Any) -> None:
    settings.AGENTOPS_CONVERSATION_DAYS = 30
    old, new, live = talked(), talked(), talked(ended=False)
    silent_for(old, 31)
    silent_for(new, 29)
    silent_for(live, 31)
    sweep_from_django(thorough=True)
    assert set(Conversation.objects.values_list("pk", flat=True)) == {new.pk, live.pk}
    assert Run.objects.count() == 4


def test_without_the_setting_nothing_is_abandoned() -> None:
    silent_for(talked(), 80)
    sweep_from_django(thorough=True)
    assert Conversation.objects.count() == 1
    connection.close()
