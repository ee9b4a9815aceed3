"""The page to try the API: a form for every operation, and it really asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import expect

from agentops.accounts.models import User
from agentops.views import tryout
from runs.models import Run
from tests.console import browser as browsers
from tests.console.tabs import OpenTab
from tests.runs.test_openapi import operations

AXE = Path(__file__).parents[1] / "vendor/axe-core-4.14.1/axe.min.js"


@pytest.mark.django_db
def test_every_operation_has_a_form(page: Client) -> None:
    drawn = page.get("/api/v1/try").content.decode()
    for path, method in operations():
        assert f'data-try="{method}" data-path="{path}"' in drawn
    assert "style=" not in drawn.partition("<main")[2].partition("</main>")[0]


@pytest.mark.django_db
def test_who_is_nobody_signs_in_first() -> None:
    answer = Client().get("/api/v1/try")
    assert answer.status_code == 302
    assert "/sign-in/" in answer["Location"]
    assert Client().post("/api/v1/try").status_code == 405


def test_a_body_begins_with_what_is_required() -> None:
    document = {"components": {"schemas": {"A": {"type": "object", "required": ["x", "y", "z"],
        "properties": {"x": {"type": "string"}, "y": {"type": "array", "items": {"enum": ["b"]}},
                       "z": {"$ref": "#/components/schemas/B"}, "w": {"type": "integer"}}},
        "B": {"type": ["integer", "null"]}}}}  # fmt: skip
    schema = {"$ref": "#/components/schemas/A"}
    assert tryout.example(document, schema) == {"x": "", "y": ["b"], "z": 0}


@pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT)
@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning")
def test_a_run_is_started_from_the_page(open_tab: OpenTab, ana: User) -> None:
    tab = open_tab("/api/v1/try")
    form = tab.locator('form[data-try="POST"][data-path="/api/v1/runs"]')
    form.locator("xpath=..").locator("summary").click()
    form.locator("textarea").fill('{"agent": "anything", "title": "From the page"}')
    form.get_by_role("button").click()
    expect(form.locator("pre")).to_contain_text("201")
    expect(form.locator("pre")).to_contain_text('"title": "From the page"')
    run = Run.objects.get()
    stream = tab.locator('form[data-path="/api/v1/runs/{public_id}/events"]')
    stream.locator("xpath=..").locator("summary").click()
    stream.locator('[name="public_id"]').fill(run.public_id)
    stream.get_by_role("button").click()
    expect(stream.locator("pre")).to_contain_text("run.created")
    tab.evaluate(AXE.read_text())
    found = tab.evaluate("axe.run(document.querySelector('main')).then(r => r.violations)")
    assert [one["id"] for one in found] == []
