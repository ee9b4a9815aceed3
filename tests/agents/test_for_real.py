"""The sample agent under ``bin/up``: a real worker, killed on the way, and the demo beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT
from agentops.mail import maildir
from tests.launcher.launched import PATIENCE_SECONDS, Launched, environment, launched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("launcher")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    with launched(tmp_path_factory.mktemp("demo")) as it:
        yield it


def demo(running: Launched, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "manage.py", "demo", *arguments],
        cwd=PROJECT,
        env=environment(AGENTOPS_DATA=str(running.home.folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=PATIENCE_SECONDS)[0]
    finally:
        process.kill()


def test_a_killed_worker_loses_and_doubles_nothing(running: Launched) -> None:
    process = demo(running)
    assert process.stdout is not None
    first = process.stdout.readline()
    worker = running.pid_of("worker")
    assert worker is not None
    for line in process.stdout:
        if "A worker took it" in line:
            os.kill(worker, signal.SIGKILL)
            break

    told = said(process)

    assert process.returncode == 0, first + told
    run_id = first.split()[1].rstrip(":")
    folder = running.home.folder / "reports" / run_id
    report = json.loads((folder / "dependency-audit.json").read_text())
    assert report["report"]["counts"]["packages"] > 50
    assert str(folder / "dependency-audit.md") in told
    assert f"{running.state['url']}/reports/{run_id}/" in told
    assert len(maildir.newest(running.home.folder / "mail")) == 1


def test_a_bad_folder_fails_the_demo_in_plain_words(running: Launched, tmp_path: Path) -> None:
    process = demo(running, str(tmp_path))

    told = said(process)

    assert process.returncode == 1
    assert f"Nothing to audit in {tmp_path}" in told
