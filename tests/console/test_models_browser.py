"""Models in a browser: accessible and no wider than the screen, in both themes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agentops.accounts.models import User
from runs import routes
from runs.models import Breaker, ModelEndpoint
from tests import factories
from tests.console import test_browser
from tests.console.tabs import PHONE, WIDE, OpenTab
from tests.console.test_models import told

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440", "390"])
def test_models_are_accessible_and_fit(
    open_tab: OpenTab, ana: User, theme: str, size: dict[str, int]
) -> None:
    ModelEndpoint.objects.create(
        name="own-vllm", protocol="openai", base_url="http://models.example.internal:8000/v1",
        key_variable="A_LONG_NAME_OF_A_VARIABLE_KEY", requests_per_minute=60, tokens_per_minute=90,
    )  # fmt: skip
    factories.worker(key_variables=[])
    asked = [{"endpoint": "own-vllm", "model": "qwen"}, {"endpoint": "scripted", "model": "s"}]
    routes.save(route="main", candidates=asked, note="", made_by=ana, based_on=None)
    until = timezone.now() + timedelta(seconds=90)
    Breaker.objects.create(target="model:own-vllm/qwen", failures=6, open_until=until)
    User.objects.filter(pk=ana.pk).update(is_staff=True, is_superuser=True)
    run = told(ana, scripted=True)
    tab = open_tab(theme=theme, size=size)
    found = {}
    for name, path in {"models": "/system/", "model": f"/runs/{run.public_id}/?step=3"}.items():
        tab.goto(path)
        if test_browser.SHOTS:
            width = size["width"]
            tab.screenshot(path=f"{test_browser.SHOTS}/{name}-{theme}-{width}.png", full_page=True)
        wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        problems = test_browser._axe(tab) + ([f"{wide} px too wide"] if wide > 0 else [])
        if problems:
            found[name] = problems
    assert found == {}
