from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from agentops.accounts.models import User
from agentops.management.commands import demo
from agentops.sdk import catalog
from runs.models import Run, RunPayload, RunStatus
from tests import factories
from tests.factories import Story

OUTPUT = {
    "verdict": "3 packages, nothing to do",
    "report": {"markdown": "/data/r.md", "json": "/data/r.json"},
    "mailed": {"to": ["a@b"], "place": "/data/mail"},
}


@pytest.fixture(autouse=True)
def _samples() -> Iterator[None]:
    before = catalog.catalog().modules
    names = ("dependency_audit", "support_desk", "research_digest")
    catalog.configure(tuple(f"agentops.agents.{name}" for name in names))
    yield
    catalog.configure(before)


@pytest.fixture
def story(db: None) -> Story:
    run = factories.run(None, status=RunStatus.RUNNING, agent="dependency-audit", title="Audit")
    return Story.of(run).note("run.created", 0).note("run.started", 1)


def watch(run: Run, timeout: float = 5) -> str:
    out = StringIO()
    demo.Command(stdout=out, stderr=out).watch(run, timeout)
    return out.getvalue()


def test_a_run_is_followed_to_its_report(story: Story, settings: Settings) -> None:
    settings.AGENTOPS_PUBLIC_URL = "https://agents.example.org"
    story.note("run.progress", text="Read 16 of 32 packages", fraction=0.4)
    story.ends(RunStatus.SUCCEEDED, "completed", output=OUTPUT).save()

    told = watch(story.run)

    assert "A worker took it" in told
    assert " 40%  Read 16 of 32 packages" in told
    assert "3 packages, nothing to do\n  /data/r.md\n  /data/r.json\n" in told
    assert "mailed to a@b (kept in /data/mail)" in told
    assert f"https://agents.example.org/reports/{story.run.public_id}/" in told


def test_retries_and_takeovers_are_told(story: Story) -> None:
    story.fails_once("write_report#1", 1, "The disk is full.").note("run.recovered", 2)
    story.ends(RunStatus.SUCCEEDED, "completed", output={**OUTPUT, "mailed": None}).save()

    told = watch(story.run)

    assert "write_report: retrying: The disk is full." in told
    assert "Another worker took over after a crash" in told
    assert "not mailed" in told


def test_a_failed_run_fails_the_command_with_its_sentence(story: Story) -> None:
    error = {"code": "tool_error", "message": "/no does not exist on the machine of the worker."}
    story.ends(RunStatus.FAILED, "tool_error", error=error).save()

    with pytest.raises(CommandError, match="failed: /no does not exist"):
        watch(story.run)


def test_a_parked_run_is_not_waited_for(story: Story) -> None:
    story.save()
    parked = {"waiting_for": "operator", "waiting_detail": "uncertain:mail_report#1"}
    story.fields(status=RunStatus.WAITING, worker=None, ready_at=None, **parked)

    with pytest.raises(CommandError, match="waits for an operator: uncertain:mail_report#1"):
        watch(story.run)


@pytest.mark.django_db
def test_without_a_worker_it_says_how_to_get_one(tmp_path: Path) -> None:
    User.objects.create_user("opal", is_superuser=True)
    policy = tmp_path / "policy.json"
    policy.write_text('{"max_age_days": 30}')
    told = StringIO()

    with pytest.raises(CommandError, match="is still queued; it goes on without me"):
        call_command(
            "demo", str(tmp_path), policy=policy, mail_to=["a@b"], timeout=0.6,
            stdout=told, stderr=told,
        )  # fmt: skip

    run = Run.objects.get()
    given = json.loads(bytes(RunPayload.objects.get(run=run).input))
    assert "No worker has taken it yet. Start one with bin/up." in told.getvalue()
    assert (run.owner and run.owner.username, run.started_by) == ("opal", "manage.py demo")
    assert given == {
        "folder": str(tmp_path), "mail_to": ["a@b"], "policy": {"max_age_days": 30},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "agent", "given"),
    [
        ((), "dependency-audit", {}),
        (("support-desk", "--input", '{"subject": "Hi"}'), "support-desk", {"subject": "Hi"}),
        (("research-digest", "/"), "research-digest", {"folder": "/"}),
        (("dependency-audit", "/"), "dependency-audit", {"folder": "/"}),
        (("/",), "dependency-audit", {"folder": "/"}),
    ],
)
@pytest.mark.django_db
def test_any_sample_can_be_named(
    arguments: tuple[str, ...], agent: str, given: dict[str, str]
) -> None:
    told = StringIO()
    with pytest.raises(CommandError, match="is still queued"):
        call_command("demo", *arguments, timeout=0.1, stdout=told, stderr=told)

    run = Run.objects.get()
    assert (run.agent, json.loads(bytes(RunPayload.objects.get(run=run).input))) == (agent, given)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("support", "/"), "No sample is called support. There are dependency-audit, support-desk"),
        (("support-desk", "--input", "{"), "--input: "),
        (("support-desk", "--input", "[]"), "--input: give a JSON object"),
        (("support-desk", "/"), "Input at /folder"),
    ],
)
@pytest.mark.django_db
def test_what_no_sample_takes_starts_nothing(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("demo", *arguments)

    assert Run.objects.count() == 0


def test_what_the_desk_and_the_digest_did_is_told(db: None) -> None:
    desk = {
        "summary": "Order 4411: refunded.", "refunds": [{"order": "4411", "amount": "89.00"}],
        "person_should_look": True, "because": "It is odd.", "answered_by": ["scripted"],
    }  # fmt: skip
    told = _told("support-desk", desk)
    assert "refunded 89.00 € of order 4411" in told
    assert "a person should look: It is odd." in told
    assert "scripted: no provider of models has a key" in told

    told = _told("research-digest", {**OUTPUT, "answer": "With a key.", "answered_by": ["m-1"]})
    assert "With a key.\n  /data/r.md\n  /data/r.json\n  by m-1\n" in told


def _told(agent: str, output: dict[str, object]) -> str:
    run = factories.run(None, status=RunStatus.RUNNING, agent=agent)
    Story.of(run).ends(RunStatus.SUCCEEDED, "completed", output=output).save()
    return watch(run)


@pytest.mark.django_db
def test_bad_rules_start_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    for text, sentence in (("{", "policy.json"), ('{"pined": true}', "Input at /policy/pined")):
        policy.write_text(text)
        with pytest.raises(CommandError, match=sentence):
            call_command("demo", policy=policy)

    assert Run.objects.count() == 0
