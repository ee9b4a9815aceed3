"""Workloads and figures that only our engine has."""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial

import psycopg
from django.contrib.auth import get_user_model
from knox.models import get_token_model

from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig import http
from benchmarks.rig.measure import p50_p99, percentile
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized, w3_start, w5_suspended
from runs import services

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
    return str(get_token_model().objects.create(user)[1])


async def w5_suspended_and_claims(system: Agentops, scale: float) -> Result:
    """10,000 suspended runs, and claiming beside 100,000 waiting ones."""
    result = await w5_suspended(system, scale)
    waiting = sized(WAITING_RUNS, scale)
    await system.in_thread(lambda: _insert_waiting(system, waiting))
    await system.boot(64)
    claims = [await _claim_latency(system) for _ in range(sized(50, scale))]
    await system.close()
    result.metrics["claim_p50_ms"] = percentile(claims, 0.5)
    result.counts["waiting"] = waiting
    return result


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


async def _claim_latency(system: Agentops) -> float:
    """From the start of a run to its claim, both by the clock of the database."""
    run = await system.in_thread(lambda: system.start("bench-body", {"body": "stamp", "spec": {}}))
    await system.results([run.pk])
    await system.in_thread(run.refresh_from_db)
    assert run.started_at is not None
    return (run.started_at - run.created_at).total_seconds() * 1000


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
