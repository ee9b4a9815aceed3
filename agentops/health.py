"""``/healthz``: this process lives. ``/readyz``: so does everything it needs.

Answered before Django's middleware: a probe names no host that ALLOWED_HOSTS would know, and is
not redirected, counted or logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now

from agentops import beat
from runs.models import Worker, WorkerState

log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 2
# Each under the two names by which probes are commonly asked for.
LIVE = ("/healthz", "/health/live")
READY = ("/readyz", "/health/ready")


def answering(http: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an ASGI application so that it answers probes."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] in LIVE:
            await _answer(send, {"web": "ok"})
        elif scope["path"] in READY:
            await _answer(send, await sync_to_async(readiness)())
        else:
            await http(scope, receive, send)

    return application


def readiness() -> dict[str, str]:
    """What answers (``ok``) and what does not, in a word that gives nothing away."""
    try:
        parts = {"web": "ok", "database": "ok", "workers": _workers(), "beat": beat_state()}
    except Error as error:
        log.warning("health.database_unreachable", error=str(error).strip())
        parts = {"web": "ok", "database": "missing", "workers": "unknown", "beat": "unknown"}
    finally:
        connection.close()
    return {**parts, "broker": _broker()}


def _workers() -> str:
    alive = Worker.objects.filter(
        state=WorkerState.ALIVE,
        heartbeat_at__gt=Now() - timedelta(seconds=settings.AGENTOPS_LEASE_SECONDS),
    )
    return "ok" if alive.exists() else "missing"


def beat_state() -> str:
    """Whether one beat holds the schedule."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = 0 AND objid = %s)",
            [beat.LOCK],
        )
        (held,) = cursor.fetchone()
    return "ok" if held else "missing"


def _broker() -> str:
    try:
        with redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=_CONNECT_SECONDS
        ) as connected:
            connected.ping()
    except redis.RedisError as error:
        log.warning("health.redis_unreachable", error=str(error))
        return "missing"
    return "ok"


async def _answer(send: Any, parts: dict[str, str]) -> None:
    fine = all(said == "ok" for said in parts.values())
    body = json.dumps(parts).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": 200 if fine else 503,
            "headers": [*headers, length],
        }
    )
    await send({"type": "http.response.body", "body": body})
