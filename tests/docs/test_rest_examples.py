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
from pathlib import Path

import pytest
import uvicorn
from django.db import connection

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.api.codes import CODES
from agentops.launcher.home import PROJECT
from agentops.sdk import errors
from runs import bulk, halted
from runs.models import BulkAction, Conversation, Run
from tests import people

START = (PROJECT / "docs/how-to/start-a-run-from-your-app.md").read_text()
STEER = (PROJECT / "docs/how-to/steer-many-runs.md").read_text()
PEOPLE = (PROJECT / "docs/how-to/look-after-people.md").read_text()
TALK = (PROJECT / "docs/how-to/hold-conversations.md").read_text()
STOP = (PROJECT / "docs/how-to/stop-and-take-over.md").read_text()
ERRORS = (PROJECT / "docs/reference/errors.md").read_text()


def examples(language: str, page: str = START) -> str:
    block = rf"<!-- executed: {language} -->\s*```{language}\n(.*?)```"
    return "\n".join(re.findall(block, page, re.DOTALL))


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


NEEDS_CURL = pytest.mark.skipif(
    shutil.which("curl") is None,
    reason="curl is not installed; install it to run the examples that use it",
)


def run_shell(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-eu", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@NEEDS_CURL
@pytest.mark.slow
def test_the_curl_examples_for_many_runs_work(environment: dict[str, str]) -> None:
    told = run_shell(examples("sh", STEER), environment)
    assert '"tags":["newsletter"]' in told
    assert BulkAction.objects.get().total == 2
    again = Run.objects.get(forked_at_seq=0)
    assert again.forked_from is not None
    assert again.forked_from.external_id == "grace-47"


@NEEDS_CURL
@pytest.mark.slow
def test_the_curl_examples_for_a_service_work(environment: dict[str, str]) -> None:
    service = people.person("erp")
    User.objects.filter(pk=service.pk).update(is_service=True)
    environment["AGENTOPS_SERVICE_TOKEN"] = people.token(service)
    assert '"started_by":"erp for app"' in run_shell(examples("sh", PEOPLE), environment)
    run = Run.objects.get()
    assert run.owner is not None
    assert run.owner.username == "app"


@NEEDS_CURL
@pytest.mark.slow
def test_the_curl_examples_of_stops_work(environment: dict[str, str]) -> None:
    environment["AGENTOPS_TOKEN"] = people.token(people.person("ops", Role.OPERATOR))
    told = run_shell(examples("sh", STOP), environment)
    assert told.count('"scope":"tool","target":"send_refund"') == 2
    assert halted.holding().get().by == "ops"


@NEEDS_CURL
@pytest.mark.slow
def test_the_curl_examples_of_conversations_work(environment: dict[str, str]) -> None:
    told = run_shell(examples("sh", TALK), environment)
    assert '"status":"waiting_its_turn"' in told
    assert '"code":"conversation_busy"' in told
    assert "busy\n" in told
    assert "event: turn.started" in told
    talk = Conversation.objects.get()
    assert (talk.said, talk.turns, talk.title) == (3, 2, "a patient snail")
    first = Run.objects.get(message__number=1)
    assert first.stop_reason == "cancelled_by_user"


@pytest.mark.slow
def test_the_python_example_for_many_runs_works(environment: dict[str, str]) -> None:
    over = threading.Event()

    def works() -> None:
        while not over.wait(0.05):
            bulk.work(seconds=1)
        connection.close()

    worker = threading.Thread(target=works)
    worker.start()
    try:
        script = [sys.executable, "-c", examples("python", STEER)]
        done = subprocess.run(script, env=environment, capture_output=True, text=True)
    finally:
        over.set()
        worker.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-3:-1] == ["1 cancelled", "cancelled_by_user"]
    assert Run.objects.count() == 1


FOLLOW = """
api() { path=$1; shift; curl --silent --no-buffer "$AGENTOPS_URL/api/v1/$path" \\
  --header "Authorization: Bearer $TOKEN" --header "Content-Type: application/json" "$@"; }
TOKEN=$(curl --silent "$AGENTOPS_URL/api/v1/tokens" --user "$AGENTOPS_USER" \\
  --header "Content-Type: application/json" --data '{"name": "curl"}' \\
  | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
begin() { api runs --header "Idempotency-Key: one" --data '{"agent": "hello", "input": {}}' \\
  | sed 's/.*"id":"\\([^"]*\\)".*/\\1/'; }
run=$(begin)
test "$(begin)" = "$run"
for _ in 1 2 3; do api "runs/$run/pause" --request POST; api "runs/$run/resume" --request POST
done >/dev/null
# The connection is cut in the middle; the run goes on.
api "runs/$run/stream" --max-time 2 > first || true
api "runs/$run/cancel" --request POST --data '{}' > /dev/null
last=$(sed -n 's/^id: //p' first | tail -1)
api "runs/$run/stream" --max-time 60 --header "Last-Event-ID: $last" > second
cat first second | sed -n 's/^id: //p'
"""


@NEEDS_CURL
@pytest.mark.slow
def test_with_curl_alone_every_number_of_a_stream_that_was_cut_is_seen_once(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = run_shell(f"cd {tmp_path}\n{FOLLOW}", environment)
    assert told.split() == [str(number) for number in range(1, 9)]
    assert Run.objects.count() == 1
    assert (tmp_path / "second").read_text().endswith('data: {"status":"cancelled"}\n\n')


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
