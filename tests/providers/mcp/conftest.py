"""A server of tools and the connections to it, as a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT
from tests.mcpserver import FOLDER, OverHttp, Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage that no other test uses."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return Stage(tmp_path)


@pytest.fixture
def over_http(stage: Stage) -> Iterator[OverHttp]:
    """The server on loopback, behind a token."""
    served = OverHttp(stage, token="very-secret-token")
    yield served
    served.kill()
