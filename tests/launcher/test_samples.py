"""The sample agents on a fresh ``bin/up`` without a key: from console, REST and terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentops.mail import maildir
from tests.launcher import doors
from tests.launcher.doors import Browser, api, command, ended, rows
from tests.launcher.launched import Launched, launched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("launcher")]

PASSWORD = "a-good-secret-1"
# What each is given, and a thing its result must say.
SAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "dependency-audit": ({"mail_to": []}, "verdict"),
    "support-desk": (
        {
            "customer": "cem@example.org",
            "subject": "Boots",
            "message": "Order 4413 never arrived. I want my money back.",
        },
        "summary",
    ),
    "research-digest": ({"question": "What may a worker that dies leave behind?"}, "answer"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    without = doors.NO_KEYS
    folder = tmp_path_factory.mktemp("samples")
    with launched(folder, AGENTOPS_OPERATOR_PASSWORD=PASSWORD, **without) as it:
        yield it


@pytest.fixture(scope="module")
def token(running: Launched) -> str:
    return doors.token(running)


@pytest.fixture(scope="module")
def browser(running: Launched) -> Browser:
    it = Browser(running)
    it.post("/sign-in/", "/sign-in/", {"username": "operator", "password": PASSWORD})
    return it


def check(run: dict[str, Any], agent: str) -> None:
    assert run["status"] == "succeeded", run
    assert run["output"][SAMPLES[agent][1]], run["output"]
    if agent != "dependency-audit":
        assert run["output"]["answered_by"] == ["scripted"]


@pytest.fixture(scope="module", autouse=True)
def first_page(browser: Browser) -> str:
    """The Overview before anything has run."""
    return browser.get("/")


def test_the_first_steps_offer_them(first_page: str) -> None:
    assert "First steps" in first_page
    for name in SAMPLES:
        assert f"Start {name}" in first_page


@pytest.mark.parametrize("door", ["playground", "agent"])
@pytest.mark.parametrize("agent", SAMPLES)
def test_each_runs_from_the_console(
    running: Launched, token: str, browser: Browser, agent: str, door: str
) -> None:
    page, action, fields = f"/agents/{agent}/", f"/agents/{agent}/start/", {}
    if door == "playground":
        page, action = f"/playground/?agent={agent}", "/playground/"
        fields = {"playground_agent": agent, "playground_how": "run"}
    came_to = browser.post(page, action, fields)
    run_id = came_to.rstrip("/").rpartition("/")[2]
    assert run_id.startswith("run_"), came_to

    check(ended(running, token, run_id), agent)

    assert "succeeded" in browser.get(came_to)
    if agent != "support-desk":
        assert "<article" in browser.get(f"/reports/{run_id}/")


@pytest.mark.parametrize("agent", SAMPLES)
def test_each_runs_over_rest(running: Launched, token: str, agent: str) -> None:
    started = api(running, token, "/runs", {"agent": agent, "input": SAMPLES[agent][0]})
    check(ended(running, token, started["id"]), agent)


@pytest.mark.parametrize("agent", SAMPLES)
def test_each_runs_as_a_demo(running: Launched, agent: str) -> None:
    told = command(running, "demo", agent)
    assert f"{running.state['url']}/runs/run_" in told
    assert ("scripted" in told) is (agent != "dependency-audit")


def test_the_shop_has_changed_by_what_was_asked_and_no_more(running: Launched, token: str) -> None:
    """After the lamp's default ticket, at least once, and the boots, at least once."""
    for given in ({}, SAMPLES["support-desk"][0]):
        started = api(running, token, "/runs", {"agent": "support-desk", "input": given})
        check(ended(running, token, started["id"]), "support-desk")
    refunded = dict(rows(running.home.folder, "SELECT number, refunded_cents FROM orders"))
    assert refunded == {"4390": 0, "4411": 8900, "4412": 0, "4413": 12990, "4414": 4500}
    assert {mail.recipients for mail in maildir.newest(running.home.folder / "mail")} >= {
        "ana@example.org", "cem@example.org",
    }  # fmt: skip


def test_a_worker_that_dies_after_each_effect_repeats_none(tmp_path: Path) -> None:
    """Killed when the money has moved and when the mail is out, before either was recorded."""
    faults = "effect.after/refund:1:exit,effect.after/send_reply:1:exit"
    without = doors.NO_KEYS
    with launched(tmp_path, AGENTOPS_FAULTS=faults, **without) as it:
        told = command(it, "demo", "support-desk")
        refunds = rows(tmp_path, "SELECT number, cents FROM refunds WHERE key NOT LIKE 'seed%'")
        assert told.count("A worker took it") == 3, told
        assert refunds == [("4411", 8900)]
        assert rows(tmp_path, "SELECT refunded_cents FROM orders WHERE number = '4411'") == [
            (8900,)
        ]
        assert len(maildir.newest(tmp_path / "mail")) == 1
