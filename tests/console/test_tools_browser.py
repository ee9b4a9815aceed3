"""Descriptions of tools in a browser: accessible and no wider than the screen, in both themes."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from agentops.accounts.models import User
from runs.models import ToolPin
from tests.console import test_browser
from tests.console.tabs import PHONE, WIDE, OpenTab
from tests.runs.test_pins import NEW, changed

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LONG = {**NEW, "description": "Asks for much. " * 60, "schema": {"type": "object", "x": "y" * 300}}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440", "390"])
def test_what_tools_are_said_to_do_is_readable(
    open_tab: OpenTab, ana: User, theme: str, size: dict[str, int]
) -> None:
    changed()
    ToolPin.objects.create(
        server="a-server-with-a-long-name-of-its-own", tool="x" * 60, offered_digest="b" * 64,
        offered=json.dumps(LONG), offered_at=timezone.now(),
    )  # fmt: skip
    ToolPin.objects.create(
        server="shop", tool="look_up", accepted_digest="c" * 64, accepted=json.dumps(NEW),
        accepted_at=timezone.now(),
    )  # fmt: skip
    ToolPin.objects.create(
        server="shop", tool="delete_all", refused_digest="d" * 64, refused=json.dumps(NEW),
        refused_by="olga", refused_at=timezone.now(),
    )  # fmt: skip
    tab = open_tab(theme=theme, size=size)
    tab.goto("/tools/")
    if test_browser.SHOTS:
        path = f"{test_browser.SHOTS}/tools-{theme}-{size['width']}.png"
        tab.screenshot(path=path, full_page=True)
    assert test_browser._axe(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
