"""How long events take from the journal to the tabs that watch, on one web process."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig.measure import percentile
from benchmarks.rig.processes import cpu_seconds
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized
from runs import services
from runs.models import Journal, Run

TABS, PER_SECOND, SECONDS = 500, 100, 30
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class Seen:
    """What the tabs saw, and how many cores whose processes kept busy meanwhile."""

    tabs: Sequence[dict[str, Any]]
    cores: Mapping[str, float]


async def w9_live(system: Agentops, scale: float) -> Result:
    """500 tabs on the journal of one run that records 100 steps a second for half a minute.

    One web process, real sockets, real journal writes. Smaller: fewer tabs, fewer seconds.
    """
    tabs, steps = sized(TABS, scale), PER_SECOND * max(2, round(SECONDS * scale))
    await system.boot(8)
    cookie, run = await system.in_thread(partial(_started, system, steps))
    after = await _when_waiting(system, run)
    seen = await _seen(system, run, cookie, tabs, after)
    await system.close()
    lines = await system.in_thread(partial(_lines, run, after))
    result = Result("W9", scale)
    result.expect("steps", steps, sum(kind == "step.completed" for kind, _ in lines))
    judge(result, seen, [at for _, at in lines], after)
    return result


def judge(result: Result, seen: Seen, recorded: Sequence[float], after: int) -> None:
    """What was delivered, of all that should have been, and when.

    ``recorded`` are the moments of the events that follow ``after``. A journal row tells when it
    was handed to the writer, just before its commit, so that no latency is told too small.
    """
    latencies = sorted(
        (at - recorded[number - after - 1]) * 1000
        for tab in seen.tabs
        for first, last, at in tab["came"]
        for number in range(first, last + 1)
    )
    due = len(seen.tabs) * len(recorded)
    result.expect("deliveries", due, len(latencies))
    result.metrics["undelivered"] = due - len(latencies)
    result.expect("rows", len(recorded), seen.tabs[0]["rows"])
    result.expect("tabs", len(seen.tabs), sum(tab["alike"] for tab in seen.tabs))
    result.expect("gaps", 0, sum(tab["gaps"] for tab in seen.tabs))
    result.metrics |= {
        f"live_{name}_ms": percentile(latencies, share) for name, share in PERCENTILES.items()
    }
    result.metrics |= {f"{name}_cores": used for name, used in seen.cores.items()}


async def _seen(system: Agentops, run: Run, cookie: str, tabs: int, after: int) -> Seen:
    """What tabs see of the run, from the message that lets it go on to its end."""
    with _web(system) as (web, port):
        found = system.log.parent / "tabs.json"
        asked = {
            "url": f"ws://127.0.0.1:{port}/live/", "origin": f"http://127.0.0.1:{port}",
            "cookie": cookie, "topic": f"run:{run.public_id}", "query": "view=journal",
            "after": after, "tabs": tabs, "found": found,
        }  # fmt: skip
        client = await system.in_thread(partial(_tabs, asked))
        pids = {"web": web.pid, "tabs": client.pid, "worker": system.worker_pid()}
        before = {name: cpu_seconds([pid]) for name, pid in pids.items()}
        began = time.monotonic()
        await system.in_thread(partial(_go, run))
        await system.results([run.pk])
        seconds = time.monotonic() - began
        cores = {name: (cpu_seconds([pid]) - before[name]) / seconds for name, pid in pids.items()}
        last = await system.in_thread(partial(_last, run))
        said = f"{last}\n".encode()
        await system.in_thread(partial(client.communicate, said, processes.START_SECONDS))
        return Seen(json.loads(found.read_text()), cores)


def _last(run: Run) -> int:
    return int(Journal.objects.filter(run=run).latest("seq").seq)


@contextmanager
def _web(system: Agentops) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = processes.free_port()
    web = processes.web(port, system.log, AGENTOPS_DEBUG="0")
    try:
        yield web, port
    finally:
        processes.end(web)


def _tabs(asked: Mapping[str, object]) -> subprocess.Popen[bytes]:
    """The tabs' process, once all are connected."""
    given = [f"--{name}={value}" for name, value in asked.items()]
    command = [sys.executable, "-m", "benchmarks.ours.tabs", *given]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=processes.ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the tabs could not connect")
    return process


def _started(system: Agentops, steps: int) -> tuple[str, Run]:
    """The cookie of somebody who is signed in, and a run of theirs."""
    name = f"bench-{secrets.token_hex(4)}"
    person = get_user_model().objects.create_user(username=name, password=secrets.token_urlsafe())
    browser = Client()
    browser.force_login(person)
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    started = services.start_run(
        agent="bench-steady", input={"steps": steps, "per_second": PER_SECOND}, owner=person,
        started_by=name, queue=system.queue,
    )  # fmt: skip
    return f"{settings.SESSION_COOKIE_NAME}={key}", started.run


async def _when_waiting(system: Agentops, run: Run) -> int:
    """The number of its newest event once the run waits."""
    waits = Run.objects.filter(pk=run.pk, status="waiting")
    while not await system.in_thread(waits.exists):
        await asyncio.sleep(0.02)
    return await system.in_thread(Journal.objects.filter(run=run).count)


def _go(run: Run) -> None:
    services.signal_run(run=run, name="go", payload=None, sender="bench")


def _lines(run: Run, after: int) -> list[tuple[str, float]]:
    """Kind and moment of what was recorded after an event."""
    lines = Journal.objects.filter(run=run, seq__gt=after).order_by("seq")
    return [(kind, at.timestamp()) for kind, at in lines.values_list("kind", "at")]
