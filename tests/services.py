"""Throw-away PostgreSQL and Valkey for one test run, ours unless the environment names others."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import ExitStack

from agentops.launcher import throwaway

# Said by the process that started the servers, so that no child starts its own.
_MARK = "AGENTOPS_TEST_SERVICES"
_MARK_OF_LANE = "AGENTOPS_TEST_LANE"

# What a developer's shell may hold and no test may depend on.
_FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "EMAIL_URL",
)


def start() -> None:
    """Start the servers once per test run and point the environment at them.

    Tests that run side by side share PostgreSQL, where each has a database, but not Valkey: what
    one of them rings, another would take.
    """
    lane = os.environ.get("PYTEST_XDIST_WORKER")
    if _MARK not in os.environ:
        _start_all()
    elif lane is not None and os.environ.get(_MARK_OF_LANE) != lane:
        os.environ["REDIS_URL"] = _until_exit().enter_context(throwaway.valkey())
        os.environ[_MARK_OF_LANE] = lane


def _start_all() -> None:
    for name in [name for name in os.environ if name in _FOREIGN or name.startswith("AGENTOPS_")]:
        if not name.startswith("AGENTOPS_TEST_"):
            del os.environ[name]
    stack = _until_exit()
    running = stack.enter_context(throwaway.services())
    os.environ.update(running.environment)
    # A folder of its own: no test may read or write the developer's.
    data = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentops-test-data-"))
    os.environ["AGENTOPS_DATA"] = data
    os.environ[_MARK] = str(os.getpid())


def _until_exit() -> ExitStack:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack
