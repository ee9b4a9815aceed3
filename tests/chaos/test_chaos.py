"""The campaigns that run with every test run: a minute on Valkey, and one on RabbitMQ."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentops.launcher.home import PROJECT
from tests.chaos import brokers

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


def campaign(*options: str) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "60", *options]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    print(said.stdout, said.stderr)
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_minute_of_chaos_loses_nothing_and_doubles_nothing() -> None:
    campaign("--runs", "3000")


def test_rabbitmq_does_as_well() -> None:
    try:
        brokers.program()
    except brokers.NoRabbit as reason:
        pytest.skip(str(reason))
    campaign("--runs", "1000", "--broker", "amqp")
