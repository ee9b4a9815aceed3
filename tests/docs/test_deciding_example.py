"""What the page about deciding shows is done, by somebody who signed in, against a real server."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from agentops.launcher.home import PROJECT
from approvals.models import State
from tests.approvals import making
from tests.docs.test_rest_examples import environment, examples
from tests.people import person

__all__ = ["environment"]
PAGE = (PROJECT / "docs/how-to/decide-what-agents-may-do.md").read_text()


@pytest.mark.slow
def test_the_examples_about_deciding_work(environment: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; install it to run the examples that use it")
    asked = making.approval(making.waiting_run(person("olga")))
    browser, proof = Client(), secrets.token_hex(16)
    browser.force_login(making.approver("ada"))
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = f"{settings.SESSION_COOKIE_NAME}={key}; {settings.CSRF_COOKIE_NAME}={proof}"
    done = subprocess.run(
        ["sh", "-eu", "-c", examples("sh", PAGE)], capture_output=True, text=True, cwd=tmp_path,
        env={**environment, "COOKIE": cookie, "CSRF": proof},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    asked.refresh_from_db()
    assert (asked.state, asked.comment) == (State.APPROVED, "Seen the photo.")
