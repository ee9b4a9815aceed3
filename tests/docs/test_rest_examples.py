"""What the page for apps shows is done, against a real server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from agentops.accounts.models import User
from agentops.api.codes import CODES
from agentops.launcher.home import PROJECT
from agentops.sdk import errors
from runs.models import Run
from tests import people

PAGE = (PROJECT / "docs/how-to/start-a-run-from-your-app.md").read_text()
ERRORS = (PROJECT / "docs/reference/errors.md").read_text()


def examples(language: str) -> str:
    block = rf"<!-- executed: {language} -->\s*```{language}\n(.*?)```"
    return "\n".join(re.findall(block, PAGE, re.DOTALL))


@pytest.fixture
def environment(transactional_db: None) -> Iterator[dict[str, str]]:
    """A web server on loopback, and what an app knows of it."""
    user = User.objects.create_user("app", password="a-good-secret-1")
    token = people.token(user)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config("agentops.asgi:application", log_config=None, lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = listening.getsockname()[1]
        address = {"AGENTOPS_URL": f"http://127.0.0.1:{port}", "AGENTOPS_TOKEN": token}
        address["AGENTOPS_USER"] = "app:a-good-secret-1"
        yield {"PATH": os.environ["PATH"], **address}
        server.should_exit = True
        thread.join(timeout=20)


@pytest.mark.slow
def test_the_curl_examples_work(environment: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; install it to run the examples that use it")
    done = subprocess.run(
        ["sh", "-eu", "-c", examples("sh")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run.objects.get(title="Greet Ada")
    assert run.stop_reason == "cancelled_by_user"
    told = done.stdout
    assert "event: run.cancelled" in told
    assert told.endswith('event: stream.end\ndata: {"status":"cancelled"}\n\n')
    # The stream began after the event it was told of.
    assert "event: run.created" not in told


@pytest.mark.slow
def test_the_python_example_works(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", examples("python")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["1 run.created", "2 run.cancelled"]
    assert Run.objects.get().idempotency_key == "order-1043"


def test_every_code_is_published_with_its_status() -> None:
    published = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", ERRORS, re.MULTILINE))
    assert published == {name: str(code.status) for name, code in CODES.items()}


def test_every_error_the_doors_raise_has_a_published_code() -> None:
    raised = {
        error.code
        for error in subclasses(errors.AgentopsError)
        if error.__module__.startswith(("runs.", "agentops.accounts", "agentops.api"))
        and not error.__module__.startswith(("runs.engine.host", "runs.engine.isolation"))
    }
    at_the_door = (
        errors.UnknownAgent,
        errors.InvalidInput,
        errors.PayloadError,
        errors.PayloadTooLarge,
    )
    assert raised | {error.code for error in at_the_door} <= CODES.keys()


def subclasses(kind: type[errors.AgentopsError]) -> set[type[errors.AgentopsError]]:
    below = set(kind.__subclasses__())
    return below.union(*(subclasses(one) for one in below))
