"""A worker asks models: routes of the database, paces of providers, the scripted part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from agentops.sdk.messages import Usage
from runs import worker
from runs.engine.host import Host
from runs.engine.limits import Limits
from runs.models import Journal, LimitBucket, ModelEndpoint, Phase, RouteVersion
from tests.runs.engine.conftest import ended, eventually, start


def rows(run: Any) -> list[dict[str, Any]]:
    found = Journal.objects.filter(run=run, phase=Phase.OUTCOME).order_by("seq")
    return [row.meta for row in found if row.meta and row.meta.get("type") == "model"]


def told(run: Any) -> dict[str, Any]:
    """The error of the step that failed."""
    meta = Journal.objects.get(run=run, kind="step.failed").meta
    assert meta is not None
    return dict(meta["error"])


def test_without_a_key_the_agents_part_is_played_and_named_as_such(host: Host) -> None:
    run = ended(start("shopkeeper"))
    assert run.status == "succeeded", rows(run)
    first, second = rows(run)
    assert first["target"] == second["target"] == "model:scripted/scripted"
    assert (first["model"], first["route"], first["route_version"]) == ("scripted", "fast", 0)
    assert (first["finish"], second["finish"]) == ("tools", "stop")


def test_what_an_operator_saves_holds_for_the_next_attempt(host: Host) -> None:
    ModelEndpoint.objects.create(name="dead", protocol="openai", key_variable="NO_SUCH_KEY")
    RouteVersion.objects.create(
        route="special", number=1, candidates=[{"endpoint": "dead", "model": "m"}]
    )
    eventually(lambda: "special" in host.models._routes)
    failed = ended(start("shopkeeper", route="special"))
    assert failed.status == "failed"
    error = told(failed)
    assert "dead/m: NO_SUCH_KEY is not set for this worker" in error["message"]
    RouteVersion.objects.create(
        route="special",
        number=2,
        candidates=[{"endpoint": "dead", "model": "m"}, {"endpoint": "scripted", "model": "s"}],
    )
    eventually(lambda: host.models._routes["special"].version == 2)
    run = ended(start("shopkeeper", route="special"))
    assert run.status == "succeeded"
    assert rows(run)[0]["rejected"] == {"model:dead/m": "NO_SUCH_KEY is not set for this worker"}


def test_a_route_that_does_not_exist_is_named_with_those_that_do(host: Host) -> None:
    run = ended(start("shopkeeper", route="smrt"))
    error = told(run)
    assert error["message"].startswith("There is no route “smrt”. There are: fast, smart.")


# -- paces ------------------------------------------------------------------------------------


class Keeper:
    """Counts the statements that would go over the keeper's connection."""

    def __init__(self, wire: psycopg.Connection[Any]) -> None:
        self._wire = wire
        self.asked = 0

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._wire.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    async def ask(self, question: Callable[..., Any]) -> Any:
        await asyncio.sleep(0)
        self.asked += 1
        return question(self.query)

    def defer(self, duty: Callable[..., None]) -> None:
        duty(self.query)


@pytest.fixture
def keeper(transactional_db: None) -> Iterator[Keeper]:
    with psycopg.connect(
        worker.options().conninfo, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as wire:
        yield Keeper(wire)


def paced(keeper: Keeper, requests: int | None, tokens: int | None) -> Limits:
    limits = Limits(keeper.ask, keeper.defer)
    limits.known({"slow": (requests, tokens)})
    return limits


async def take(limits: Limits, count: int, tokens: int = 10) -> list[float]:
    return list(await asyncio.gather(*(limits.take("slow", tokens) for _ in range(count))))


async def test_as_many_go_at_once_as_the_minute_has_and_the_others_hear_when(
    keeper: Keeper,
) -> None:
    seconds = await take(paced(keeper, 3, None), 5)
    assert seconds[:3] == [0, 0, 0]
    assert seconds[3] == pytest.approx(20, abs=1)
    assert seconds[4] == pytest.approx(40, abs=1)


async def test_what_is_wanted_together_is_taken_in_few_statements(keeper: Keeper) -> None:
    granted = await take(paced(keeper, 1000, None), 200)
    assert set(granted) == {0}
    assert keeper.asked <= 2


async def test_two_workers_share_one_bucket(keeper: Keeper) -> None:
    one, other = paced(keeper, 3, None), paced(keeper, 3, None)
    granted = [*await take(one, 2), *await take(other, 2)]
    assert [s == 0 for s in granted] == [True, True, True, False]


async def test_a_request_refused_for_its_tokens_does_not_count(keeper: Keeper) -> None:
    limits = paced(keeper, 100, 1000)
    assert await take(limits, 1, tokens=1000) == [0]
    assert (await take(limits, 1, tokens=500))[0] == pytest.approx(30, abs=1)
    level = LimitBucket.objects.filter(key="slow/r").values_list("level", flat=True)
    assert await asyncio.to_thread(lambda: round(level[0])) == 99


async def test_more_than_a_minute_holds_is_granted_when_the_bucket_is_full(keeper: Keeper) -> None:
    limits = paced(keeper, None, 1000)
    assert await take(limits, 1, tokens=5000) == [0]
    assert (await take(limits, 1, tokens=10))[0] > 0


async def test_what_an_estimate_was_wrong_by_is_given_back(keeper: Keeper) -> None:
    limits = paced(keeper, None, 1000)
    assert await take(limits, 1, tokens=1000) == [0]
    limits.settle("slow", 1000, Usage(input_tokens=100, output_tokens=50))
    assert await take(limits, 1, tokens=800) == [0]
    limits.settle("slow", 800, Usage(measured=False))
    assert (await take(limits, 1, tokens=800))[0] > 0
