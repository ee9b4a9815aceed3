"""Every test that the page of threats names is there."""

from __future__ import annotations

import re

import pytest

from agentops.launcher.home import PROJECT

PAGE = PROJECT / "docs/reference/threats.md"
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_threat_has_the_test_it_names(file: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (PROJECT / file).read_text(), re.MULTILINE)


def test_every_threat_has_one() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| T")]
    assert len(rows) >= 18
    assert [row for row in rows if "::test_" not in row] == []
