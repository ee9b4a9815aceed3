"""Where Celery's worker process becomes ours: start, bells and shutdown."""

from __future__ import annotations

import gc

from celery import signals
from celery.worker.request import Request
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from agentops.accounts import leftovers
from agentops.sdk.turns import Past, Turn
from runs import bell, bulk, dialogue, outbox, recall, replies, services, turns
from runs.courier import Courier
from runs.engine.host import Host
from runs.engine.options import Options
from runs.engine.sweeper import Cadence, sweep_from_django

_host: Host | None = None
# Objects made before the young are looked through, and how often the older are after that.
COLLECT_AFTER = (5_000, 20, 20)

# How long one bell, and one sweep, works on bulk actions before others have their turn.
BULK_SECONDS = 20.0
BULK_SECONDS_IN_A_SWEEP = 1.0
# How long a message under way may take once the process is to end.
MAIL_SECONDS_AT_THE_END = 5.0
_courier = Courier()
_rarely = Cadence(seconds=300.0)
_now_and_then = Cadence(seconds=30.0)

# A server that vanished without a word is noticed within seconds, not after TCP's quarter hour.
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def host() -> Host:
    """The host of this process, started on first use."""
    global _host
    if _host is None:
        _host = Host(options())
        _host.start()
    return _host


def options() -> Options:
    """What the settings say about workers."""
    return Options(
        conninfo=conninfo(),
        redis_url=settings.REDIS_URL,
        queues=tuple(settings.AGENTOPS_QUEUES),
        capacity=settings.AGENTOPS_CONCURRENCY,
        release=settings.AGENTOPS_RELEASE,
        lease_seconds=settings.AGENTOPS_LEASE_SECONDS,
        heartbeat_seconds=settings.AGENTOPS_HEARTBEAT_SECONDS,
        tick_seconds=settings.AGENTOPS_TICK_SECONDS,
        drain_seconds=settings.AGENTOPS_DRAIN_SECONDS,
        stuck_seconds=settings.AGENTOPS_STUCK_SECONDS,
        leak_limit=settings.AGENTOPS_LEAK_LIMIT,
        max_payload_bytes=settings.AGENTOPS_MAX_PAYLOAD_BYTES,
        most_per_person=settings.AGENTOPS_MAX_RUNNING_PER_PERSON,
        pins_first=settings.AGENTOPS_MCP_FIRST_USE == "accept",
        gates=tuple(settings.AGENTOPS_GATES),
        signal=_signal,
        sweep=sweep,
        ended=_ended,
        turns=_turns,
        past=_past,
        summarised=_summarised,
    )


def conninfo() -> str:
    """How to reach Django's default database with libpq."""
    known = connection.get_connection_params()
    skip = {"context", "cursor_factory", "prepare_threshold", "client_encoding", "row_factory"}
    told = {k: v for k, v in known.items() if k not in skip and v is not None}
    return make_conninfo(**(_PATIENCE | told))


def sweep() -> None:
    """One sweep from within this process."""
    try:
        sweep_from_django()
        _courier.look()
        turns.advance_all()
        bulk.work(seconds=BULK_SECONDS_IN_A_SWEEP)
        if _host is not None and _now_and_then():
            _host.meaning.catch_up()
        if _rarely():
            bulk.forget(days=settings.AGENTOPS_RETENTION_DAYS)
            replies.forget()
            outbox.forget(days=settings.AGENTOPS_RETENTION_DAYS)
            leftovers.forget(now=timezone.now(), days=settings.AGENTOPS_RETENTION_DAYS)
    finally:
        connection.close()


def work_on_bulk() -> None:
    """Work on bulk actions for a while; if something is left, ring for whoever is next."""
    try:
        if bulk.work(seconds=BULK_SECONDS) and bulk.is_left():
            bell.ring_bulk()
    finally:
        connection.close()


def _signal(run_id: int, name: str, told: object, sender: str) -> None:
    services.settle_late(run_id=run_id, name=name, told=told, sender=sender)


def _ended(conversation_id: int) -> None:
    turns.advance(conversation_id=conversation_id)


def _turns(run_id: int, last: int) -> list[Turn]:
    return dialogue.earlier(run_id=run_id, last=last)


def _past(run_id: int) -> Past | None:
    return recall.past(run_id=run_id)


def _summarised(run_id: int, through: int, text: str) -> None:
    recall.keep_summary(run_id=run_id, through=through, text=text)


@signals.worker_init.connect
def _start(**_: object) -> None:
    host()
    _spare_the_collector()


def _spare_the_collector() -> None:
    """Leave what the start made out of every later garbage collection.

    Modules, models and agents stay as long as the process does. Looking through them again and
    again stops all runs of the process for that time: four tenths of the loop's work, measured
    while 2,000 runs were woken.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@signals.task_received.connect
def _heard(request: Request | None = None, **_: object) -> None:
    """A bell rings when it is received, not when a pool thread gets round to its task."""
    if request is not None and request.name == bell.TASK:
        host().ring()


@signals.worker_shutting_down.connect
def _drain(**_: object) -> None:
    """Runs in a signal handler: it may only set a flag."""
    if _host is not None:
        _host.begin_drain()


@signals.worker_shutdown.connect
def _stop(**_: object) -> None:
    _courier.stop(seconds=MAIL_SECONDS_AT_THE_END)
    if _host is not None:
        _host.stop()
