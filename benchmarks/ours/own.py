"""Workloads and figures that only our engine has."""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial
from typing import Any

import psycopg
from django.contrib.auth import get_user_model

from agentops.accounts import tokens
from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig import http
from benchmarks.rig.measure import p50_p99, percentile
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized, w3_start, w5_suspended
from runs import services
from runs.engine.statements import CLAIM, REGISTER

WAITING_RUNS = 100_000


async def w3_start_and_rest(system: Agentops, scale: float) -> Result:
    """The engine's client, then the same through the REST API with a token."""
    result = await w3_start(system, scale)
    await system.boot(64)
    port = processes.free_port()
    server = processes.web(port, system.log)
    try:
        token = await system.in_thread(_token)
        ask = partial(_through_rest, system, f"http://127.0.0.1:{port}/api/v1/runs", token)
        for _ in range(5):
            await ask()
        found = [await ask() for _ in range(sized(100, scale))]
    finally:
        processes.end(server)
        await system.close()
    result.metrics |= p50_p99(found, "rest")
    return result


async def _through_rest(system: Agentops, url: str, token: str) -> float:
    began = time.monotonic_ns()
    asked = {
        "agent": "bench-body", "queue": system.queue, "input": {"body": "stamp", "spec": {}},
    }  # fmt: skip
    answer = await http.post(url, asked, f"Authorization: Token {token}\r\n")
    first = int((await system.results([await system.in_thread(lambda: _id(answer["id"]))]))[0])
    # Idle again before the next one.
    await asyncio.sleep(0.03)
    return (first - began) / 1e6


def _id(public_id: str) -> int:
    from runs.models import Run

    return int(Run.objects.values_list("pk", flat=True).get(public_id=public_id))


def _token() -> str:
    user = get_user_model().objects.create_user(
        username=f"bench-{secrets.token_hex(4)}", password=secrets.token_urlsafe(), is_staff=True
    )
    return tokens.make_token(user=user, made_by="benchmark").secret


async def w5_suspended_and_claims(system: Agentops, scale: float) -> Result:
    """10,000 suspended runs, and claiming beside 100,000 waiting ones."""
    result = await w5_suspended(system, scale)
    waiting = sized(WAITING_RUNS, scale)
    claims = await system.in_thread(lambda: _claim_latencies(system, waiting, sized(200, scale)))
    result.metrics["claim_p50_ms"] = percentile(claims, 0.5)
    result.counts["waiting"] = waiting
    return result


def _claim_latencies(system: Agentops, waiting: int, claims: int) -> list[float]:
    """The workers' own statement, one run at a time, beside the waiting ones."""
    _insert_waiting(system, waiting)
    for _ in range(claims):
        system.start("bench-body", {"body": "stamp", "spec": {}})
    url = system.counters_url
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        worker = connection.execute(REGISTER, ["bench", "bench", 0, 0, [], 1, ""]).fetchone()
        assert worker is not None
        return [_claim_latency(connection, system.queue, worker[0]) for _ in range(claims)]


def _claim_latency(connection: psycopg.Connection[Any], queue: str, worker: int) -> float:
    began = time.monotonic_ns()
    found = connection.execute(CLAIM.sql, [queue, 1, worker], prepare=True).fetchall()
    took = (time.monotonic_ns() - began) / 1e6
    assert len(found) == 1
    return took


def _insert_waiting(system: Agentops, count: int) -> None:
    """Rows as 100,000 suspended runs leave them, without running each of them."""
    waiting = """
    INSERT INTO run (public_id, agent, queue, status, waiting_for, ready_at, started_at, epoch)
    SELECT 'run_' || lpad(n::text, 20, '0'), 'bench-wait', %s, 'waiting', 'event', NULL, now(), 1
      FROM generate_series(1, %s) n
    """
    with psycopg.connect(system.counters_url, autocommit=True) as connection:
        connection.execute(waiting, [system.queue, count])
        connection.execute("ANALYZE run")


async def w8_replay(system: Agentops, scale: float) -> Result:
    """From the message to the first new step of a run with 1,000 recorded steps of 1 KB."""
    steps = sized(1000, scale)
    await system.boot(64)
    total, inside = [], []
    for _ in range(3):
        run = await system.in_thread(lambda: system.start("bench-replay", {"steps": steps}))
        await _until_waiting(system, run.pk)
        began = time.monotonic_ns()
        signal = partial(services.signal_run, run=run, name="go", payload=None, sender="bench")
        await system.in_thread(signal)
        told = (await system.results([run.pk]))[0]
        total.append((told["live"] - began) / 1e6)
        inside.append((told["live"] - told["began"]) / 1e6)
    await system.close()
    result = Result("W8", scale)
    result.expect("steps", 3 * (steps + 1), await system.recorded())
    result.metrics = {
        "replay_ms": percentile(total, 0.5),
        "replay_inside_ms": percentile(inside, 0.5),
    }
    return result


async def _until_waiting(system: Agentops, run: int) -> None:
    from runs.models import Run

    waits = Run.objects.filter(pk=run, status="waiting")
    while not await system.in_thread(waits.exists):
        await asyncio.sleep(0.02)
