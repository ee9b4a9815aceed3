"""Acting on selected runs: asked first with number and examples, then told row by row."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from runs.models import Run, RunStatus
from tests import factories, people

# Services open durable transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

PART = {"HX-Request": "true"}


def statuses(*runs: Run) -> list[str]:
    return [Run.objects.get(pk=run.pk).status for run in runs]


def test_it_is_asked_first_with_the_number_and_three_examples(page: Client, ana: User) -> None:
    runs = [factories.run(ana, title=f"Invoice {number}") for number in range(5)]
    given = {"do": "cancel", "id": [run.public_id for run in runs]}
    for headers in ({}, PART):
        told = page.get("/runs/act/", given, headers=headers).content.decode()
        assert "Cancel 5 runs?" in told
        assert re.findall(r"Invoice \d", told) == ["Invoice 0", "Invoice 1", "Invoice 2"]
        assert "and 2 more" in told
    assert statuses(*runs) == ["queued"] * 5


def test_each_row_has_an_outcome_and_one_refusal_stops_no_other(
    page: Client, ana: User, stranger: User
) -> None:
    queued, asleep, over = factories.run(ana), factories.sleeping(ana), factories.succeeded(ana)
    busy, theirs = factories.running(ana), factories.run(stranger)
    given = [run.public_id for run in (queued, over, theirs, asleep, busy)]
    told = page.post("/runs/act/", {"do": "cancel", "id": given, "note": "twice"}).content.decode()
    assert "Cancel: 3 runs, 2 left as they were" in told
    assert "It had succeeded already." in told
    assert "asked to stop" in told
    assert statuses(queued, asleep, theirs) == ["cancelled", "cancelled", "queued"]
    assert theirs.agent not in told.partition(theirs.public_id[:12])[0].rpartition("<tr>")[2]


def test_repeating_it_is_harmless(page: Client, ana: User) -> None:
    run = factories.run(ana)
    given = {"do": "cancel", "id": [run.public_id, run.public_id]}
    assert "Cancel: 1 run" in page.post("/runs/act/", given).content.decode()
    told = page.post("/runs/act/", given).content.decode()
    assert "It had cancelled already." not in told
    assert "It was cancelled already." in told


def test_pausing_resuming_and_retrying(page: Client, ana: User) -> None:
    asleep, busy, failed = factories.sleeping(ana), factories.running(ana), factories.failed(ana)
    ids = [run.public_id for run in (asleep, busy, failed)]
    told = page.post("/runs/act/", {"do": "pause", "id": ids}).content.decode()
    assert "Pause: 2 runs, 1 left as it was" in told
    assert "asked to pause" in told
    assert (
        "Resume: 1 run" in page.post("/runs/act/", {"do": "resume", "id": ids[:1]}).content.decode()
    )
    given = {"do": "retry_now", "id": factories.retrying(ana).public_id}
    assert "Try now: 1 run" in page.post("/runs/act/", given).content.decode()
    given = {"do": "retry_failure", "id": factories.succeeded(ana).public_id}
    assert "only a failed run can go on" in page.post("/runs/act/", given).content.decode()


def test_running_again_starts_new_runs_once(page: Client, ana: User) -> None:
    page.post("/agents/echo/start/", {"ticket": "t-1"})
    run = Run.objects.get()
    given = {"do": "replay", "id": run.public_id, "key": "once"}
    told = page.post("/runs/act/", given).content.decode()
    assert "Run again: 1 run" in told
    page.post("/runs/act/", given)
    assert Run.objects.count() == 2


def test_a_team_mate_who_may_only_look_changes_nothing(ana: User) -> None:
    team = Team.objects.create(name="Finance")
    viewer = people.person("vera", Role.VIEWER, team=team)
    run = factories.run(ana, team=team)
    client = Client()
    client.force_login(viewer)
    told = client.post("/runs/act/", {"do": "cancel", "id": run.public_id}).content.decode()
    assert "needs the role operator or administrator" in told
    assert statuses(run) == [RunStatus.QUEUED]


def test_more_than_twenty_are_cancelled_only_if_their_number_is_typed(
    page: Client, ana: User
) -> None:
    runs = [factories.run(ana) for _ in range(21)]
    given = {"do": "cancel", "id": [run.public_id for run in runs]}
    for typed in ("", "20"):
        answer = page.post("/runs/act/", {**given, "typed": typed})
        assert answer.status_code == 422
        assert "Type 21 to go on." in answer.content.decode()
    assert set(statuses(*runs)) == {"queued"}
    answer = page.post("/runs/act/", {**given, "typed": "21", "note": " "})
    assert "Say why, for those who find these runs so." in answer.content.decode()
    assert set(statuses(*runs)) == {"queued"}
    page.post("/runs/act/", {**given, "typed": "21", "note": "imported twice"})
    assert set(statuses(*runs)) == {"cancelled"}


def test_nothing_selected_and_nothing_known_are_said(page: Client, ana: User) -> None:
    assert "No run is selected" in page.get("/runs/act/?do=cancel").content.decode()
    assert page.get("/runs/act/?do=explode").status_code == 404
    assert page.post("/runs/act/", {"do": "cancel"}).status_code == 200
    assert Client().post("/runs/act/", {"do": "cancel"}).status_code == 302


def test_it_leads_back_to_the_list_it_came_from_and_nowhere_else(page: Client, ana: User) -> None:
    run = factories.run(ana)
    given = {"do": "cancel", "id": run.public_id}
    here = "http://testserver/runs/?status=queued"
    assert (
        f'href="{here}"'
        in page.get("/runs/act/", given, headers={"Referer": here}).content.decode()
    )
    away = page.post("/runs/act/", {**given, "back": "https://evil.example/"}).content.decode()
    assert "evil.example" not in away
