"""The courier: a thread that sends mail, so that a slow mail server delays nothing else."""

from __future__ import annotations

import threading

import structlog
from django.db import connection

from runs import outbox

log = structlog.get_logger(__name__)

# One round; whatever is left then waits for the next sweep.
ROUND_SECONDS = 60.0


class Courier:
    """Sends what is due when it is told to look; one thread at most, ended when idle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def look(self) -> None:
        """Look at the outbox soon, unless it is being looked at or holds nothing."""
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            if busy or self._stopped.is_set() or not outbox.is_due():
                return
            self._thread = threading.Thread(target=self._go, name="agentops-mail", daemon=True)
            self._thread.start()

    def stop(self, *, seconds: float) -> None:
        """Begin no other message, and give the one under way a while."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _go(self) -> None:
        try:
            outbox.work(seconds=ROUND_SECONDS, until=self._stopped.is_set)
        except Exception as error:  # noqa: BLE001 - the next sweep has it looked at again
            log.warning("mail.round_failed", error=f"{type(error).__name__}: {error}")
        finally:
            connection.close()
