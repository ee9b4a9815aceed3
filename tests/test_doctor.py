"""``manage.py doctor`` finds what is there, and says how to mend what is not."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from pytest_django import Settings

from agentops.management import diagnosis
from agentops.sdk import catalog


def doctor() -> tuple[str, object]:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=said)
    return said.getvalue(), ended.value.code


@pytest.mark.django_db
def test_what_answers_is_named_with_its_version() -> None:
    said, _ = doctor()
    assert "database     PostgreSQL 18" in said
    assert "broker       Valkey 9" in said
    assert "tables       as this release wants them" in said


@pytest.mark.django_db
def test_missing_workers_are_a_problem_with_a_remedy() -> None:
    said, code = doctor()
    assert "!!  workers      none: runs are not executed" in said
    assert "→ Start a worker." in said
    assert code == 1


@pytest.mark.django_db
def test_a_broker_that_is_gone_is_a_problem_with_a_remedy(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock?db=0"
    said, _ = doctor()
    assert "!!  broker       does not answer" in said
    assert "correct REDIS_URL" in said


@pytest.mark.django_db
def test_mail_is_tried(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    said, _ = doctor()
    assert "!!  mail         127.0.0.1:1 does not answer" in said


@pytest.mark.django_db
def test_every_finding_that_is_not_well_says_what_to_do() -> None:
    before = catalog.catalog().modules
    catalog.configure(("no_such_module",))
    try:
        found = list(diagnosis.findings())
    finally:
        catalog.configure(before)
    assert [
        finding.what for finding in found if finding.level == "problem" and not finding.remedy
    ] == []
    assert any(finding.what == "agents" and finding.level == "problem" for finding in found)
