"""A worker with the real gates, and people who decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog, codec
from approvals import deciding
from approvals.models import PolicyVersion, Record, Request, State, Verdict
from runs import services
from runs.engine.host import Host
from runs.models import Run
from tests.approvals import making
from tests.approvals.gate import agents
from tests.people import person
from tests.runs.engine.conftest import ended, eventually, make_host, options

__all__ = ["make_host", "options"]


@pytest.fixture(autouse=True)
def shop(settings: Settings) -> Iterator[None]:
    """A world in which nothing was done, and everything asks."""
    settings.AGENTOPS_UNRULED = "ask"
    agents.reset()
    yield
    agents.reset()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """A worker at work on the agents of the shop."""
    catalog.configure(("tests.approvals.gate.agents",))
    return make_host()


@pytest.fixture
def olga(transactional_db: None) -> User:
    """For whom the runs are."""
    return person("olga", Role.OPERATOR)


@pytest.fixture
def ada(transactional_db: None) -> User:
    """Who decides."""
    return making.approver("ada")


def start(agent: str, owner: User | None = None, **given: object) -> Run:
    return services.start_run(agent=agent, input=given, owner=owner, started_by="test").run


def asked(run: Run, round: int = 1, key: str = "") -> Request:
    """The request of a run, once it is there and the run waits for it."""

    def look() -> Request | None:
        rows = Request.objects.filter(run=run, round=round)
        return (rows.filter(key=key) if key else rows).first()

    found = eventually(look)
    eventually(lambda: Run.objects.filter(pk=run.pk, waiting_for="approval").exists())
    assert isinstance(found, Request)
    return found


def word(request: Request, by: User, verdict: Verdict, **said: Any) -> deciding.Decided:
    given = {**making.shown(request), **said}
    return deciding.decide(request=request, actor=Actor(by), verdict=verdict, **given)


def approve(request: Request, by: User, **said: Any) -> deciding.Decided:
    return word(request, by, Verdict.APPROVE, **said)


def reject(request: Request, by: User, **said: Any) -> deciding.Decided:
    return word(request, by, Verdict.REJECT, **said)


def output(run: Run) -> Any:
    payload = ended(run).payload
    return codec.decode(payload.output_codec or 0, bytes(payload.output or b""))


def policy(host: Host | None, *rules: dict[str, Any], unmatched: str = "ask") -> PolicyVersion:
    """A new version for everybody, known to the worker."""
    number = PolicyVersion.objects.filter(team=None).count() + 1
    made = PolicyVersion.objects.create(number=number, rules=list(rules), unmatched=unmatched)
    if host is not None:
        gate: Any = host.gates._gates[1]
        eventually(lambda: gate._known._versions.get(None) == made.pk)
    return made


def state(request: Request) -> str:
    request.refresh_from_db()
    return State(request.state).value


def events(request: Request) -> list[str]:
    rows = Record.objects.filter(request=request).order_by("id")
    return list(rows.values_list("event", flat=True))


def settle() -> None:
    """Long enough for a worker to do what it must not."""
    time.sleep(0.5)
