"""Tools that write to the same database: effect and outcome together, or neither."""

from __future__ import annotations

import time

from agentops.accounts.models import User
from runs.engine.host import Host
from tests.runs.engine.conftest import ended, kinds, start


def names() -> list[str]:
    return sorted(
        User.objects.filter(username__startswith="tx-").values_list("username", flat=True)
    )


def test_effects_and_outcomes_commit_together_beside_other_rows(host: Host) -> None:
    run = ended(start("writes", names=["tx-a", "tx-b", "tx-c"], beside=10))

    assert run.status == "succeeded"
    assert names() == ["tx-a", "tx-b", "tx-c"]
    assert kinds(run).count("step.completed") == 13


def test_what_raises_leaves_nothing_behind(host: Host) -> None:
    run = ended(start("writes", names=["tx-a", "tx-a"], beside=3))

    assert (run.status, names()) == ("failed", ["tx-a"])
    kinds(run)


def test_a_tool_over_its_time_is_rolled_back_and_the_numbers_go_on(host: Host) -> None:
    begun = time.monotonic()
    run = ended(start("writes-too-long"))

    assert (run.status, names()) == ("succeeded", [])
    assert kinds(run)[-2:] == ["step.completed", "run.succeeded"]
    assert time.monotonic() - begun < 15
