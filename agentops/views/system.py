"""The System page: whether the installation itself is well, for those who look after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from agentops import health
from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.mail import backend
from approvals import auditing
from runs import bell, figures, housekeeping, standing
from runs.attention import Sentence
from runs.housekeeping import SKEW_BAD, Database
from runs.live.hub import watching
from runs.release import build
from runs.views.signing import signed_in

_PATIENCE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Broker:
    """Redis as this process sees it: nothing known when it does not answer."""

    version: str = ""
    took: float | None = None
    listening: int = 0


@require_safe
@signed_in
def system(request: HttpRequest) -> HttpResponse:
    """Workers, queues, sweep, sockets, bells, mail, clocks, versions; what is red comes first."""
    actor = actor_of(request)
    if not allows(actor, Action.OPERATE):
        raise Http404("The System page is for operators and administrators.")
    now = timezone.localtime()
    rows = housekeeping.workers(now)
    lines = housekeeping.queues(rows, now)
    late = housekeeping.overdue()
    base, broker = housekeeping.database(), _broker()
    return render(request, "system/system.html", {
        "now": now,
        "wrong": [
            *housekeeping.wrong(rows, lines, late), *_wrong(base, broker), *auditing.wrong(now),
        ],
        "workers": rows,
        "queues": lines,
        "late": late,
        "recovered": housekeeping.recoveries(),
        "base": base,
        "skew": figures.duration(abs(base.skew.total_seconds())),
        "broker": broker,
        "sockets": watching(),
        "models": standing.now(now, [row.worker for row in rows]),
        "mail_kept": backend.is_used(),
        "mail_host": getattr(settings, "EMAIL_HOST", ""),
        "release": settings.AGENTOPS_RELEASE,
        "page_build": build(),
        "queues_here": settings.AGENTOPS_QUEUES,
        "administers": allows(actor, Action.ADMINISTER),
    })  # fmt: skip


def _broker() -> Broker:
    try:
        with redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=_PATIENCE_SECONDS,
            socket_timeout=_PATIENCE_SECONDS,
        ) as connected:  # fmt: skip
            connected.ping()
            began = time.monotonic()
            info = connected.info("server")
            took = time.monotonic() - began
            ((_, listening),) = connected.pubsub_numsub(bell.HINTS)
    except redis.RedisError:
        return Broker()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "")
    return Broker(f"{name} {version}", took, int(listening))


def _wrong(base: Database, broker: Broker) -> Iterator[Sentence]:
    if health.beat_state() != "ok":
        yield _red("No beat holds the schedule: what is planned does not start.", "bin/up")
    if broker.took is None:
        yield _red("Redis does not answer: runs go on more slowly, pages are fresh every five "
                   "seconds.", "python manage.py doctor")  # fmt: skip
    if abs(base.skew) > SKEW_BAD:
        text = f"The clocks of this process and the database are {figures.span(abs(base.skew))}"
        yield _red(f"{text} apart: leases and waits go by the database's.", "timedatectl")
    for circuit in housekeeping.silent_bells():
        text = f"Bells to the {circuit.name} are not heard; {figures.count(circuit.skipped)} were "
        yield Sentence("radio", "amber", f"{text}not rung. The sweep finds what they told of.")
    if base.connections > base.most_connections * 0.8:
        yield _red(f"{base.connections} of {base.most_connections} database connections are used.",
                   "SELECT application_name, state FROM pg_stat_activity;")  # fmt: skip


def _red(text: str, command: str) -> Sentence:
    return Sentence("circle-x", "crimson", text, command=command)
