"""The pages of the kill switch in a real browser: they fit, are accessible, work by keyboard."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from runs.models import RunStatus, Stop, TakeOver, WaitingFor
from tests import factories, people
from tests.console import browser as browsers
from tests.console.tabs import PHONE, WIDE, OpenTab

AXE = Path(__file__).parents[1] / "vendor/axe-core-4.14.1/axe.min.js"
SHOTS = os.environ.get("AGENTOPS_TEST_SCREENSHOTS")

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    # The server serves files from a thread, as whitenoise does under ASGI.
    pytest.mark.filterwarnings("ignore::Warning"),
]


def stopped(ana: User) -> dict[str, str]:
    """Pages with stops that hold, are half lifted and lifted, and a run that one holds."""
    bo = people.person("bo", Role.OPERATOR)
    why = "It pays invoices twice since the import of this morning; see the ticket of Ana. " * 3
    whole = Stop.objects.create(scope="everything", reason=why, by="bo", thrown_by=bo)
    agent = Stop.objects.create(scope="agent", target="echo", reason="Odd answers.", by="bo")
    long = Stop.objects.create(scope="tool", target="a_tool_with_a_" + "long_" * 20, reason="?",
                               by="erp for ana")  # fmt: skip
    half = Stop.objects.create(scope="run", target="run_" + "0" * 20, reason="Loops.", by="bo")
    over = Stop.objects.create(scope="person", target="bo", reason="Key lost.", by="ana")
    now = timezone.now()
    Stop.objects.filter(pk=whole.pk).update(first_by=bo, first_reason="Mended.", first_at=now)
    Stop.objects.filter(pk=over.pk).update(lifted_by=ana, lifted_at=now, lifted_reason="New key.")
    run = factories.run(
        ana, status=RunStatus.WAITING, waiting_for=WaitingFor.OPERATOR, ready_at=None,
        waiting_detail=f"stop:{agent.public_id}", agent="echo", title="Reconcile invoices",
    )  # fmt: skip
    return {
        "stops": "/stops/",
        "stop-everything": f"/stops/{whole.public_id}/",
        "stop-agent": f"/stops/{agent.public_id}/",
        "stop-long": f"/stops/{long.public_id}/",
        "stop-run": f"/stops/{half.public_id}/",
        "stop-lifted": f"/stops/{over.public_id}/",
        "stop-new": "/stops/new/",
        "stop-new-tool": "/stops/new/?scope=tool&target=paay",
        "stop-new-agent": "/stops/new/?scope=agent&target=echo",
        "stop-overview": "/",
        "stop-held-run": f"/runs/{run.public_id}/",
        "take-over": f"/runs/{run.public_id}/take-over/",
        **taken_over(ana, bo),
        "stop-on-agent": "/agents/echo/",
        "stop-find": "/find/?q=stop",
    }


def taken_over(ana: User, bo: User) -> dict[str, str]:
    """Runs that she, and somebody else, does by hand."""
    pages = {}
    for who in (ana, bo):
        title = f"In hand of {who} " + "with a long title " * 4
        run = factories.run(ana, title=title, status=RunStatus.WAITING,
                            waiting_for=WaitingFor.OPERATOR, ready_at=None)  # fmt: skip
        story = factories.Story.of(run).note("run.created", 0)
        for key in ("pay#1", "a_tool_with_a_" + "long_" * 12 + "name#1"):
            story.note("stop.held", key=f"@stop.held/{key}", stop="stp_1", type="tool")
        story.save()
        until = timezone.now() + timedelta(hours=1)
        TakeOver.objects.create(run=run, person=who, until=until)
        pages[f"taken-by-{who}"] = f"/runs/{run.public_id}/take-over/"
    return pages


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440", "390"])
def test_every_page_is_accessible_and_fits(
    open_tab: OpenTab, ana: User, theme: str, size: dict[str, int]
) -> None:
    shown = stopped(ana)
    tab = open_tab(theme=theme, size=size)
    found = {}
    for name, path in shown.items():
        tab.goto(path)
        if SHOTS:
            tab.wait_for_timeout(200)
            tab.screenshot(path=f"{SHOTS}/{name}-{theme}-{size['width']}.png")
        wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        problems = _axe(tab) + ([f"{wide} px too wide"] if wide > 0 else [])
        if problems:
            found[name] = problems
    assert found == {}


def _axe(tab: Page) -> list[str]:
    tab.evaluate(AXE.read_text())
    result = json.loads(tab.evaluate("axe.run().then(r => JSON.stringify(r.violations))"))
    return [f"{rule['id']}: {node['target']}" for rule in result for node in rule["nodes"][:3]]


def test_everything_is_stopped_by_keys_alone(open_tab: OpenTab, ana: User) -> None:
    """From any page: the palette, two words, the reason, what it is about; nothing by accident."""
    tab = open_tab("/agents/")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("stop everything")
    tab.get_by_role("link", name="Stop everything…").wait_for()
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/stops/new/**")
    expect(tab.get_by_role("heading", name="Stop everything?")).to_be_visible()
    tab.get_by_label("Reason").focus()
    tab.keyboard.type("It pays twice.")
    tab.keyboard.press("Enter")
    assert not Stop.objects.exists()
    tab.get_by_label("Type everything to confirm").focus()
    tab.keyboard.type("everything")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/stops/stp_*/")
    assert Stop.objects.get().reason == "It pays twice."
    banner = tab.get_by_role("complementary", name="Stops that hold")
    expect(banner).to_contain_text("Everything is stopped")
    tab.goto("/runs/")
    expect(banner).to_contain_text("It pays twice.")
