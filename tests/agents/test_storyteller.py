"""The agent that shows its text while it writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentops import Turn
from agentops.agents import storyteller
from agentops.testing import run

THEN = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storyteller, "SECONDS_PER_WORD", 0)


def test_it_shows_what_it_returns() -> None:
    result = run(storyteller.storyteller, {"message": "a patient  snail\n"})
    assert "a story about a patient snail." in str(result.output)
    assert result.streamed["tell#1"].strip() == result.output


def test_it_remembers_the_story_before() -> None:
    before = [Turn("a clever mole", "…", "succeeded", THEN)]
    result = run(storyteller.storyteller, {"message": "a snail"}, turns=before)
    assert str(result.output).startswith("This is the story after the one about a clever mole.")


def test_it_takes_what_names_nothing() -> None:
    result = run(storyteller.storyteller, {"message": "  "})
    assert "nothing in particular" in str(result.output)
