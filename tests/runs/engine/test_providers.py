"""What becomes of a run when a provider fails: whom it asks then, when, and what its journal says.

A route of two candidates, one that speaks like OpenAI and one that speaks like Anthropic, in both
orders. The first of them fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from agentops.providers import adapter
from agentops.sdk import catalog
from runs.engine.host import Host
from runs.models import Breaker, Journal, ModelEndpoint, RouteVersion, Run
from tests.modelserver import Answer, Fault, ModelServer, doors
from tests.modelserver.asked import Asked
from tests.runs.engine.asking import serving
from tests.runs.engine.conftest import ended, eventually, stands_at, start

pytestmark = pytest.mark.slow

ORDERS = pytest.mark.parametrize(
    "order", [("openai", "anthropic"), ("anthropic", "openai")], ids=lambda order: order[0]
)
TARGETS = {"first": "model:first/small", "second": "model:second/large"}
BLUE = "The sky is blue."


@dataclass(frozen=True)
class Row:
    """A fault of the first candidate, and what must come of it.

    ``code``: how its attempt is recorded. ``hopeless``: this run asks it no more. ``ends``:
    whether the second candidate answers, or the run fails with the code.
    """

    fault: str
    code: str
    hopeless: bool = False
    answered: bool = True
    timeout: float = 60.0


# An attempt gives up five seconds before the step's time is over.
BRIEF = 6.0
TABLE = [
    # At once the next candidate; the first one is left alone for a while.
    Row("rate_limited", "rate_limited"),
    Row("rate_limited_until", "rate_limited"),
    Row("server_error", "provider_error"),
    Row("bad_gateway", "provider_error"),
    Row("overloaded", "overloaded"),
    Row("unavailable", "overloaded"),
    Row("refused_in_stream", "overloaded"),
    Row("silence", "timeout", timeout=BRIEF),
    Row("stall", "cut_off", timeout=BRIEF),
    Row("hang_up", "connection_failed"),
    Row("reset", "connection_failed"),
    Row("cut", "cut_off"),
    Row("cut_cleanly", "cut_off"),
    Row("garbage", "provider_error"),
    # The next candidate, and this one never again in this run: it would say the same.
    Row("too_long", "context_overflow", hopeless=True),
    Row("unauthorised", "authentication_failed", hopeless=True),
    Row("forbidden", "authentication_failed", hopeless=True),
    Row("no_quota", "quota_exceeded", hopeless=True),
    Row("no_model", "model_not_found", hopeless=True),
    # Nobody else is asked: no other model would do better, or should.
    Row("bad_request", "request_rejected", answered=False),
    Row("blocked", "content_filtered", answered=False),
]
# The model itself got it wrong and is told so: no other one is asked.
REPAIRED = ["not_json", "half_json", "listed", "unknown_tool", "empty"]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    # Takes seconds, which are not to count as a provider's.
    for name in ("openai", "anthropic"):
        import_module(f"agentops.providers.makers.{name}")


@pytest.fixture
def make_worker(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Host]:
    """Starts workers that know the route “table”."""
    monkeypatch.setenv("TABLE_KEY", "sk-table-1")
    catalog.configure(("tests.runs.engine.asking",))

    def make() -> Host:
        host = make_host()
        eventually(lambda: "table" in host.models._routes)
        return host

    return make


def route(first: str, second: str, order: tuple[str, str], **about_first: Any) -> None:
    """The route: the candidates at two addresses."""
    for name, address, protocol in zip(TARGETS, (first, second), order, strict=True):
        base = f"{address}/v1" if protocol == "openai" else address
        ModelEndpoint.objects.create(
            name=name, protocol=protocol, base_url=base, key_variable="TABLE_KEY"
        )
    RouteVersion.objects.create(
        route="table",
        number=1,
        candidates=[
            {"endpoint": "first", "model": "small", **about_first},
            {"endpoint": "second", "model": "large"},
        ],
    )


class Provider:
    """A server for both candidates: the small model fails first, and then is well again."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = list(faults)

    def __call__(self, asked: Asked) -> Fault | Answer:
        if asked.model == "small" and self._faults:
            return self._faults.pop(0)
        return Answer(BLUE)


def models(server: ModelServer) -> list[str]:
    return [asked.model for asked in server.asked]


def attempts(run: Run) -> list[dict[str, Any]]:
    """What the journal says of each request to a model that ended."""
    kinds = {"step.retrying", "step.completed", "step.failed"}
    found = Journal.objects.filter(run=run, kind__in=kinds).order_by("seq")
    return [row.meta for row in found if row.meta and row.meta.get("type") == "model"]


@ORDERS
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
def test_what_comes_of_each_fault(
    make_worker: Callable[[], Host], row: Row, order: tuple[str, str]
) -> None:
    with serving(Provider(Fault(row.fault))) as server:
        route(server.address, server.address, order)
        make_worker()
        run = ended(start("asks", timeout=row.timeout))
        told, asked = attempts(run), models(server)
    first = told[0]
    assert (first["target"], first["error"]["code"]) == (TARGETS["first"], row.code)
    assert (first["route"], first["route_version"]) == ("table", 1)
    if not row.answered:
        assert (run.status, asked, len(told)) == ("failed", ["small"], 1)
        return
    assert run.status == "succeeded", attempts(run)
    assert asked == ["small", "large"]
    assert first["hopeless"] is row.hopeless
    assert told[1]["target"] == TARGETS["second"]
    why = told[1]["rejected"][TARGETS["first"]]
    assert why.startswith(f"failed with {row.code}" if row.hopeless else "is left alone for")


@ORDERS
def test_before_it_is_sent_nothing_is_paid_and_the_next_is_asked(
    make_worker: Callable[[], Host], order: tuple[str, str]
) -> None:
    for door in (doors.shut, doors.full):
        ModelEndpoint.objects.all().delete()
        RouteVersion.objects.all().delete()
        with door() as nowhere, serving([BLUE]) as server:
            route(nowhere, server.address, order)
            make_worker()
            run = ended(start("asks", timeout=BRIEF))
            told = attempts(run)
            assert models(server) == ["large"]
        assert [row["target"] for row in told] == list(TARGETS.values())
        assert told[0]["error"]["code"] in {"connection_failed", "timeout"}


@ORDERS
@pytest.mark.parametrize("fault", REPAIRED)
def test_a_model_that_gets_it_wrong_is_told_so(
    make_worker: Callable[[], Host], fault: str, order: tuple[str, str]
) -> None:
    with serving(Provider(Fault(fault))) as server:
        route(server.address, server.address, order)
        make_worker()
        run = ended(start("asks"))
        assert models(server) == ["small", "small"]
        assert len(server.asked[1].messages) > len(server.asked[0].messages)
    assert run.status == "succeeded", attempts(run)
    assert [row["target"] for row in attempts(run)] == [TARGETS["first"]] * 2


@ORDERS
def test_an_answer_that_takes_its_time_is_waited_for(
    make_worker: Callable[[], Host], order: tuple[str, str]
) -> None:
    with serving(Provider(Fault("slow_first_token", 1.0))) as server:
        route(server.address, server.address, order)
        make_worker()
        run = ended(start("asks"))
        assert (run.status, models(server)) == ("succeeded", ["small"])


@ORDERS
def test_what_is_too_long_for_a_model_is_not_sent_to_it(
    make_worker: Callable[[], Host], order: tuple[str, str]
) -> None:
    with serving(Provider()) as server:
        route(server.address, server.address, order, context_tokens=200)
        make_worker()
        run = ended(start("asks", prompt="sky " * 1000))
        assert (run.status, models(server)) == ("succeeded", ["large"])
    [told] = attempts(run)
    assert told["rejected"][TARGETS["first"]].startswith("takes 200 tokens, this may be ")


@ORDERS
def test_an_answer_that_a_filter_stopped_is_final(
    make_worker: Callable[[], Host], order: tuple[str, str]
) -> None:
    with serving(Provider(Fault("filtered"))) as server:
        route(server.address, server.address, order)
        make_worker()
        run = ended(start("asks"))
        assert (run.status, models(server)) == ("failed", ["small"])


# -- nobody else to ask -----------------------------------------------------------------------


def alone(address: str) -> None:
    """The route with one candidate."""
    ModelEndpoint.objects.create(
        name="first", protocol="openai", base_url=f"{address}/v1", key_variable="TABLE_KEY"
    )
    RouteVersion.objects.create(
        route="table", number=1, candidates=[{"endpoint": "first", "model": "small"}]
    )


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("unauthorised", "authentication_failed"),
        ("no_quota", "quota_exceeded"),
        ("no_model", "model_not_found"),
        ("too_long", "context_overflow"),
    ],
)
def test_what_trying_again_cannot_cure_is_tried_once_and_said(
    make_worker: Callable[[], Host], fault: str, code: str
) -> None:
    with serving(Provider(Fault(fault))) as server:
        alone(server.address)
        make_worker()
        run = ended(start("asks"))
        assert (run.status, models(server)) == ("failed", ["small"])
    assert attempts(run)[-1]["error"]["code"] == code


def test_a_retry_after_of_more_than_two_seconds_frees_the_worker(
    make_worker: Callable[[], Host],
) -> None:
    with serving(Provider(Fault("rate_limited", 3))) as server:
        alone(server.address)
        host = make_worker()
        run = stands_at(start("asks"), "waiting", "retry")
        assert "first/small: is left alone for 3 s" in run.waiting_detail
        assert not host._executions
        run = ended(run)
        first, second = server.asked
    assert run.status == "succeeded", attempts(run)
    assert second.at - first.at >= 3


def test_a_shorter_one_is_waited_for(make_worker: Callable[[], Host]) -> None:
    with serving(Provider(Fault("rate_limited", 1))) as server:
        alone(server.address)
        make_worker()
        run = ended(start("asks"))
        first, second = server.asked
    assert run.status == "succeeded", attempts(run)
    assert second.at - first.at >= 1
    assert not Journal.objects.filter(run=run, kind="run.suspended").exists()


def test_what_is_recorded_is_not_paid_again(make_worker: Callable[[], Host]) -> None:
    """The run is taken up again from its journal, by another worker."""
    with serving(Provider(Fault("server_error"))) as server:
        route(server.address, server.address, ("openai", "anthropic"))
        make_worker()
        run = ended(start("asks-and-sleeps"))
        assert (run.status, models(server)) == ("succeeded", ["small", "large"])
    assert run.epoch > 1


def test_a_worker_that_ends_lets_go_of_its_connections(make_worker: Callable[[], Host]) -> None:
    with serving(Provider()) as server:
        alone(server.address)
        host = make_worker()
        ended(start("asks"))
        assert server._connected
        assert host.stop()
        assert host.loop not in adapter._clients
        eventually(lambda: not server._connected)


# -- the circuit ------------------------------------------------------------------------------


def half_open(hosts: list[Host]) -> None:
    """The first candidate's circuit was open until a moment ago, as all workers know."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    before = past - timedelta(seconds=15)
    target = TARGETS["first"]
    Breaker.objects.create(target=target, failures=5, open_until=past, changed_at=before)
    eventually(lambda: all(target in host.breakers._known for host in hosts))


def test_how_long_a_provider_asks_for_holds_for_every_run(
    make_worker: Callable[[], Host],
) -> None:
    with serving(Provider(Fault("rate_limited", 30))) as server:
        route(server.address, server.address, ("openai", "anthropic"))
        hosts = [make_worker(), make_worker()]
        ended(start("asks"))
        eventually(lambda: all(host.breakers.blocked(TARGETS["first"]) > 20 for host in hosts))
        others = [start("asks") for _ in range(4)]
        assert {ended(run).status for run in others} == {"succeeded"}
        assert models(server) == ["small"] + ["large"] * 5
    why = attempts(others[0])[0]["rejected"][TARGETS["first"]]
    assert why.startswith("is left alone for ")


def test_after_its_time_one_of_all_workers_tries_and_others_go_on_to_the_next(
    make_worker: Callable[[], Host],
) -> None:
    with serving(Provider(), delay=1.0) as server:
        route(server.address, server.address, ("openai", "anthropic"))
        hosts = [make_worker(), make_worker()]
        half_open(hosts)
        runs = [start("asks") for _ in range(6)]
        assert {ended(run).status for run in runs} == {"succeeded"}
        assert Counter(models(server)) == {"small": 1, "large": 5}
        # It works again, for everybody.
        eventually(lambda: not Breaker.objects.exists())
        eventually(lambda: not any(host.breakers._known for host in hosts))
        ended(start("asks"))
        assert models(server)[-1] == "small"


def test_those_who_can_ask_nobody_else_wait_for_the_one_who_tries(
    make_worker: Callable[[], Host],
) -> None:
    with serving(Provider(), delay=1.0) as server:
        alone(server.address)
        half_open([make_worker(), make_worker()])
        runs = [start("asks") for _ in range(6)]
        assert {ended(run).status for run in runs} == {"succeeded"}
        first, *others = sorted(asked.at for asked in server.asked)
    assert len(others) == 5
    assert min(others) - first >= 1.0


def test_a_try_that_fails_shuts_it_for_longer(make_worker: Callable[[], Host]) -> None:
    with serving(Provider(Fault("server_error"))) as server:
        route(server.address, server.address, ("openai", "anthropic"))
        half_open([make_worker()])
        assert ended(start("asks")).status == "succeeded"
        assert models(server) == ["small", "large"]
        later = datetime.now(UTC) + timedelta(seconds=20)
        eventually(lambda: Breaker.objects.filter(open_until__gt=later).exists())
