"""``bin/up``, then curl alone: a token, a run, its events, and every number once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.launcher.launched import launched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("launcher"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; install it"),
]

SCRIPT = r"""
field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
json="Content-Type: application/json"
curl --silent --fail-with-body "$URL/api/v1/password" --user "operator:$PRINTED" \
  --header "$json" --data '{"new_password": "a good one of my own"}'
TOKEN=$(curl --silent --fail-with-body "$URL/api/v1/tokens" --user "operator:a good one of my own" \
  --header "$json" --data '{"name": "curl"}' | field token)
api() { path=$1; shift; curl --silent --no-buffer "$URL/api/v1/$path" \
  --header "Authorization: Bearer $TOKEN" --header "$json" "$@"; }
start() { api runs --header "Idempotency-Key: order-1" \
  --data '{"agent": "hello", "input": {"name": "Ada"}}' | field id; }
run=$(start)
test "$(start)" = "$run"
# The agent sleeps for two seconds; the connection is cut before it wakes up.
api "runs/$run/stream" --max-time 1 > first || true
last=$(sed -n 's/^id: //p' first | tail -1)
api "runs/$run/stream" --max-time 60 --header "Last-Event-ID: $last" > second
api runs > runs
api "runs/$run" > run
"""


def numbers(stream: Path) -> list[int]:
    lines = stream.read_text().splitlines()
    return [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]


def test_a_stream_that_was_cut_goes_on_and_every_number_is_seen_once(tmp_path: Path) -> None:
    with launched(tmp_path / "data") as it:
        printed = json.loads(it.home.first_sign_in.read_text())["password"]
        known = {"URL": str(it.state["url"]), "PRINTED": printed, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["sh", "-eu", "-c", SCRIPT], cwd=tmp_path, env=known, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = numbers(tmp_path / "first"), numbers(tmp_path / "second")
    assert before, "the first connection saw nothing"
    assert "stream.end" not in (tmp_path / "first").read_text(), "nothing was cut"
    assert before + after == list(range(1, len(before + after) + 1))
    assert (tmp_path / "second").read_text().endswith('data: {"status":"succeeded"}\n\n')
    assert json.loads((tmp_path / "run").read_text())["output"] == "Hello, Ada!"
    assert len(json.loads((tmp_path / "runs").read_text())["items"]) == 1
