"""How long a decision takes while fifty people decide, on one web process."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import rfc8785
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from agentops.accounts.roles import Role
from approvals.models import Record, Request, Revision, State
from benchmarks.ours import processes
from benchmarks.ours.runtime import Agentops
from benchmarks.rig import http
from benchmarks.rig.measure import percentile
from benchmarks.rig.processes import cpu_seconds
from benchmarks.rig.result import Result
from benchmarks.rig.workloads import sized
from runs.models import Run, RunPayload

DECIDERS, EACH = 50, 15
# Faster than anybody reads: who needs less than this per decision has not looked.
PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Decider:
    """Somebody who signed in, as their browser shows it."""

    name: str
    headers: str


@dataclass(frozen=True)
class Asked:
    """A request as its page shows it."""

    public_id: str
    digest: str


async def w11_deciders(system: Agentops, scale: float) -> Result:
    """50 people decide over REST in their sessions, each every two seconds; then all at once.

    Each decision is a vote, its records, the new state and the message to a waiting run. Smaller:
    fewer decisions.
    """
    each = max(2, sized(EACH, scale))
    people = await system.in_thread(_people)
    asked = await system.in_thread(partial(_asked, DECIDERS * (each + 1)))
    port = processes.free_port()
    # As a proxy in front of it keeps its connections.
    server = processes.web(port, system.log, AGENTOPS_DEBUG="0", UVICORN_TIMEOUT_KEEP_ALIVE="300")
    try:
        url = f"http://127.0.0.1:{port}/api/v1/approvals"
        await asyncio.gather(*(http.get(f"{url}/count", one.headers) for one in people))
        before, began = cpu_seconds([server.pid]), time.monotonic()
        paced = await _paced(url, people, asked[DECIDERS:], each)
        used = cpu_seconds([server.pid]) - before
        cores = used / (time.monotonic() - began)
        together = await asyncio.gather(
            *(_decide(url, who, one) for who, one in zip(people, asked, strict=False))
        )
    finally:
        processes.end(server)
    result = Result("W11", scale)
    await system.in_thread(partial(_count, result, len(asked)))
    result.metrics = {
        "decision_p50_ms": percentile(paced, 0.5),
        "decision_p95_ms": percentile(paced, 0.95),
        "decision_max_ms": max(paced),
        "decision_cpu_ms": used * 1000 / len(paced),
        "together_p95_ms": percentile(sorted(together), 0.95),
        "web_cores": cores,
    }
    return result


async def _paced(
    url: str, people: Sequence[Decider], asked: Sequence[Asked], each: int
) -> list[float]:
    """All of them at their own pace, which none of them shares with another."""
    chance = random.Random(11)

    async def decides(at: int) -> list[float]:
        await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))
        found = []
        for one in asked[at * each : (at + 1) * each]:
            found.append(await _decide(url, people[at], one))
            await asyncio.sleep(max(0.0, PAUSE_SECONDS - found[-1] / 1000))
        return found

    latencies = await asyncio.gather(*(decides(at) for at in range(len(people))))
    return sorted(took for those in latencies for took in those)


async def _decide(url: str, who: Decider, one: Asked) -> float:
    said = {"verdict": "approve", "revision": 1, "digest": one.digest, "comment": "Checked."}
    began = time.monotonic()
    answer: Mapping[str, object] = await http.post(
        f"{url}/{one.public_id}/decide", said, who.headers
    )
    took = (time.monotonic() - began) * 1000
    if answer["state"] != State.APPROVED or answer["decided_by"] != who.name:
        raise RuntimeError(f"not decided: {answer}")
    return took


def _people() -> list[Decider]:
    role, _ = Group.objects.get_or_create(name=Role.APPROVER)
    return [_decider(role) for _ in range(DECIDERS)]


def _decider(role: Group) -> Decider:
    name = f"bench-{secrets.token_hex(6)}"
    person = get_user_model().objects.create_user(username=name, password=secrets.token_urlsafe())
    person.groups.add(role)
    browser = Client()
    browser.force_login(person)
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    proof = secrets.token_hex(16)
    cookies = f"{settings.SESSION_COOKIE_NAME}={key}; {settings.CSRF_COOKIE_NAME}={proof}"
    return Decider(name, f"Cookie: {cookies}\r\nX-CSRFToken: {proof}\r\n")


def _asked(count: int) -> list[Asked]:
    """Actions that wait for an approver, each of a run that waits for it and that nobody works."""
    owner = get_user_model().objects.create_user(username=f"bench-{secrets.token_hex(6)}")
    runs = Run.objects.bulk_create(
        Run(
            public_id=f"run_{secrets.token_hex(10)}", agent="bench-body", queue="bench-nobody",
            status="waiting", waiting_for="approval", owner=owner, ready_at=None,
        )
        for _ in range(count)
    )  # fmt: skip
    RunPayload.objects.bulk_create(
        RunPayload(run=run, input=b"{}", input_digest=b"") for run in runs
    )
    requests = Request.objects.bulk_create(
        Request(
            kind="approval", run=run, run_public_id=run.public_id, key="refund#1", owner=owner,
            agent=run.agent, name="refund", title="refund 240.00", state="pending",
        )
        for run in runs
    )  # fmt: skip
    return [_shown(request) for request in requests]


def _shown(request: Request) -> Asked:
    said = {
        "run": request.run_public_id, "key": request.key, "round": 1, "revision": 1,
        "tool": request.name, "agent": request.agent, "arguments": {"amount": "240.00"},
    }  # fmt: skip
    frozen = rfc8785.dumps(said)  # type: ignore[arg-type]  # plain JSON
    digest = hashlib.sha256(frozen).digest()
    Revision.objects.create(
        request=request, number=1, envelope=frozen, digest=digest, action=digest
    )
    return Asked(request.public_id, digest.hex())


def _count(result: Result, decisions: int) -> None:
    result.expect("decisions", decisions, Request.objects.filter(state=State.APPROVED).count())
    records = Record.objects.filter(event__in=["approval.voted", "approval.decided"])
    result.expect("records", 2 * decisions, records.count())
    woken = Run.objects.filter(queue="bench-nobody", status="queued")
    result.expect("woken", decisions, woken.count())
