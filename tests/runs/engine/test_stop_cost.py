"""What stops cost those who claim: nothing while there is none, little while there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runs import worker
from runs.engine import statements
from runs.engine.caps import CLAIM_CAPPED
from runs.engine.store import hold_stopped
from runs.models import Stop
from tests import factories
from tests.runs.engine.test_caps import explained, many, read_most, rows_read

pytestmark = pytest.mark.slow


def parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from parts(part)


def asked(plan: dict[str, Any]) -> list[str]:
    """What is asked of each run about stops: subplans that ran at all, without one-time ones."""
    return [
        str(part.get("CTE Name") or part.get("Relation Name"))
        for part in parts(plan)
        if str(part.get("Subplan Name", "")).startswith("SubPlan")
        and part["Actual Loops"] > 0
        and {it.get("CTE Name") for it in parts(part)} & {"stops", "stopped_runs"}
    ]


def test_a_claim_asks_nothing_about_its_runs_while_there_is_no_stop(
    transactional_db: None,
) -> None:
    """The one look at an empty index, once per statement, is all there is of it."""
    many(20_000)
    at = factories.worker()
    with psycopg.connect(
        worker.options().conninfo, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as wire:
        wire.execute("ANALYZE run")
        for statement, values in (
            (statements.CLAIM, ("default", 64, at.pk)),
            (statements.NEXT_DUE, (["default"],)),
            (CLAIM_CAPPED, ("default", 64, at.pk, ["narrow"], [100], 0)),
        ):
            plan = explained(wire, statement.sql, *values)
            assert asked(plan) == [], statement.name
            of_stops = [
                p for p in parts(plan) if p.get("Relation Name") in {"stop", "accounts_user"}
            ]
            assert sum(p["Actual Rows"] * p["Actual Loops"] for p in of_stops) == 0
            assert {p["Node Type"] for p in of_stops if p["Actual Loops"]} <= {
                "Index Scan", "Seq Scan", "Bitmap Heap Scan", "Index Only Scan"
            }  # fmt: skip
            assert sum(p.get("Shared Hit Blocks", 0) for p in of_stops) <= 4
        plain = explained(wire, statements.CLAIM.sql, "default", 64, at.pk)
        assert rows_read(plain) < 1000, read_most(plain)


def test_what_is_stopped_is_parked_so_that_claims_do_not_wade_in_it(
    transactional_db: None,
) -> None:
    many(2_000)
    at = factories.worker()
    Stop.objects.create(scope="agent", target="narrow", reason="x", by="y")
    other = factories.run(agent="free")
    with psycopg.connect(
        worker.options().conninfo, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as wire:
        sweeps = 0
        with psycopg.connect(worker.options().conninfo) as own, own.cursor() as cursor:
            while hold_stopped(cursor).hints:
                sweeps += 1
        assert sweeps == 4
        wire.execute("ANALYZE run")
        plan = explained(wire, statements.CLAIM.sql, "default", 64, at.pk)
        assert rows_read(plan) < 1000, read_most(plan)
        found = wire.execute(statements.CLAIM.sql, ("default", 64, at.pk)).fetchall()
        assert [row[0] for row in found] == [other.pk]
        assert wire.execute(statements.NEXT_DUE.sql, (["default"],)).fetchone() == (None,)
