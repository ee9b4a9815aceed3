"""The schedule, run by one beat at a time however many are started."""

from __future__ import annotations

import time
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django_celery_beat.schedulers import DatabaseScheduler

from agentops import announce

log = structlog.get_logger(__name__)

# Any number that nobody else uses for an advisory lock.
LOCK = 0x62656174
_STANDBY_SECONDS = 2
_CHECK_SECONDS = 5


class SingleScheduler(DatabaseScheduler):  # type: ignore[misc] # the library has no types
    """Beat's database scheduler behind a lock of the database.

    The lock belongs to a connection, so it is free the moment its holder dies, and a beat that
    lost its connection stops until it holds the lock again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock = _Lock()
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        self._lock.wait()
        super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        if not self._lock.is_held():
            self._lock.wait()
        return float(super().tick(*args, **kwargs))


def _own_connection() -> BaseDatabaseWrapper:
    """A connection that no pool keeps open: closing it must give the lock back."""
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    return own


class _Lock:
    """An advisory lock on a connection of its own, which nothing else opens or closes."""

    def __init__(self) -> None:
        self._connection = _own_connection()
        self._checked_at = 0.0

    def wait(self) -> None:
        """Stand by until this process is the one."""
        told = False
        while not self._acquire():
            announce.ready()
            if not told:
                log.info("beat.standing_by", reason="another beat holds the schedule")
                told = True
            time.sleep(_STANDBY_SECONDS)
        log.info("beat.leading")
        announce.ready()

    def is_held(self) -> bool:
        """Whether the connection, and with it the lock, is still there; asked every few seconds."""
        if time.monotonic() - self._checked_at < _CHECK_SECONDS:
            return True
        return self._ask("SELECT true")

    def _acquire(self) -> bool:
        return self._ask("SELECT pg_try_advisory_lock(%s)", [LOCK])

    def _ask(self, question: str, values: list[int] | None = None) -> bool:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(question, values)
                (answer,) = cursor.fetchone()
        except (DatabaseError, InterfaceError) as error:
            log.warning("beat.database_unreachable", error=str(error).strip())
            self._connection.close()
            return False
        self._checked_at = time.monotonic()
        return bool(answer)
