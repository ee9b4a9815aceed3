"""What tests of the sample agents share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from agentops import ToolContext


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    """A data folder of one's own, with mail kept in it."""
    settings.AGENTOPS_DATA = tmp_path / "data"
    settings.EMAIL_BACKEND = "agentops.mail.backend.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "agentops@example.org"
    return tmp_path / "data"


@pytest.fixture
def call() -> ToolContext:
    """The context of a call."""
    return ToolContext(run_id="run_abc", key="tool#1", attempt=1, deadline=0.0)
