"""Probes: what they say, and that they need nothing to say it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from agentops import health
from agentops.asgi import application
from runs.models import Worker


async def ask(path: str) -> tuple[int, dict[str, Any]]:
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    web: Callable[..., Awaitable[None]] = application
    await web(scope, receive, send)
    start, body = said
    return start["status"], json.loads(body["body"])


async def test_a_living_process_says_so_to_anybody(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["agents.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    for name in health.LIVE:
        assert await ask(name) == (200, {"web": "ok"})


@pytest.mark.django_db(transaction=True)
async def test_what_is_missing_is_named() -> None:
    (status, parts), other = [await ask(name) for name in health.READY]
    assert status == 503
    assert other == (status, parts)
    assert parts == {
        "web": "ok",
        "database": "ok",
        "broker": "ok",
        "workers": "missing",
        "beat": "missing",
    }


@pytest.mark.django_db(transaction=True)
def test_a_worker_counts_while_its_lease_lives(settings: Settings) -> None:
    worker = Worker.objects.create(
        machine="m", hostname="h", pid=1, pid_started=1, queues=["default"], capacity=1
    )
    assert health.readiness()["workers"] == "ok"
    silence = timedelta(seconds=settings.AGENTOPS_LEASE_SECONDS + 1)
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=Now() - silence)
    assert health.readiness()["workers"] == "missing"


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_gone_is_named(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock?db=0"
    assert health.readiness()["broker"] == "missing"
