"""Fault points do nothing unless asked, and exactly what they are asked for otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

SCRIPT = """
from agentops.execution.faults import fault
for n in range(1, 4):
    fault("writer.after_send")
    fault("effect.before", "pay")
    print(n, flush=True)
"""


def run(faults: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AGENTOPS_FAULTS": faults}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_happens_without_a_rule() -> None:
    assert run("").stdout.split() == ["1", "2", "3"]


def test_the_process_dies_at_the_arrival_asked_for() -> None:
    ended = run("writer.after_send:2:exit")
    assert (ended.returncode, ended.stdout.split()) == (137, ["1"])


def test_a_rule_may_name_the_step() -> None:
    assert run("effect.before/refund:1:exit").returncode == 0
    assert run("effect.before/pay:3:exit").stdout.split() == ["1", "2"]


def test_a_delay_delays_once() -> None:
    begun = time.monotonic()
    assert run("effect.before:1:sleep=0.3").stdout.split() == ["1", "2", "3"]
    assert time.monotonic() - begun >= 0.3


def test_a_frozen_process_goes_on_when_it_is_woken() -> None:
    environment = {**os.environ, "AGENTOPS_FAULTS": "effect.before:1:stop"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=30)[0].split() == ["1", "2", "3"]


def test_an_action_nobody_knows_is_said() -> None:
    assert (
        "AGENTOPS_FAULTS knows exit, stop and sleep=SECONDS"
        in run("effect.before:1:explode").stderr
    )
