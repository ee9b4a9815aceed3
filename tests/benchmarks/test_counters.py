"""The counters are those of one database, whatever else its server does meanwhile."""

from __future__ import annotations

import os

import psycopg

from benchmarks.rig import counters
from benchmarks.rig.databases import temporary


def test_a_database_dropped_meanwhile_takes_nothing_away() -> None:
    server = os.environ["DATABASE_URL"].replace("postgres://", "postgresql://")
    with temporary(server, "mine") as mine:
        with temporary(server, "theirs"):
            before = counters.read(mine)
        with psycopg.connect(mine, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 20000)")
        grown = counters.read(mine) - before

    assert 500_000 < grown.database_bytes < 2_000_000
    assert grown.commits >= 1
