"""What a stretch of work cost the database: commits, fsyncs, WAL, growth."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

# Sessions hand in their counts when they end or have been idle for a while; the caller ends the
# measured processes before it reads the second time. Commits and size are of the one database that
# each system has; what others do on a shared server would blur them, and a database that somebody
# drops meanwhile would turn them negative.
READ = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
       (SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'),
       pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
       pg_database_size(current_database())
"""


@dataclass(frozen=True)
class Counters:
    """Totals since the start: commits and size of one database, fsyncs and WAL of its server."""

    commits: int
    fsyncs: int
    wal_bytes: int
    database_bytes: int

    def __sub__(self, other: Counters) -> Counters:
        return Counters(
            self.commits - other.commits,
            self.fsyncs - other.fsyncs,
            self.wal_bytes - other.wal_bytes,
            self.database_bytes - other.database_bytes,
        )


def read(url: str) -> Counters:
    """The totals now. The reading itself is one commit and is part of the next reading."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(READ).fetchone()
    assert row is not None
    return Counters(*(int(value) for value in row))
