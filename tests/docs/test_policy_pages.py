"""What the pages about policies show is what the product takes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT
from approvals import rules
from approvals.expressions import NAMES, Expression
from approvals.reading import Spec
from approvals.scanning import FUNCTIONS, LOOPS, METHODS

HOW_TO = PROJECT / "docs/how-to/write-a-policy.md"
REFERENCE = PROJECT / "docs/reference/policies.md"


@pytest.mark.parametrize("page", [HOW_TO, REFERENCE], ids=lambda page: page.stem)
def test_every_rule_on_a_page_can_be_saved(page: Path) -> None:
    shown = re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    assert shown
    for block in shown:
        assert rules.parse([json.loads(block)])


def test_every_condition_on_the_page_can_be_used() -> None:
    quoted = re.findall(r"`([^`\n]*arguments\.[^`\n]*[<>()][^`\n]*)`", HOW_TO.read_text())
    assert len(quoted) >= 2
    for text in quoted:
        assert Expression(text).text == text


def test_the_reference_tells_every_field_and_every_word() -> None:
    said = REFERENCE.read_text()
    for field in dataclasses.fields(Spec):
        assert f"`{field.name}`" in said
    for name in NAMES:
        assert f"`{name}`" in said
    dates = {name for name in METHODS if name.startswith("get")}
    for name in (FUNCTIONS | LOOPS | METHODS) - dates:
        assert name in said
    assert "`.getHours()`" in said
