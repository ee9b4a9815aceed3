"""What people do from the pages: works · wrong method · stranger sees 404 · repeat is harmless."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from runs.models import Phase, Run, RunPayload, RunStatus
from tests import factories, people

# Services open durable transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

HAPPENED = {"key": "send_payment#1", "verdict": "happened", "result": '{"ok": true}'}
ACTIONS: list[tuple[str, dict[str, str]]] = [
    ("cancel", {}), ("pause", {}), ("resume", {}), ("retry", {}), ("settle", HAPPENED),
]  # fmt: skip


def do(client: Client, run: Run, action: str, **data: Any) -> int:
    return client.post(f"/runs/{run.public_id}/{action}/", data).status_code


def fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


@pytest.mark.parametrize(("action", "data"), ACTIONS)
def test_reading_an_action_changes_nothing(
    page: Client, ana: User, action: str, data: dict[str, str]
) -> None:
    run = factories.uncertain(ana)
    assert page.get(f"/runs/{run.public_id}/{action}/", data).status_code == 405
    assert fresh(run).status == RunStatus.WAITING


@pytest.mark.parametrize(("action", "data"), ACTIONS)
def test_strangers_see_no_run(page: Client, stranger: User, action: str, data: Any) -> None:
    run = factories.uncertain(stranger)
    assert do(page, run, action, **data) == 404
    assert fresh(run).status == RunStatus.WAITING


@pytest.mark.parametrize("path", ["", "?view=journal", "?view=related", "block/0/"])
def test_strangers_see_no_page(page: Client, stranger: User, path: str) -> None:
    run = factories.uncertain(stranger)
    assert page.get(f"/runs/{run.public_id}/{path}").status_code == 404
    assert run.public_id not in page.get("/runs/").content.decode()


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry", "settle", "fork"])
def test_readers_see_the_run_and_why_they_may_not_touch_it(stranger: User, action: str) -> None:
    team = Team.objects.create(name="finance")
    reader = people.person("rita", Role.VIEWER, team=team)
    run = factories.sleeping(stranger)
    Run.objects.filter(pk=run.pk).update(team=team)
    client = Client()
    client.force_login(reader)
    shown = client.get(f"/runs/{run.public_id}/").content.decode()
    assert "needs the role operator" in shown
    assert 'data-opens="cancel"' not in shown
    assert do(client, run, action) == 403
    assert fresh(run).status == RunStatus.WAITING


def test_pausing_and_resuming_by_button(page: Client, ana: User) -> None:
    run = factories.sleeping(ana)
    assert (do(page, run, "pause"), do(page, run, "pause")) == (302, 302)
    shown = page.get(f"/runs/{run.public_id}/").content.decode()
    assert "It was paused by ana" in shown
    assert "Resume run" in shown
    assert (do(page, run, "resume"), fresh(run).waiting_detail) == (302, "")
    assert do(page, run, "resume") == 302
    assert "not" in page.get(f"/runs/{run.public_id}/").content.decode()


def test_a_pause_of_a_running_run_can_be_taken_back(page: Client, ana: User) -> None:
    run = factories.running(ana)
    do(page, run, "pause")
    assert fresh(run).pause_by == "ana"
    assert "Do not pause" in page.get(f"/runs/{run.public_id}/").content.decode()
    do(page, run, "resume")
    assert fresh(run).pause_by == ""


def test_retrying_now_skips_the_back_off(page: Client, ana: User) -> None:
    run = factories.retrying(ana)
    assert "Retry now" in page.get(f"/runs/{run.public_id}/").content.decode()
    assert (do(page, run, "retry"), do(page, run, "retry")) == (302, 302)
    assert fresh(run).status == RunStatus.QUEUED


def test_a_failed_run_goes_on_from_its_failure(page: Client, ana: User) -> None:
    run = factories.failed(ana)
    assert "Retry from failure" in page.get(f"/runs/{run.public_id}/").content.decode()
    assert do(page, run, "retry") == 302
    assert fresh(run).status == RunStatus.QUEUED
    assert page.get(f"/runs/{run.public_id}/").status_code == 200


def echoed(owner: User) -> Run:
    """A finished run of an agent that this installation has, with two effects in it."""
    story = factories.begun(owner, ago=60, title="Twice", status=RunStatus.RUNNING, agent="echo")
    for name in ("send_mail", "pay"):
        story.wait(1).add(
            f"{name}#1", Phase.OUTCOME, "step.completed", value=1, took=1, **factories.ONCE
        )
    story.ends(RunStatus.SUCCEEDED, "completed", output=1).save()
    RunPayload.objects.filter(run=story.run).update(input=b'{"ticket": "t-1"}')
    return story.run


def test_a_fork_says_what_is_done_again_and_forks_once(page: Client, ana: User) -> None:
    run = echoed(ana)
    asked = page.get(f"/runs/{run.public_id}/fork/?step=3").content.decode()
    assert "2 steps are taken over" in asked
    assert "2 effects may happen a second time" in asked
    assert "step 3 send_mail, step 4 pay" in asked
    data = {"step": "3", "key": "k1", "input": '{"ticket": "t-2"}'}
    first = page.post(f"/runs/{run.public_id}/fork/", data)
    second = page.post(f"/runs/{run.public_id}/fork/", data)
    forked = Run.objects.get(forked_from=run)
    assert first["Location"] == second["Location"] == f"/runs/{forked.public_id}/"
    assert (forked.owner, forked.forked_at_seq) == (ana, 4)


@pytest.mark.parametrize(
    ("typed", "said"), [("{", "This is not JSON"), ('{"urgency": "x"}', "ticket")]
)
def test_a_fork_with_a_wrong_input_is_refused_at_the_field(
    page: Client, ana: User, typed: str, said: str
) -> None:
    run = echoed(ana)
    answer = page.post(f"/runs/{run.public_id}/fork/", {"step": "3", "input": typed})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Run.objects.filter(forked_from=run).exists()


def test_an_operator_sees_and_cancels_for_others(operator: User, ana: User) -> None:
    run = factories.sleeping(ana)
    client = Client()
    client.force_login(operator)
    assert do(client, run, "cancel", note="duplicate") == 302
    assert fresh(run).stop_reason == "cancelled_by_operator"


def test_cancelling_twice_is_cancelling_once(page: Client, ana: User) -> None:
    run = factories.sleeping(ana)
    assert (do(page, run, "cancel"), do(page, run, "cancel")) == (302, 302)
    assert (fresh(run).status, fresh(run).stop_reason) == ("cancelled", "cancelled_by_user")
    assert page.get(f"/runs/{run.public_id}/").status_code == 200


def test_settling_twice_settles_once_and_says_so(page: Client, ana: User) -> None:
    run = factories.uncertain(ana)
    assert do(page, run, "settle", **HAPPENED) == 302
    assert fresh(run).status == RunStatus.QUEUED
    assert do(page, run, "settle", **HAPPENED) == 302
    shown = page.get(f"/runs/{run.public_id}/").content.decode()
    assert "no uncertain outcome" in shown
    assert "settled by a person" in page.get(f"/runs/{run.public_id}/?step=4").content.decode()


def test_settling_without_a_choice_asks_for_one(page: Client, ana: User) -> None:
    run = factories.uncertain(ana)
    assert do(page, run, "settle", key="send_payment#1", verdict="maybe") == 302
    assert "Choose what is true" in page.get(f"/runs/{run.public_id}/").content.decode()


def test_running_it_again_is_locked_while_the_attempt_may_still_act(
    page: Client, ana: User
) -> None:
    run = factories.uncertain(ana, quarantined=True)
    shown = page.get(f"/runs/{run.public_id}/").content.decode()
    assert "the lost attempt may still act" in shown
    data = {"key": "send_payment#1", "verdict": "did_not_happen"}
    assert do(page, run, "settle", **data) == 302
    assert fresh(run).status == RunStatus.WAITING
    assert "may still act" in page.get(f"/runs/{run.public_id}/").content.decode()


def test_running_it_again_is_open_once_the_attempt_is_over(page: Client, ana: User) -> None:
    run = factories.uncertain(ana)
    assert "may still act" not in page.get(f"/runs/{run.public_id}/").content.decode()
    assert do(page, run, "settle", key="send_payment#1", verdict="did_not_happen") == 302
    assert fresh(run).status == RunStatus.QUEUED


def test_starting_from_the_form_twice_starts_one_run(page: Client, ana: User) -> None:
    data = {"ticket": "t-1", "urgency": "2", "start_key": "k1"}
    first = page.post("/agents/echo/start/", data)
    second = page.post("/agents/echo/start/", data)
    run = Run.objects.get()
    assert first["Location"] == second["Location"] == f"/runs/{run.public_id}/"
    assert (run.owner, run.started_by, run.title) == (ana, "ana", "t-1")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "This is needed."),
        ({"ticket": "t", "urgency": "soon"}, "This is not a number."),
        ({"ticket": "t", "urgency": "1.5"}, "integer"),
    ],
)
def test_a_wrong_input_is_named_at_its_field(page: Client, data: dict[str, str], said: str) -> None:
    answer = page.post("/agents/echo/start/", data)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not Run.objects.exists()


def test_an_unknown_agent_is_not_found(page: Client) -> None:
    assert page.get("/agents/ecko/").status_code == 404
    assert page.post("/agents/ecko/start/").status_code == 404
    assert page.get("/agents/echo/start/").status_code == 405


def test_run_again_fills_the_form_from_the_earlier_run(page: Client, ana: User) -> None:
    page.post("/agents/echo/start/", {"ticket": "as before"})
    run = Run.objects.get()
    shown = page.get("/agents/echo/", {"like": run.public_id}).content.decode()
    assert 'value="as before"' in shown


def test_signed_out_people_are_sent_to_sign_in_and_regions_are_told() -> None:
    client = Client()
    assert (
        client.get("/runs/?status=failed")["Location"] == "/sign-in/?next=/runs/%3Fstatus%3Dfailed"
    )
    region = client.get("/runs/", headers={"HX-Request": "true"})
    assert (region.status_code, "You are signed out" in region.content.decode()) == (401, True)
