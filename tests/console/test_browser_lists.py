"""Lists, palette, keys and Overview in a real browser, mostly by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from agentops.accounts.models import User
from runs import bell
from runs.live import glances
from runs.models import Run, RunStatus
from tests import factories
from tests.console import browser as browsers
from tests.console.tabs import PHONE, OpenTab, address, is_live

pytestmark = [
    pytest.mark.skipif(browsers.program() is None, reason=browsers.WHY_NOT),
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    # The server serves files from a thread, as whitenoise does under ASGI.
    pytest.mark.filterwarnings("ignore::Warning"),
]


def test_the_palette_opens_anything_by_keyboard(open_tab: OpenTab, ana: User) -> None:
    run = factories.running(ana)
    tab = open_tab("/")
    tab.keyboard.press("Control+k")
    expect(tab.get_by_role("dialog", name="Find")).to_contain_text("Overview")
    tab.keyboard.type("november")
    expect(tab.locator("#found a").first).to_contain_text("Reconcile November invoices")
    tab.keyboard.press("ArrowDown")
    expect(tab.locator("#found a").first).to_be_focused()
    tab.keyboard.press("ArrowUp")
    expect(tab.get_by_role("searchbox", name="Find")).to_be_focused()
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**{address(run)}")


def test_rows_are_peeked_at_selected_and_acted_on_by_keyboard(open_tab: OpenTab, ana: User) -> None:
    asleep = [factories.sleeping(ana) for _ in range(4)]
    over = factories.succeeded(ana, ago=10_000)
    tab = open_tab()
    for key in ("j", " "):
        tab.keyboard.press(key)
    expect(tab.locator("#panel")).to_contain_text(asleep[-1].public_id)
    tab.keyboard.press("j")
    expect(tab.locator("#panel")).to_contain_text(asleep[-2].public_id)
    expect(tab.locator(".htmx-settling")).to_have_count(0)
    tab.keyboard.press("Escape")
    expect(tab.locator("#panel")).to_be_empty()
    for key in ("x", "j", "j", "X", "j", "x"):
        tab.keyboard.press(key)
    expect(tab.locator("[data-selected]")).to_have_text("4")
    tab.get_by_role("button", name="Cancel…").click()
    dialog = tab.get_by_role("dialog", name="Cancel 4 runs?")
    expect(dialog.get_by_role("button", name="Back")).to_be_focused()
    tab.keyboard.press("Escape")
    assert not Run.objects.filter(status=RunStatus.CANCELLED).exists()
    tab.get_by_role("button", name="Cancel…").click()
    dialog.get_by_role("button", name="Cancel 4 runs").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Cancel: 3 runs, 1 left as it was")
    expect(tab.get_by_text("It had succeeded already.")).to_be_visible()
    assert Run.objects.get(pk=over.pk).status == RunStatus.SUCCEEDED


def test_all_and_none_are_selected_by_sequences(open_tab: OpenTab, ana: User) -> None:
    for _ in range(5):
        factories.run(ana)
    tab = open_tab()
    tab.keyboard.type("*a")
    expect(tab.locator("[data-selected]")).to_have_text("5")
    tab.keyboard.type("*n")
    expect(tab.locator("[name=id]:checked")).to_have_count(0)
    expect(tab.get_by_role("group", name="Selected runs")).to_be_hidden()


def test_a_selection_stays_when_its_rows_change(open_tab: OpenTab, ana: User) -> None:
    story = factories.begun(ana, ago=20, title="Watch me", status=RunStatus.RUNNING)
    story.save()
    tab = open_tab()
    is_live(tab)
    tab.keyboard.press("j")
    tab.keyboard.press("x")
    story.ends(RunStatus.FAILED, "timeout", error={"code": "timeout", "message": "Late."}).save()
    bell.hint_now([[story.run.pk, story.seq]])
    expect(tab.locator(f"#{story.run.public_id}")).to_contain_text("failed · timeout")
    expect(tab.locator("[name=id]")).to_be_checked()
    expect(tab.locator(".row-link").first).to_be_focused()


def test_rows_and_pages_are_walked_by_keyboard(open_tab: OpenTab, ana: User) -> None:
    runs = [factories.run(ana, title=f"Run {number}") for number in range(53)]
    tab = open_tab()
    focused = tab.locator(":focus")
    for key, title in {"j": "Run 52", "ArrowDown": "Run 51", "k": "Run 52"}.items():
        tab.keyboard.press(key)
        expect(focused).to_have_text(title)
    tab.keyboard.press("o")
    tab.wait_for_url(f"**{address(runs[52])}")
    tab.keyboard.press("^")
    tab.wait_for_url("**/runs/")
    tab.keyboard.press(">")
    tab.wait_for_url("**/runs/?before=*")
    expect(tab.locator("tbody tr")).to_have_count(3)
    tab.keyboard.press("<")
    tab.wait_for_url("**/runs/?after=*")
    expect(tab.locator(".row-link").first).to_have_text("Run 52")
    tab.keyboard.press("n")
    tab.wait_for_url("**/agents/**")


def test_the_view_of_a_number_and_undo_and_copy_have_keys(open_tab: OpenTab, ana: User) -> None:
    run = factories.sleeping(ana)
    tab = open_tab()
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.keyboard.press("2")
    tab.wait_for_url("**/runs/?view=running")
    tab.keyboard.press("Y")
    expect(tab.locator("#said")).to_have_text("Copied")
    assert tab.evaluate("navigator.clipboard.readText()") == tab.url
    tab.keyboard.press("1")
    tab.wait_for_url("**/runs/")
    tab.keyboard.press("j")
    tab.keyboard.press(" ")
    expect(tab.locator("#panel")).to_contain_text(run.public_id)
    tab.keyboard.press("y")
    tab.wait_for_function(f"navigator.clipboard.readText().then(t => t === '{run.public_id}')")


def test_a_list_that_follows_shows_new_runs_by_itself(open_tab: OpenTab, ana: User) -> None:
    factories.run(ana, title="Old")
    tab = open_tab()
    tab.get_by_role("link", name="Follow", exact=True).click()
    tab.wait_for_url("**/runs/?follow=1")
    is_live(tab)
    tab.keyboard.press("j")
    tab.keyboard.press("x")
    for number in (1, 2):
        newer = factories.run(ana, title=f"New {number}")
        bell.hint_now([[newer.pk, 1]])
        expect(tab.locator("tbody tr")).to_have_count(1 + number)
        expect(tab.locator(".row-link").first).to_have_text(f"New {number}")
    expect(tab.locator(":focus")).to_have_text("Old")
    expect(tab.locator("[name=id]:checked")).to_have_count(1)
    expect(tab.locator("#new-rows")).to_be_hidden()
    tab.get_by_role("link", name="Stop following").click()
    tab.wait_for_url("**/runs/")


def test_the_filter_completes_and_views_are_kept(open_tab: OpenTab, ana: User) -> None:
    factories.every_status(ana)
    tab = open_tab()
    tab.keyboard.press("f")
    tab.keyboard.type("status:fa")
    expect(tab.locator("#completions option")).to_have_count(1)
    expect(tab.locator("#completions option")).to_have_attribute("value", "status:failed")
    tab.get_by_label("Filter runs").fill("status:failed")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/runs/?status=failed")
    tab.get_by_role("button", name="Save view…").click()
    tab.get_by_label("Name").fill("Broken")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("link", name="Broken")).to_have_attribute("aria-current", "page")
    tab.keyboard.press("u")
    expect(tab.get_by_text("View “Broken” is removed.")).to_be_visible()
    expect(tab.get_by_role("link", name="Broken")).to_have_count(0)
    tab.keyboard.press("v")
    expect(tab.get_by_role("link", name="All", exact=True)).to_be_focused()


def test_the_overview_counts_what_happens(
    open_tab: OpenTab, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glances, "GLANCE_SECONDS", 0.1)
    tab = open_tab("/")
    is_live(tab)
    expect(tab.get_by_label("Running now: 0")).to_be_visible()
    run = factories.running(ana)
    bell.hint_now([[run.pk, 1]])
    expect(tab.get_by_label("Running now: 1")).to_be_visible()
    expect(tab.locator("#rail-running")).to_have_text("1 running")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/agents/**")


def test_agents_and_the_system_are_read_again_when_something_happens(
    open_tab: OpenTab, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glances, "GLANCE_SECONDS", 0.1)
    agents, one, system = (open_tab(path) for path in ("/agents/", "/agents/echo/", "/system/"))
    for tab in (agents, one, system):
        is_live(tab)
    one.get_by_label("Ticket").fill("half typed")
    worker = factories.worker()
    run = factories.run(ana, agent="echo", status=RunStatus.RUNNING, worker=worker)
    bell.hint_now([[run.pk, 1]])
    expect(agents.locator("#agent-row-echo")).to_contain_text("1 live")
    expect(one.get_by_label("Live: 1")).to_be_visible()
    expect(one.locator("#agent-recent")).to_contain_text("running")
    expect(one.get_by_label("Ticket")).to_have_value("half typed")
    expect(system.locator(f"#worker-{worker.pk}")).to_contain_text("1 of ")


SCREENS = ["/", "/runs/", "/agents/", "/agents/echo/", "/system/", "/bulk/", "/runs/?view=stuck"]
CLOSES = {
    1006: ("#paused", "Live updates paused. You see the state of "),
    4401: ("#signed-out", "You are signed out. What you see may be old."),
    4403: ("#not-allowed", "You may not see this any more."),
}


@pytest.mark.parametrize(("code", "bar", "said"), [(k, *v) for k, v in CLOSES.items()])
def test_every_screen_says_when_it_is_not_fresh(
    open_tab: OpenTab, code: int, bar: str, said: str
) -> None:
    def closes(line: WebSocketRoute) -> None:
        line.close(code=code if code > 4000 else 3000)

    def prepared(tab: Page) -> None:
        tab.clock.install()
        tab.route_web_socket("**/live/", closes)

    tab = open_tab(before=prepared)
    for path in SCREENS:
        tab.goto(path)
        before = tab.locator("main").inner_text()
        tab.clock.run_for(12_000)
        expect(tab.locator(bar)).to_contain_text(said)
        assert tab.locator("main").inner_text() == before


def test_the_rail_folds_and_stays_folded(open_tab: OpenTab) -> None:
    tab = open_tab("/")
    rail = tab.get_by_role("navigation", name="Main", exact=True)
    tab.keyboard.press("[")
    assert _width(rail) == 56
    tab.reload()
    assert _width(rail) == 56
    tab.keyboard.press("[")
    assert _width(rail) == 208


def _width(node: Locator) -> float:
    box = node.bounding_box()
    assert box is not None
    return box["width"]


def test_keys_are_told_moved_and_switched_off(open_tab: OpenTab, ana: User) -> None:
    factories.run(ana)
    tab = open_tab()
    tab.keyboard.press("?")
    dialog = tab.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Peek at the row")
    dialog.get_by_role("link", name="Change keys").click()
    tab.get_by_label("Key for: Next row").fill("q")
    tab.get_by_role("button", name="Save keys").click()
    tab.goto("/runs/")
    tab.keyboard.press("j")
    expect(tab.locator(".row-link")).not_to_be_focused()
    tab.keyboard.press("q")
    expect(tab.locator(".row-link")).to_be_focused()
    tab.goto("/settings/keys/")
    tab.get_by_label("Switch single keys off").check()
    tab.get_by_role("button", name="Save keys").click()
    tab.goto("/runs/")
    tab.keyboard.press("q")
    expect(tab.locator(".row-link")).not_to_be_focused()
    tab.keyboard.press("Control+k")
    expect(tab.get_by_role("dialog", name="Find")).to_be_visible()


def test_a_region_that_fails_says_so_and_can_be_tried_again(open_tab: OpenTab, ana: User) -> None:
    run = factories.sleeping(ana)
    tab = open_tab()
    tab.route("**/find/**", lambda route: route.abort())
    tab.keyboard.press("Control+k")
    expect(tab.locator("#found")).to_contain_text("This part could not be loaded; the rest works.")
    tab.unroute("**/find/**")
    tab.get_by_role("button", name="Try again").click()
    expect(tab.locator("#found")).to_contain_text("Overview")
    tab.keyboard.press("Escape")
    expect(tab.locator(f"#{run.public_id}")).to_be_visible()


def test_everything_is_reached_by_thumb(open_tab: OpenTab, ana: User) -> None:
    for _ in range(3):
        factories.run(ana)
    tab = open_tab("/", size=PHONE)
    tab.get_by_role("button", name="More").click()
    tab.get_by_role("navigation", name="small screens").get_by_role("link", name="Agents").click()
    tab.wait_for_url("**/agents/")
    tab.get_by_role("navigation", name="small screens").get_by_role("link", name="Runs").click()
    tab.get_by_role("checkbox").nth(1).check()
    tab.get_by_role("button", name="Pause…").click()
    tab.get_by_role("button", name="Pause 1 run").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Pause: 1 run")
    tab.get_by_role("button", name="More").click()
    tab.get_by_role("navigation", name="small screens").get_by_role("button", name="Find").click()
    expect(tab.get_by_role("dialog", name="Find")).to_be_visible()
