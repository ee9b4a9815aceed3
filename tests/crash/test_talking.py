"""A conversation whose worker dies while an answer streams: it goes on as if nothing had been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from agentops.launcher.home import PROJECT
from tests.crash import serving
from tests.crash.plant import Plant, until
from tests.crash.runs import Seen
from tests.modelserver.asked import Count

pytestmark = [pytest.mark.crash, pytest.mark.slow]

AGENTS = "tests.crash.talker"
ROUTE = """
from runs.models import ModelEndpoint, RouteVersion
ModelEndpoint.objects.create(
    name="desk", protocol="openai", base_url="{address}/v1", key_variable="DESK_KEY")
RouteVersion.objects.create(
    route="table", number=1, candidates=[{{"endpoint": "desk", "model": "plain"}}])
"""
SAY = """
from runs import conversations
from runs.models import Conversation
talk = Conversation.objects.order_by("id").last()
talk = talk or conversations.begin(agent="talker", owner=None, started_by="test").conversation
posted = conversations.post_message(conversation=talk, content="{text}", sender="ana")
print(posted.message.run.pk, posted.message.run.public_id)
"""


def in_shell(plant: Plant, code: str) -> str:
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", code]
    environment = plant.environment(AGENTOPS_AGENTS=AGENTS)
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, check=True, timeout=60, capture_output=True
    )
    return done.stdout.decode()


def say(plant: Plant, text: str) -> Seen:
    number, public_id = in_shell(plant, SAY.format(text=text)).split()
    return Seen(plant, int(number), public_id)


def half_of(plant: Plant, run: Seen) -> dict[str, Any]:
    """The first text that is streamed of a run."""

    def heard() -> Any:
        message = listening.get_message(timeout=0.05) or {}
        told = json.loads(message["data"]) if message.get("type") == "pmessage" else {}
        return told if told.get("text") else None

    client = redis.Redis.from_url(plant.environment()["REDIS_URL"])
    with client, client.pubsub() as listening:  # type: ignore[no-untyped-call]  # redis
        listening.psubscribe(f"*{run.public_id}*")
        return dict(until(heard, "half an answer is shown"))


def test_a_worker_dies_while_an_answer_streams(standing: Plant, tmp_path: Path) -> None:
    standing.clear()
    with serving.model_server(tmp_path / "asked", "2=stall") as address:
        in_shell(standing, ROUTE.format(address=address))
        known = {"AGENTOPS_AGENTS": AGENTS, "DESK_KEY": "none"}
        worker = standing.worker(**known)
        first = say(standing, "What is green?").until_final()
        second = say(standing, "And what is blue?")
        shown = half_of(standing, second)
        worker.send(signal.SIGKILL)
        worker.wait()
        standing.worker(**known)
        second.until_final()

        assert first.output == f"0 before: {_answer(first)}"
        assert second.output == f"1 before: {_answer(second)}"
        second.check()
        # The half that was shown belongs to an attempt that is not the one which answered.
        [answered] = [row for row in second.of_kind("step.completed") if row["name"] == "table"]
        assert (answered["epoch"], answered["meta"]["attempt"]) != (
            shown["epoch"], shown["attempt"]
        )  # fmt: skip
        assert len(Count(tmp_path / "asked").read()) == 3
        third = say(standing, "And both?").until_final()
        assert str(third.output).startswith("2 before: ")
    standing.clear()
    standing.execute("TRUNCATE model_endpoint, route_version, conversation CASCADE")


def _answer(run: Seen) -> str:
    return str(run.output).partition(": ")[2]
