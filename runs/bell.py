"""Bells for workers and hints for watchers. Both may be lost: the sweep and the poll make up."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction

from runs.bursts import Burst
from runs.circuit import Circuit

TASK = "runs.ring"
BULK_TASK = "runs.bulk"
HINTS = "agentops.hints"
# Followed by the public id of a run or conversation: what is said in passing about it.
ASIDE = "agentops.aside."
# A bell older than this wakes nobody for anything; a backlog of them dies by itself.
EXPIRES_SECONDS = 300
_PATIENCE_SECONDS = 0.5
# What follows a bell or hint within this time is gathered into the next one.
GATHER_SECONDS = 0.02

bells = Circuit("broker")
hints = Circuit("redis")


def ring(*, queue: str) -> None:
    """After commit, wake a worker of this queue. Costs nothing but a moment if nobody hears.

    A worker that is woken claims all it can, so many rings in a moment need few bells.
    """
    transaction.on_commit(functools.partial(_rings.add, [queue]), robust=True)


def ring_now(*, queue: str) -> None:
    """Wake a worker of this queue."""
    bells.call(functools.partial(_send, queue))


def ring_bulk() -> None:
    """After commit, wake a worker for bulk actions. Sweeps work on them too."""
    transaction.on_commit(functools.partial(_bulk_rings.add, [BULK_TASK]), robust=True)


def _ring_bulk_now(tasks: list[str]) -> None:
    queue = settings.AGENTOPS_QUEUES[0]
    bells.call(functools.partial(_send, queue, tasks[0]))


_bulk_rings = Burst(_ring_bulk_now, seconds=GATHER_SECONDS)


def _ring_each(queues: list[str]) -> None:
    for queue in dict.fromkeys(queues):
        ring_now(queue=queue)


_rings = Burst(_ring_each, seconds=GATHER_SECONDS)


def _send(queue: str, task: str = TASK) -> None:
    current_app.send_task(
        task,
        kwargs={"queue": queue},
        queue=queue,
        expires=EXPIRES_SECONDS,
        ignore_result=True,
        retry=False,
    )


def hint(moved: Iterable[tuple[int, int]]) -> None:
    """After commit, tell watchers that these runs have events up to these numbers."""
    news = [list(pair) for pair in moved]
    if news:
        transaction.on_commit(functools.partial(_news.add, news), robust=True)


def hint_now(news: list[list[int]]) -> None:
    """Tell watchers of pairs of run id and highest event number."""
    hints.call(lambda: _redis().publish(HINTS, json.dumps(news, separators=(",", ":"))))


_news = Burst(hint_now, seconds=GATHER_SECONDS)


def stir(*, conversation: str) -> None:
    """After commit, tell watchers that something was said here, or somebody has their turn."""
    transaction.on_commit(functools.partial(_stirred.add, [conversation]), robust=True)


def stir_about(names: Iterable[str]) -> None:
    """After commit, tell watchers of these public ids or topics that something changed."""
    transaction.on_commit(functools.partial(_stirred.add, list(names)), robust=True)


def _stir_each(conversations: list[str]) -> None:
    for public_id in dict.fromkeys(conversations):
        hints.call(functools.partial(_redis().publish, ASIDE + public_id, ""))


_stirred = Burst(_stir_each, seconds=GATHER_SECONDS)


@functools.cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=_PATIENCE_SECONDS,
        socket_timeout=_PATIENCE_SECONDS,
        retry=None,
    )
