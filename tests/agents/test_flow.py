from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from agentops import InvalidInput
from agentops.agents.dependency_audit import dependency_audit
from agentops.agents.hello import hello
from agentops.mail import maildir
from agentops.testing import Journal, Result, run
from tests.agents.environments import install, virtualenv


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one of nearly everything that can be wrong."""
    folder = tmp_path / "project"
    site = virtualenv(folder / ".venv")
    install(site, "app", "1.0", "License: MIT", "Requires-Dist: lib<2", "Requires-Dist: gone")
    install(site, "lib", "2.1", "License-Expression: GPL-3.0-only")
    install(site, "odd", "1.0", "License: Free for friends")
    (site / "lost-1.0.dist-info").mkdir()
    (folder / "requirements.txt").write_text("app\nlib==2.1\n")
    return folder


def audit(folder: Path, journal: Any = None, crash_after: int | None = None, **more: Any) -> Result:
    given = {"folder": str(folder), **more}
    return run(dependency_audit, given, journal=journal, crash_after=crash_after)


def output(result: Result) -> dict[str, Any]:
    assert isinstance(result.output, dict), result.error
    return result.output


def test_the_audit_finds_what_is_wrong_and_tells(data: Path, project: Path) -> None:
    result = audit(project)

    found = output(result)
    assert (result.status, result.degraded) == ("succeeded", ())
    assert found["verdict"] == "4 packages, 4 to fix, 2 to decide"
    assert found["counts"] == {
        "packages": 4, "fix": 4, "decide": 2, "know": 0, "broken": 1, "conflict": 1,
        "missing": 1, "licence_denied": 1, "unpinned": 1, "licence_unknown": 1,
    }  # fmt: skip
    report = json.loads(Path(found["report"]["json"]).read_text())["report"]
    assert [f["package"] for f in report["findings"]] == [
        "lost",
        "lib",
        "gone",
        "lib",
        "app",
        "odd",
    ]
    [mail] = maildir.newest(data / "mail")
    assert mail.subject == "Dependency audit: 4 packages, 4 to fix, 2 to decide"
    assert "\nWhat to do\n\n1. Fix 1 package with broken metadata: lost. Install" in mail.text


def test_every_package_is_read_by_a_call_of_its_own(data: Path) -> None:
    result = run(dependency_audit, {"mail_to": []})

    recorded = Journal.keys(result.journal)
    calls = [key for key in recorded if key.startswith("read_distribution#")]
    assert len(calls) == output(result)["counts"]["packages"] > 50


def test_a_crash_after_any_row_changes_nothing(data: Path, project: Path) -> None:
    rows = len(audit(project).journal.entries)
    whole = (data / "reports").rglob("*.json")
    [expected] = [json.loads(path.read_text())["report"] for path in whole]
    expected.pop("made_at")

    for crash_after in range(rows):
        _forget(data)
        crashed = audit(project, crash_after=crash_after)
        assert crashed.detail == "crashed"
        result = audit(project, journal=crashed.journal)

        assert result.status == "succeeded", (crash_after, result)
        report = json.loads(Path(output(result)["report"]["json"]).read_text())["report"]
        report.pop("made_at")
        assert report == expected
        assert len(maildir.newest(data / "mail")) == 1, crash_after


def _forget(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_nobody_gets_mail_when_nobody_is_named(data: Path, project: Path) -> None:
    found = output(audit(project, mail_to=[]))

    assert (found["mailed"], found["not_mailed_because"]) == (
        None, "The input says that nobody gets mail.",
    )  # fmt: skip
    assert maildir.newest(data / "mail") == []


def test_a_refused_mail_degrades_the_run_and_the_report_stays(
    data: Path, project: Path, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "no.such.Backend"

    result = audit(project)

    found = output(result)
    assert (result.status, result.degraded) == ("succeeded", ("mail_report",))
    assert found["mailed"] is None
    assert found["not_mailed_because"]
    assert Path(found["report"]["markdown"]).exists()


def test_a_bad_folder_ends_the_run_with_a_plain_sentence(data: Path) -> None:
    result = audit(Path("/no/such/folder"))

    assert (result.status, result.stop_reason) == ("failed", "tool_error")
    assert result.error is not None
    assert "does not exist on the machine of the worker" in str(result.error["message"])


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"folder": 7}, "/folder"),
        ({"folder": "/" * 5000}, "/folder"),
        ({"file": "x"}, "/file"),
        ({"policy": {"minimum_versions": {"a": "new"}}}, "/policy/minimum_versions/a"),
        ({"policy": {"known_licences": {"a": "MITT"}}}, "/policy/known_licences/a"),
        ({"policy": {"max_age_days": 0}}, "/policy/max_age_days"),
        ({"mail_to": ["nobody"]}, "/mail_to/0"),
        ({"mail_to": ["a@b\nBcc: c@d"]}, "/mail_to/0"),
    ],
)
def test_wrong_input_is_refused_where_it_is_wrong(given: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        dependency_audit.validate_input(given)

    assert refused.value.path == path


def test_a_run_says_what_it_is_about() -> None:
    arguments = dependency_audit.validate_input({"folder": "/srv/app"})

    assert dependency_audit.title_for(arguments) == "Audit of /srv/app"
    assert dependency_audit.title_for(dependency_audit.validate_input(None)) == (
        "Audit of the running environment"
    )


def test_the_policy_is_obeyed(data: Path, project: Path) -> None:
    policy = {
        "allowed_licences": ["MIT", "GPL-3.0-only"],
        "known_licences": {"Odd": "MIT"},
        "minimum_versions": {"lib": "3", "absent": "1"},
        "pinned": False,
        "ignore": ["gone", "lost"],
    }

    found = output(audit(project, policy=policy))

    assert found["counts"] == {
        "packages": 4, "fix": 2, "decide": 0, "know": 0, "conflict": 1, "outdated": 1,
    }  # fmt: skip
    assert "The policy names absent, gone, which is not installed" in (
        Path(found["report"]["markdown"]).read_text()
    )


def test_hello_greets_after_its_wait() -> None:
    assert run(hello, {"name": "Ada"}).output == "Hello, Ada!"
    assert run(hello).output == "Hello, world!"


def test_the_samples_need_no_settings_to_be_imported() -> None:
    assert os.environ.get("AGENTOPS_AGENTS", "") == ""
    assert [dependency_audit.name, hello.name] == ["dependency-audit", "hello"]
