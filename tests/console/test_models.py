"""Models in the console: whom a step asked and what was said, and how routes stand."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import User
from runs import routes
from runs.models import HELD_UNTIL, Breaker, ModelEndpoint, Phase, Run, RunStatus
from tests import factories

REPLY: dict[str, Any] = {
    "message": {
        "role": "assistant",
        "text": "Let me look.",
        "uses": [{"id": "u1", "name": "price", "arguments": {"item": "<pear>", "count": 2}}],
    },
    "finish": "tools",
    "model": "tiny-2026-11",
}
ASKED: dict[str, Any] = {
    "type": "model", "route": "fast", "route_version": 7, "endpoint": "here", "requested": "tiny",
}  # fmt: skip
INPUT = {
    "route": "fast",
    "messages": [
        {"role": "system", "text": "You sell fruit."},
        {"role": "user", "text": "What does a pear cost? " + "x" * 9000},
    ],
    "tools": ["price"],
    "output": {"type": "object"},
}


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def told(owner: User, **facts: Any) -> Run:
    """A run with one model step: a failed attempt at another model, then an answer."""
    story = factories.begun(owner, ago=60, title="Sell", status=RunStatus.RUNNING)
    story.wait(1).add(
        "fast#1", Phase.FAILED, "step.retrying", n=1, attempt=1, target="model:there/big",
        error={"code": "overloaded", "message": "529 Overloaded"}, **ASKED,
    )  # fmt: skip
    meta = ASKED | {"target": "model:here/tiny", "model": "tiny-2026-11", "finish": "tools"} | facts
    story.wait(1).add(
        "fast#1", Phase.OUTCOME, "step.completed", value=REPLY, input=INPUT, took=0.8, attempt=2,
        rejected={"model:there/big": "is left alone for 12 s"},
        usage={"input_tokens": 1200, "output_tokens": 34, "cache_read_tokens": 1000}, **meta,
    )  # fmt: skip
    return story.save()


def panel(page: Client, run: Run) -> str:
    return text(page.get(f"/runs/{run.public_id}/", {"step": 3}))


def test_the_panel_of_a_model_step_says_who_answered_and_what(page: Client, ana: User) -> None:
    said = panel(page, told(ana))
    assert "Route fast · version 7 Asked here · tiny Answered tiny-2026-11" in said
    assert "(another name than was asked for)" in said
    assert "Stopped by tools Tokens 1,200 in, 34 out, 1,000 read from a cache" in said
    assert "Tools offered price Answer of a given form" in said
    assert "Passed over Candidate Why there/big is left alone for 12 s" in said
    assert "1 there/big" in said
    assert "overloaded 529 Overloaded" in said
    assert "2 here/tiny" in said


def test_messages_and_uses_of_tools_are_read_as_such(page: Client, ana: User) -> None:
    said = panel(page, told(ana))
    assert "Instructions You sell fruit." in said
    assert "Asked What does a pear cost?" in said
    assert "1,023 more characters are below, as recorded." in said
    assert "Model Let me look. Wants price called with item: <pear> count: 2" in said
    assert "No model: scripted" not in said


def test_what_is_scripted_says_so_in_the_panel_and_the_timeline(page: Client, ana: User) -> None:
    run = told(ana, scripted=True)
    assert "No model: scripted. The agent's own script played this answer" in panel(page, run)
    assert "scripted" in text(page.get(f"/runs/{run.public_id}/", {"view": "timeline"}))


@pytest.mark.parametrize(
    "value", [None, {"message": "odd"}, {"message": {"uses": "odd", "text": 3}}, ["odd"], "odd"]
)
def test_a_record_of_another_form_spoils_no_page(page: Client, ana: User, value: object) -> None:
    story = factories.begun(ana, ago=60, title="Odd", status=RunStatus.RUNNING)
    story.wait(1).add(
        "fast#1", Phase.OUTCOME, "step.completed", value=value, input={"messages": "odd"},
        took=0.8, type="model", usage="odd", rejected=["odd"],
    )  # fmt: skip
    run = story.save()
    assert "Route fast" in panel(page, run)


def test_the_system_page_shows_routes_endpoints_and_breakers(page: Client) -> None:
    ModelEndpoint.objects.create(
        name="here", protocol="openai", base_url="http://m.example/v1", key_variable="HERE_KEY",
        tokens_per_minute=5000,
    )  # fmt: skip
    lacks = factories.worker(key_variables=[])
    factories.worker(key_variables=["HERE_KEY"])
    asked = [{"endpoint": "gone", "model": "g"}, {"endpoint": "here", "model": "m"}]
    routes.save(route="main", candidates=asked, note="", made_by=None, based_on=None)
    until = timezone.now() + timedelta(seconds=90)
    Breaker.objects.create(target="model:there/n", failures=6, open_until=until)
    said = text(page.get("/system/"))
    assert "main version 1 here · m gone · g: there is no such endpoint" in said
    assert "fast comes with the product no model: scripted" in said
    assert f"HERE_KEY is missing on worker {lacks.pk}" in said
    assert "5,000 of 5,000 tokens" in said
    assert "model:there/n 6" in said
    assert "No model: scripted." in said


def test_who_is_held_is_counted_beside_who_is_queued(page: Client, ana: User) -> None:
    factories.run(ana)
    factories.run(ana, ready_at=HELD_UNTIL, waiting_detail="waits for 3 others of a")
    assert "default 1 and 1 held" in text(page.get("/system/"))
    held = Run.objects.get(waiting_detail__startswith="waits")
    said = text(page.get(f"/runs/{held.public_id}/"))
    assert "It waits for 3 others of a; so many may run at once." in said
    shown = page.get(f"/api/v1/runs/{held.public_id}").json()
    assert (shown["ready_at"], shown["waiting_detail"]) == (None, "waits for 3 others of a")
