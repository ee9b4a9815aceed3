"""What other apps have the sweep do: ``AGENTOPS_DUTIES``, dotted names of callables.

A duty takes no arguments and is a condition on rows, as the sweep's own are. Each runs in a
transaction of its own, in one process at a time; one that raises is rolled back, remembered for
the System page, and stops nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from django.db import connection, transaction
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)

# "agentops" on a telephone's keys, as the sweep's own; a duty's name is the second number.
_SPACE = 24686077
_LONGEST_ERROR = 500


@dataclass
class Done:
    """What became of the duties of one sweep. Skipped: another process was at it."""

    failed: list[str] = field(default_factory=list)
    skipped: int = 0


def run(names: Sequence[str]) -> Done:
    """Do each of the duties, over the calling thread's own connection."""
    done = Done()
    for name in names:
        try:
            if not _one(name):
                done.skipped += 1
        except Exception as error:
            log.exception("duty.failed", duty=name)
            done.failed.append(name)
            _remember(name, error)
    return done


def _one(name: str) -> bool:
    """Do one duty. False: another process is at it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_BEGIN, [_SPACE, _number(name)])
            is_ours = cursor.fetchone()[0]
        if is_ours:
            import_string(name)()
            _note(name)
    return bool(is_ours)


def _number(name: str) -> int:
    """A duty's own number, within PostgreSQL's integers."""
    return zlib.crc32(name.encode()) - 2**31


# A process that freezes within a duty loses its connection, and with it its locks, so that others
# go on; one that meets somebody else's lock lets the duty fail rather than the sweep wait.
_BEGIN = """
    SELECT pg_try_advisory_xact_lock(%s, %s),
        set_config('idle_in_transaction_session_timeout', '20s', true),
        set_config('lock_timeout', '10s', true)
"""
# A sweep every two seconds in every process: its success is written down every ten.
_NOTE = """
    INSERT INTO duty (name, done_at, error) VALUES (%s, now(), '')
    ON CONFLICT (name) DO UPDATE SET done_at = now(), error = ''
    WHERE duty.done_at IS NULL OR duty.error <> '' OR duty.done_at < now() - interval '10 seconds'
"""
_REMEMBER = """
    INSERT INTO duty (name, failed_at, error) VALUES (%s, now(), %s)
    ON CONFLICT (name) DO UPDATE SET failed_at = now(), error = excluded.error
"""


def _note(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, [name])


def _remember(name: str, error: Exception) -> None:
    """Keep what went wrong; where the database is what failed, the log has it."""
    said = f"{type(error).__name__}: {error}".replace("\x00", "�")[:_LONGEST_ERROR]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_REMEMBER, [name, said])
    except Exception:
        log.exception("duty.not_remembered", duty=name)
