"""A refund above the limit: asked, edited and approved on a telephone, paid once as edited.

Everything real: a fresh ``bin/up``, its worker, its web process, a browser as wide as a telephone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, sync_playwright

from agentops.mail import maildir
from tests.console import browser as browsers
from tests.launcher import doors
from tests.launcher.doors import api, rows
from tests.launcher.launched import Launched, launched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("launcher")]

PASSWORD = "a-good-secret-1"
PHONE: ViewportSize = {"width": 390, "height": 844}
TICKET = {
    "customer": "bo@example.org",
    "subject": "Grinder",
    "message": "My espresso grinder came broken, please refund it.",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("approval")
    with launched(folder, AGENTOPS_OPERATOR_PASSWORD=PASSWORD, **doors.NO_KEYS) as it:
        yield it


@pytest.fixture
def phone(running: Launched) -> Iterator[Page]:
    """A telephone on which the operator is signed in."""
    if browsers.program() is None:
        pytest.skip(browsers.WHY_NOT)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browsers.program(), args=browsers.FLAGS
        )
        page = chromium.new_context(
            viewport=PHONE, is_mobile=True, has_touch=True, base_url=str(running.state["url"])
        ).new_page()
        page.goto("/sign-in/")
        page.fill("[name=username]", "operator")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/")
        yield page
        chromium.close()


def asked(running: Launched, token: str) -> tuple[str, dict[str, Any]]:
    """A run that waits for a person, and the request it waits for."""
    run = api(running, token, "/runs", {"agent": "support-desk", "input": TICKET})
    waiting = doors.reached(running, token, run["id"], {"waiting"})
    assert waiting["waiting_for"] == "approval", waiting
    [request] = [
        one for one in api(running, token, "/approvals?state=pending")["items"]
        if one["run"] == run["id"]
    ]  # fmt: skip
    return run["id"], request


def test_a_large_refund_is_edited_and_approved_on_a_telephone(
    running: Launched, phone: Page
) -> None:
    token = doors.token(running)
    run_id, request = asked(running, token)
    folder = running.home.folder
    assert rows(folder, "SELECT refunded_cents FROM orders WHERE number = '4412'") == [(0,)]

    phone.goto("/inbox/")
    phone.locator(f"a[href*='{request['id']}']").first.click()
    phone.get_by_text("249.00").first.wait_for()
    phone.get_by_role("link", name="Edit").first.click()
    phone.locator("[name$=amount]").fill("150.00")
    phone.locator("[name=comment]").fill("The grinder works, its lid is broken.")
    phone.get_by_role("button", name="Approve with these arguments").click()

    run = doors.ended(running, token, run_id)
    assert run["status"] == "succeeded", run
    assert rows(folder, "SELECT cents FROM refunds WHERE number = '4412'") == [(15000,)]
    assert rows(folder, "SELECT refunded_cents FROM orders WHERE number = '4412'") == [(15000,)]
    # What the model was told decides what it wrote: the edited amount, not the one it asked for.
    assert run["output"]["refunded"] == "150.00"
    [mail] = [one for one in maildir.newest(folder / "mail") if "bo@" in one.recipients]
    assert "150.00" in mail.text
    assert "249" not in mail.text
    check_record(running, token, request["id"])


def check_record(running: Launched, token: str, request_id: str) -> None:
    """Who, when, what was shown and what ran."""
    found = api(running, token, f"/approvals/{request_id}")
    assert found["state"] == "consumed"
    events = {one["event"]: one for one in found["records"]}
    assert {"approval.requested", "approval.decided", "approval.executed"} <= set(events)
    decided, done = events["approval.decided"], events["approval.executed"]
    assert decided["by"] == "operator"
    assert decided["digest"] == done["digest"] != events["approval.requested"]["digest"]
    assert events["approval.requested"]["at"] <= decided["at"] <= done["at"]
