"""Conversations as pages show them: with answers, a failure, one that answers, some in line."""

from __future__ import annotations

import json

from agentops.accounts.models import User
from runs import bell, conversations, turns
from runs.conversations import OnConflict
from runs.models import Conversation, Message, Phase, Run
from tests.factories import TOOL
from tests.runs.fake_worker import FakeWorker


def begun(owner: User, agent: str = "anything") -> Conversation:
    """A conversation in which nothing has been said."""
    name = owner.username
    return conversations.begin(agent=agent, owner=owner, started_by=name).conversation


def say(talk: Conversation, content: object, how: str = "enqueue") -> Message:
    """Say something in it, as its owner."""
    posted = conversations.post_message(
        conversation=talk, content=content, sender="ana", on_conflict=OnConflict(how)
    )
    return posted.message


def lively(owner: User) -> Conversation:
    """One with every kind of turn: answered, failed, stopped, being answered, in line."""
    worker, talk = FakeWorker.born(), begun(owner)
    first = worker.claims(Run.objects.get(message=say(talk, "How much is still open?").pk))
    worker.appends(first, "count#1", meta={**TOOL, "took": 1})
    worker.finishes(first, "31 invoices are open, 4,400.00 in all. " * 6)
    failed = Run.objects.get(message=say(talk, {"value": {"month": "2026-11", "net": True}}).pk)
    worker.finishes(failed)
    error = json.dumps({"code": "timeout", "message": "Nobody answered."}).encode()
    Run.objects.filter(pk=failed.pk).update(status="failed", stop_reason="timeout")
    type(failed.payload).objects.filter(run=failed).update(error_codec=0, error=error)
    stopped = Run.objects.get(message=say(talk, "Never mind").pk)
    worker.finishes(stopped)
    Run.objects.filter(pk=stopped.pk).update(status="cancelled", stop_reason="cancelled_by_user")
    live = worker.claims(Run.objects.get(message=say(talk, "And in November?\n" * 3).pk))
    worker.appends(live, "@run.started", Phase.NOTE, n=live.epoch, kind="run.started")
    worker.appends(live, "count#1", Phase.STARTED, n=1, kind="step.started", meta=dict(TOOL))
    say(talk, "And in all?")
    say(talk, "تسوية فواتير نوفمبر")
    return talk


def live_run(talk: Conversation) -> Run:
    """The run that answers."""
    return Run.objects.get(conversation=talk, finished_at__isnull=True)


def writes(run: Run, text: str, at: int = 0, step: str = "draft#1", **fields: int) -> None:
    """Publish text as a worker that writes it."""
    piece = {"step": step, "attempt": 1, "epoch": run.epoch, "at": at, "text": text, **fields}
    bell._redis().publish(bell.ASIDE + run.public_id, json.dumps(piece))


def answers(worker: FakeWorker, talk: Conversation, text: str) -> None:
    """End the live run with an answer, and let the next message have its turn."""
    run = live_run(talk)
    worker.finishes(run, text)
    seq = worker.appends(run, "@run.succeeded", Phase.NOTE, n=1, kind="run.succeeded")
    bell.hint_now([[run.pk, seq]])
    turns.advance(conversation_id=talk.pk)
