"""Connections to models, for the tests that make some."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest


@pytest.fixture
async def connections() -> AsyncIterator[None]:
    """Every test has a loop of its own; the connections it makes end with it."""
    # Takes seconds, which tests without a model do not spend.
    from agentops.providers import adapter

    yield
    await adapter.close()
